//! What goes on while a part of the running system is away, and what comes back with it.

#![allow(clippy::unwrap_used)]

use anyhow::Result;
use e2e::{
    Session, Stack,
    emulator::Feature,
    policy::{self, Restriction},
    resilience, soak,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// One fault at a time.
async fn alone() -> MutexGuard<'static, ()> {
    static FAULTS: Mutex<()> = Mutex::const_new(());
    FAULTS.lock().await
}

/// A customer's new order for a laptop.
async fn order(customer: &Session, user_id: u64) -> Result<String> {
    let wish = json!({"user_id": user_id, "product_id": 2, "quantity": 1});
    let answer = customer.post("/api/orders", wish).await?;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    Ok(answer.body["id"].to_string())
}

fn is_reserved(order: &Value) -> bool {
    order["stock"] == "RESERVED"
}

#[tokio::test]
async fn whichever_service_is_stopped_the_others_go_on_and_it_recovers() -> Result<()> {
    let _alone = alone().await;
    let report = resilience::run(&Stack::from_env()?).await?;
    println!("{report}");
    assert_eq!(report.wrongs(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn without_auth_sensors_go_by_the_tokens_signature_and_nobody_is_deleted() -> Result<()> {
    let _alone = alone().await;
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    let profile = format!("/api/users/{user_id}");
    customer.eventually(&profile, |user| user["id"] == user_id).await?;
    let measure = async || customer.send(Method::POST, "/test/sensor/temperature", None).await;
    assert_eq!(measure().await?.body["auth"], "verified");
    resilience::operate("stop-service", "auth")?;
    let (without, sign_in) = (measure().await, customer.post("/auth/login", json!({})).await);
    let deleted = customer.delete(&profile).await;
    resilience::operate("start-service", "auth")?;
    assert_eq!(without?.body["auth"], "jwt_fallback");
    assert_eq!([sign_in?.status, deleted?.status], [StatusCode::SERVICE_UNAVAILABLE; 2]);
    assert_eq!(customer.get(&profile).await?.status, StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn without_the_bus_requests_succeed_and_their_events_arrive_once_it_is_back() -> Result<()> {
    if !Feature::Policies.is_there() {
        return Ok(());
    }
    let _alone = alone().await;
    let stack = Stack::from_env()?;
    let admin = stack.demo("admin").await?;
    let (customer, user_id) = stack.newcomer().await?;
    let restricted = policy::restrict(&soak::RELAYS, Restriction::Take("events:PutEvents"))?;
    let placed = order(&customer, user_id).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let log = "/api/events?limit=20&aggregate=Order:";
    let logged = match &placed {
        Ok(order) => admin.get(&format!("{log}{order}")).await,
        Err(_) => admin.get("/api/events").await,
    };
    restricted.restore()?;
    let order = placed?;
    assert_eq!(logged?.body["data"], json!([]), "nothing is on the bus while it is away");
    customer.eventually(&format!("/api/orders/{order}"), is_reserved).await?;
    let created = |log: &Value| {
        let events = log["data"].as_array().into_iter().flatten();
        events.filter(|event| event["type"] == "order.created").count()
    };
    let log = admin.eventually(&format!("{log}{order}"), |log| created(log) > 0).await?;
    assert_eq!(created(&log), 1, "{log}");
    Ok(())
}

#[tokio::test]
async fn without_its_table_a_service_says_so_alone_and_recovers_by_itself() -> Result<()> {
    if !Feature::Policies.is_there() {
        return Ok(());
    }
    let _alone = alone().await;
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    let admin = stack.demo("admin").await?;
    let new = json!({"name": Uuid::new_v4().to_string(), "price": 9.5, "stock": 1});
    policy::hasten("products-on-order-events").await?;
    let functions = ["products-get", "products-list", "products-create", "products-health"];
    let restricted = policy::restrict(&functions, Restriction::Narrow("NOTHING#"))?;
    let product = customer.get("/api/products/2").await;
    let creation = admin.post("/api/products", new.clone()).await;
    let list = customer.get("/api/products").await;
    let health = customer.get("/health").await;
    let placed = order(&customer, user_id).await;
    let orders = customer.get(&format!("/api/orders/user/{user_id}")).await;
    restricted.restore()?;
    for answer in [product?, list?, creation?] {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
        assert!(answer.retry_after.is_some());
    }
    let health = health?.body;
    assert_eq!(
        (&health["overall_status"], &health["services"]["products"]["status"]),
        (&json!("degraded"), &json!("unhealthy"))
    );
    assert_eq!(orders?.status, StatusCode::OK);
    assert_eq!(customer.get("/api/products/2").await?.status, StatusCode::OK);
    assert_eq!(admin.post("/api/products", new).await?.status, StatusCode::CREATED);
    customer.eventually(&format!("/api/orders/{}", placed?), is_reserved).await?;
    Ok(())
}

#[tokio::test]
async fn what_a_consumer_cannot_handle_waits_with_its_reason_and_is_brought_home_by_a_redrive() -> Result<()> {
    if !Feature::Policies.is_there() {
        return Ok(());
    }
    const QUEUE: &str = "products-on-order-events";
    let _alone = alone().await;
    let stack = Stack::from_env()?;
    let admin = stack.demo("admin").await?;
    let (customer, user_id) = stack.newcomer().await?;
    policy::hasten(QUEUE).await?;
    let restricted = policy::restrict(&[QUEUE], Restriction::Take("dynamodb:GetItem"))?;
    let placed = order(&customer, user_id).await;
    let path = format!("/api/events/dead-letters?queue={QUEUE}");
    let waiting = match &placed {
        Ok(order) => {
            let of_order = |letter: &Value| letter.to_string().contains(order);
            admin.eventually(&path, |page| page["data"].as_array().is_some_and(|all| all.iter().any(of_order))).await
        }
        Err(_) => Ok(Value::Null),
    };
    restricted.restore()?;
    let (order, waiting) = (placed?, waiting?);
    let letter = waiting["data"].as_array().unwrap().iter().find(|letter| letter.to_string().contains(&order)).unwrap();
    assert!(letter["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{letter}");
    let redrive = admin.post(&format!("/api/events/dead-letters/{QUEUE}/redrive"), json!({})).await?;
    assert!(redrive.status.is_success(), "{}", redrive.body);
    customer.eventually(&format!("/api/orders/{order}"), is_reserved).await?;
    admin.eventually(&path, |page| page["data"] == json!([])).await?;
    Ok(())
}
