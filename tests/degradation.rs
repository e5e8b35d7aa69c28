//! What goes on while a part of the running system is away, and what comes back with it.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use aws_sdk_sqs::{
    Client,
    types::{QueueAttributeName, SendMessageBatchRequestEntry},
};
use e2e::{
    Session, Stack, dead_letters,
    emulator::Feature,
    policy::{self, Hastened, Restriction},
    processes, resilience, soak,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::aws;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep},
};
use uuid::Uuid;

/// A consumer that others wait for.
const CONSUMER: &str = "products-on-order-events";

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
    sleep(Duration::from_secs(3)).await;
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
    let hastened = policy::hasten(CONSUMER, 15).await?;
    let functions = ["products-get", "products-list", "products-create", "products-health", CONSUMER];
    let restricted = policy::restrict(&functions, Restriction::Narrow("NOTHING#"))?;
    let product = customer.get("/api/products/2").await;
    let creation = admin.post("/api/products", new.clone()).await;
    let list = customer.get("/api/products").await;
    let health = customer.get("/health").await;
    let placed = order(&customer, user_id).await;
    let orders = customer.get(&format!("/api/orders/user/{user_id}")).await;
    let waiting = match &placed {
        Ok(order) => tried(&customer, order, &hastened).await,
        Err(_) => Ok(Value::Null),
    };
    restricted.restore()?;
    hastened.restore().await?;
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
    assert!(!is_reserved(&waiting?), "nothing is set aside without the table");
    customer.eventually(&format!("/api/orders/{}", placed?), is_reserved).await?;
    Ok(())
}

/// The order after its consumer has tried to handle it.
async fn tried(customer: &Session, order: &str, queue: &Hastened) -> Result<Value> {
    let started = Instant::now();
    while queue.in_flight().await? == 0 {
        ensure!(started.elapsed() < Duration::from_secs(10), "the consumer was told nothing");
        sleep(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_secs(2)).await;
    Ok(customer.get(&format!("/api/orders/{order}")).await?.body)
}

#[tokio::test]
async fn what_a_consumer_cannot_handle_waits_with_its_reason_and_is_brought_home_by_a_redrive() -> Result<()> {
    if !Feature::Policies.is_there() {
        return Ok(());
    }
    let _alone = alone().await;
    let stack = Stack::from_env()?;
    let admin = stack.demo("admin").await?;
    let (customer, user_id) = stack.newcomer().await?;
    let hastened = policy::hasten(CONSUMER, 1).await?;
    let restricted = policy::restrict(&[CONSUMER], Restriction::Take("dynamodb:GetItem"))?;
    let placed = order(&customer, user_id).await;
    let path = format!("/api/events/dead-letters?queue={CONSUMER}");
    let waiting = match &placed {
        Ok(order) => {
            let of_order = |letter: &Value| letter.to_string().contains(order);
            admin.eventually(&path, |page| page["data"].as_array().is_some_and(|all| all.iter().any(of_order))).await
        }
        Err(_) => Ok(Value::Null),
    };
    restricted.restore()?;
    hastened.restore().await?;
    let (order, waiting) = (placed?, waiting?);
    let letter = waiting["data"].as_array().unwrap().iter().find(|letter| letter.to_string().contains(&order)).unwrap();
    assert!(letter["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{letter}");
    let redrive = admin.post(&format!("/api/events/dead-letters/{CONSUMER}/redrive"), json!({})).await?;
    assert!(redrive.status.is_success(), "{}", redrive.body);
    customer.eventually(&format!("/api/orders/{order}"), is_reserved).await?;
    admin.eventually(&path, |page| page["data"] == json!([])).await?;
    Ok(())
}

/// Two queues, of which one is to be emptied into the other.
struct Redrive {
    admin: Session,
    sqs: Client,
    dead: String,
    home: String,
}

impl Redrive {
    const LETTERS: usize = 200;

    async fn new(admin: Session) -> Result<Self> {
        let sqs = Client::new(&aws::sdk_config()?);
        let url = async |name: String| {
            let answer = sqs.get_queue_url().queue_name(name).send().await?;
            answer.queue_url.context("a queue without a URL")
        };
        let (dead, home) = (url(format!("local-{CONSUMER}-dlq")).await?, url(format!("local-{CONSUMER}")).await?);
        Ok(Self { admin, sqs, dead, home })
    }

    async fn plant(&self) -> Result<()> {
        let numbers: Vec<usize> = (0..Self::LETTERS).collect();
        for numbers in numbers.chunks(10) {
            let entry = |number: &usize| {
                let entry = SendMessageBatchRequestEntry::builder().id(number.to_string());
                entry.message_body(format!("planted {number}")).build().unwrap()
            };
            let batch = self.sqs.send_message_batch().queue_url(&self.dead);
            batch.set_entries(Some(numbers.iter().map(entry).collect())).send().await?;
        }
        Ok(())
    }

    async fn call(&self, dry_run: bool) -> Result<Value> {
        let path = format!("/api/events/dead-letters/{CONSUMER}/redrive");
        Ok(self.admin.post(&path, json!({"dry_run": dry_run})).await?.body)
    }

    async fn waiting(&self, url: &str) -> Result<usize> {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let asked = self.sqs.get_queue_attributes().queue_url(url).attribute_names(name.clone()).send().await?;
        Ok(asked.attributes.unwrap_or_default().get(&name).context("a queue without a depth")?.parse()?)
    }

    /// Kills the redrive when it has sent some messages home.
    async fn kill_half_way(&self) -> Result<usize> {
        let mut moved = 0;
        while moved < Self::LETTERS / 10 {
            sleep(Duration::from_millis(5)).await;
            moved = self.waiting(&self.home).await?;
        }
        processes::kill("local-events-redrive")?;
        Ok(moved)
    }

    /// Has it done again until nothing is left. What the one that was killed had taken comes back after 30 s.
    async fn finish(&self) -> Result<()> {
        let started = Instant::now();
        while self.call(false).await?["complete"] != true {
            ensure!(started.elapsed() < Duration::from_secs(90), "the redrive does not end");
            sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    /// The bodies of what is home, which is removed.
    async fn take_home(&self) -> Result<BTreeSet<String>> {
        let home = dead_letters::all(&self.sqs, &self.home).await?;
        dead_letters::remove(&self.sqs, &self.home, |_| true).await?;
        dead_letters::remove(&self.sqs, &self.dead, |_| true).await?;
        Ok(home.into_values().filter_map(|message| message.body).collect())
    }
}

#[tokio::test]
async fn a_redrive_that_is_killed_half_way_loses_nothing_and_is_finished_by_the_next() -> Result<()> {
    if !Feature::Processes.is_there() {
        return Ok(());
    }
    let _alone = alone().await;
    let redrive = Redrive::new(Stack::from_env()?.demo("admin").await?).await?;
    resilience::operate("stop-service", "products")?;
    let outcome = async {
        redrive.plant().await?;
        ensure!(redrive.call(true).await?["messages"] == Redrive::LETTERS, "other messages are there");
        let (killed, moved) = tokio::join!(redrive.call(false), redrive.kill_half_way());
        let left = redrive.waiting(&redrive.dead).await?;
        redrive.finish().await?;
        Ok((killed, moved?, left))
    };
    let outcome = outcome.await;
    let home = redrive.take_home().await;
    resilience::operate("start-service", "products")?;
    let (killed, moved, left) = outcome?;
    assert!(killed.is_ok_and(|answer| answer["complete"].is_null()), "the redrive was not killed");
    assert!(moved < Redrive::LETTERS && left > 0, "{moved} were home and {left} not when it was killed");
    let planted: BTreeSet<String> = (0..Redrive::LETTERS).map(|number| format!("planted {number}")).collect();
    assert_eq!(home?, planted);
    Ok(())
}
