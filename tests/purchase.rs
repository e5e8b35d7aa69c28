//! The purchase, as a customer, an admin and a stranger meet it, on a running stack.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::{Session, Stack, emulator};
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

/// A new product with so many units on sale.
async fn product(admin: &Session, stock: u32) -> Result<u64> {
    let name = format!("Laptop {}", Uuid::new_v4().simple());
    let answer = admin.post("/api/products", json!({"name": name, "price": 999.99, "stock": stock})).await?;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    Ok(answer.body["id"].as_u64().unwrap())
}

async fn order(customer: &Session, user_id: u64, product_id: u64, quantity: u32) -> Result<String> {
    let body = json!({"user_id": user_id, "product_id": product_id, "quantity": quantity});
    let answer = customer.post("/api/orders", body).await?;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    Ok(format!("/api/orders/{}", answer.body["id"]))
}

fn id_of(path: &str) -> u64 {
    path.rsplit('/').next().unwrap().parse().unwrap()
}

fn is(field: &'static str, value: &'static str) -> impl Fn(&Value) -> bool {
    move |body| body[field] == value
}

#[tokio::test]
async fn a_stranger_signs_up_and_buys_a_laptop() -> Result<()> {
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    let answer = customer.post("/api/orders", json!({"user_id": user_id, "product_id": 2, "quantity": 3})).await?;
    assert_eq!((&answer.body["total"], &answer.body["status"]), (&json!(2999.97), &json!("PENDING")));
    let path = format!("/api/orders/{}", answer.body["id"]);
    let payment = customer.post("/api/payments", json!({"order_id": answer.body["id"]})).await?;
    assert_eq!((payment.status, &payment.body["amount"]), (StatusCode::CREATED, &json!(2999.97)));
    assert_eq!(payment.body["status"], "COMPLETED");
    let paid = customer.eventually(&path, |order| order["confirmed"] == true).await?;
    assert_eq!((&paid["status"], &paid["stock"]), (&json!("PAID"), &json!("RESERVED")));
    customer.eventually(&format!("/api/users/{user_id}"), |user| user["id"] == user_id).await?;
    Ok(())
}

/// What a customer's purchases come to, once that is as expected.
async fn spending(customer: &Session, expected: impl Fn(&Value) -> bool) -> Result<Value> {
    let ask = json!({"metric": "spending_trends", "scope": "user", "granularity": "month",
        "from": "2026-01-01", "to": "2035-12-31"});
    let started = Instant::now();
    loop {
        let answer = customer.post("/api/analytics/query", ask.clone()).await?;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        if expected(&answer.body["data"]) {
            return Ok(answer.body["data"].clone());
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{}", answer.body);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test]
async fn a_purchase_and_its_refund_come_to_the_customers_figures_under_the_products_category() -> Result<()> {
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    let path = order(&customer, user_id, 2, 3).await?;
    customer.post("/api/payments", json!({"order_id": id_of(&path)})).await?;
    let data = spending(&customer, |data| data["spent"] == 2999.97).await?;
    assert_eq!(data["categories"][0]["category"], "computers");
    customer.delete(&path).await?;
    let data = spending(&customer, |data| data["refunded"] == 2999.97).await?;
    assert_eq!((&data["net"], &data["categories"][0]["category"]), (&json!(0.0), &json!("computers")));
    Ok(())
}

#[tokio::test]
async fn the_demo_data_gives_the_documents_sample_answers() -> Result<()> {
    let stack = Stack::from_env()?;
    let admin = stack.demo("admin").await?;
    let alice = admin.get("/api/users/1").await?.body;
    assert_eq!((&alice["name"], &alice["email"]), (&json!("Alice Johnson"), &json!("alice@example.com")));
    let laptop = stack.nobody().get("/api/products/2").await?.body;
    assert_eq!((&laptop["name"], &laptop["price"]), (&json!("Laptop"), &json!(999.99)));
    let mut demo = Vec::new();
    for id in 1..=5 {
        demo.push(admin.get(&format!("/api/orders/{id}")).await?.body);
    }
    let with = |status: &str| demo.iter().filter(|order| order["status"] == status).collect::<Vec<_>>();
    let cents = |order: &&Value| (order["total"].as_f64().unwrap() * 100.0).round() as u64;
    assert_eq!((with("PENDING").len(), with("COMPLETED").len()), (2, 2));
    assert_eq!(with("COMPLETED").iter().map(cents).sum::<u64>(), 154_997);
    assert_eq!((&demo[0]["user_id"], &demo[0]["product"]), (&json!(1), &json!("Laptop")));
    Ok(())
}

#[tokio::test]
async fn a_declined_card_can_be_followed_by_a_good_one() -> Result<()> {
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    let path = order(&customer, user_id, 2, 1).await?;
    let pay =
        |method: &str| customer.post("/api/payments", json!({"order_id": id_of(&path), "payment_method": method}));
    let declined = pay("tok_declined").await?;
    assert_eq!((declined.status, &declined.body["code"]), (StatusCode::PAYMENT_REQUIRED, &json!("card_declined")));
    assert_eq!(pay("tok_ok").await?.status, StatusCode::CREATED);
    assert_eq!(pay("tok_ok").await?.status, StatusCode::CONFLICT);
    customer.eventually(&path, |order| order["confirmed"] == true && order["failed_payments"] == 1).await?;
    Ok(())
}

#[tokio::test]
async fn a_payment_whose_answer_is_lost_is_settled_by_the_providers_notification() -> Result<()> {
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    let path = order(&customer, user_id, 2, 1).await?;
    let body = json!({"order_id": id_of(&path), "payment_method": "tok_timeout"});
    let pending = customer.post("/api/payments", body).await?;
    assert_eq!((pending.status, &pending.body["status"]), (StatusCode::ACCEPTED, &json!("PENDING")));
    let payment = format!("/api/payments/{}", pending.body["id"]);
    customer.eventually(&payment, is("status", "COMPLETED")).await?;
    customer.eventually(&path, is("status", "PAID")).await?;
    Ok(())
}

#[tokio::test]
async fn a_provider_that_answers_twice_charges_once() -> Result<()> {
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    let path = order(&customer, user_id, 2, 1).await?;
    let body = json!({"order_id": id_of(&path), "payment_method": "tok_answers_twice"});
    assert_eq!(customer.post("/api/payments", body).await?.status, StatusCode::CREATED);
    customer.eventually(&path, |order| order["confirmed"] == true).await?;
    let payments = customer.get("/api/payments").await?.body;
    assert_eq!(payments["data"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn a_cancelled_order_releases_its_stock_and_gives_its_payment_back() -> Result<()> {
    let stack = Stack::from_env()?;
    let admin = stack.demo("admin").await?;
    let product_id = product(&admin, 5).await?;
    let (customer, user_id) = stack.newcomer().await?;
    let path = order(&customer, user_id, product_id, 2).await?;
    let payment = customer.post("/api/payments", json!({"order_id": id_of(&path)})).await?;
    customer.eventually(&path, |order| order["confirmed"] == true).await?;
    assert_eq!(customer.delete(&path).await?.body["status"], "CANCELLED");
    customer.eventually(&format!("/api/payments/{}", payment.body["id"]), is("status", "REFUNDED")).await?;
    let on_sale = |product: &Value| product["stock"] == 5 && product["reserved"] == 0 && product["sold"] == 0;
    customer.eventually(&format!("/api/products/{product_id}"), on_sale).await?;
    Ok(())
}

#[tokio::test]
async fn an_admins_refund_ends_the_order_and_shipping_needs_stock() -> Result<()> {
    let stack = Stack::from_env()?;
    let admin = stack.demo("admin").await?;
    let (customer, user_id) = stack.newcomer().await?;
    let path = order(&customer, user_id, 2, 1).await?;
    let payment = customer.post("/api/payments", json!({"order_id": id_of(&path)})).await?;
    customer.eventually(&path, |order| order["confirmed"] == true).await?;
    let refund = format!("/api/payments/{}/refund", payment.body["id"]);
    assert_eq!(customer.post(&refund, json!({})).await?.status, StatusCode::FORBIDDEN);
    assert_eq!(admin.post(&refund, json!({})).await?.status, StatusCode::ACCEPTED);
    let order = customer.eventually(&path, is("status", "CANCELLED")).await?;
    assert_eq!(order["cancel_reason"], "refunded");
    let shipped = admin.put(&format!("{path}/status"), json!({"status": "SHIPPED"})).await?;
    assert_eq!(shipped.status, StatusCode::CONFLICT);
    Ok(())
}

#[tokio::test]
async fn an_order_is_shipped_and_completed() -> Result<()> {
    let stack = Stack::from_env()?;
    let admin = stack.demo("admin").await?;
    let (customer, user_id) = stack.newcomer().await?;
    let path = order(&customer, user_id, 2, 1).await?;
    customer.post("/api/payments", json!({"order_id": id_of(&path)})).await?;
    customer.eventually(&path, |order| order["confirmed"] == true).await?;
    for status in ["SHIPPED", "COMPLETED"] {
        assert_eq!(admin.put(&format!("{path}/status"), json!({"status": status})).await?.body["status"], status);
    }
    assert_eq!(customer.delete(&path).await?.status, StatusCode::CONFLICT);
    Ok(())
}

#[tokio::test]
async fn the_same_request_twice_is_one_order() -> Result<()> {
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    let customer = customer.with_key(&Uuid::new_v4().to_string());
    let body = json!({"user_id": user_id, "product_id": 2, "quantity": 1});
    let twice = try_join_all((0..5).map(|_| customer.post("/api/orders", body.clone()))).await?;
    let created: Vec<_> = twice.iter().filter(|answer| answer.status == StatusCode::CREATED).collect();
    assert!(!created.is_empty());
    assert!(twice.iter().all(|answer| [StatusCode::CREATED, StatusCode::CONFLICT].contains(&answer.status)));
    assert!(created.iter().all(|answer| answer.body["id"] == created[0].body["id"]));
    let list = customer.get(&format!("/api/orders/user/{user_id}")).await?;
    assert_eq!(list.body["data"].as_array().map(Vec::len), Some(1), "{}", list.body);
    Ok(())
}

#[tokio::test]
async fn a_payment_that_is_sent_again_when_its_order_is_paid_is_answered_as_before() -> Result<()> {
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    let path = order(&customer, user_id, 2, 1).await?;
    let paying = customer.with_key(&Uuid::new_v4().to_string());
    let body = json!({"order_id": id_of(&path)});
    let first = paying.post("/api/payments", body.clone()).await?;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.body);
    customer.eventually(&path, |order| order["status"] == "PAID").await?;
    let again = paying.post("/api/payments", body.clone()).await?;
    assert_eq!((again.status, &again.body["id"]), (StatusCode::CREATED, &first.body["id"]), "{}", again.body);
    let other = customer.with_key(&Uuid::new_v4().to_string()).post("/api/payments", body).await?;
    assert_eq!((other.status, &other.body["code"]), (StatusCode::CONFLICT, &json!("already_paid")));
    Ok(())
}

#[tokio::test]
async fn strangers_see_nothing_of_each_other() -> Result<()> {
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    let (stranger, _) = stack.newcomer().await?;
    let path = order(&customer, user_id, 2, 1).await?;
    let payment = customer.post("/api/payments", json!({"order_id": id_of(&path)})).await?;
    for path in [&path, &format!("/api/payments/{}", payment.body["id"]), &format!("/api/users/{user_id}")] {
        assert_eq!(stranger.get(path).await?.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(stack.nobody().get(path).await?.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(stranger.delete(&path).await?.status, StatusCode::NOT_FOUND);
    let pay = stranger.post("/api/payments", json!({"order_id": id_of(&path)})).await?;
    assert_eq!(pay.status, StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test]
async fn a_deleted_user_can_no_longer_sign_in() -> Result<()> {
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    let path = format!("/api/users/{user_id}");
    customer.eventually(&path, |user| user["id"] == user_id).await?;
    assert_eq!(customer.get("/auth/verify").await?.status, StatusCode::OK);
    assert_eq!(customer.delete(&path).await?.status, StatusCode::NO_CONTENT);
    customer.eventually("/auth/verify", is("code", "unauthenticated")).await?;
    Ok(())
}

#[tokio::test]
async fn every_service_is_healthy_and_says_so_under_both_methods() -> Result<()> {
    let stack = Stack::from_env()?;
    assert_eq!(stack.nobody().get("/health").await?.body["overall_status"], "healthy");
    for service in ["auth", "users", "products", "orders", "payments"] {
        let path = format!("/api/{service}/health");
        assert_eq!(stack.nobody().get(&path).await?.body["status"], "healthy");
        assert_eq!(stack.nobody().post(&path, json!({})).await?.body["status"], "healthy");
    }
    let keys = stack.nobody().get("/.well-known/jwks.json").await?.body;
    assert_eq!(keys["keys"][0]["crv"], "Ed25519");
    Ok(())
}

/// Two hundred buyers at once for the last ten units, each paying as soon as the order stands.
#[tokio::test]
async fn the_last_ten_of_two_hundred_buyers_wishes_come_true_and_nobody_elses_money_is_kept() -> Result<()> {
    const BUYERS: usize = 200;
    const UNITS: u32 = 10;
    let stack = Stack::from_env()?;
    let admin = stack.demo("admin").await?;
    let product_id = product(&admin, UNITS).await?;
    let (customer, user_id) = stack.newcomer().await?;
    let buy = |_| async {
        let key = Uuid::new_v4().to_string();
        let wish = json!({"user_id": user_id, "product_id": product_id, "quantity": 1});
        let order = customer.post_patiently("/api/orders", &key, wish).await?;
        assert_eq!(order.status, StatusCode::CREATED, "{}", order.body);
        let payment = json!({"order_id": order.body["id"]});
        let payment = customer.post_patiently("/api/payments", &key, payment).await?;
        anyhow::Ok((format!("/api/orders/{}", order.body["id"]), payment))
    };
    let at_once = emulator::most_at_once().unwrap_or(BUYERS);
    let bought: Vec<_> = stream::iter((0..BUYERS).map(buy)).buffered(at_once).try_collect().await?;
    let mut reserved = 0;
    for (path, payment) in bought {
        let settled = |order: &Value| order["confirmed"] == true || order["status"] == "CANCELLED";
        let order = customer.eventually(&path, settled).await?;
        let kept = order["status"] != "CANCELLED";
        reserved += u32::from(kept);
        if payment.status == StatusCode::CREATED {
            let expected = if kept { "COMPLETED" } else { "REFUNDED" };
            let path = format!("/api/payments/{}", payment.body["id"]);
            customer.eventually(&path, |payment| payment["status"] == expected).await?;
        } else {
            assert_eq!((payment.status, kept), (StatusCode::CONFLICT, false), "{}", payment.body);
        }
    }
    assert_eq!(reserved, UNITS);
    let sold_out = |product: &Value| product["stock"] == 0 && product["reserved"] == 0 && product["sold"] == UNITS;
    customer.eventually(&format!("/api/products/{product_id}"), sold_out).await?;
    Ok(())
}
