//! What the gateway says of the system while parts of it are away.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use axum::http::StatusCode;
use gateway::{SERVICES, http::health};
use serde_json::{Value, json};
use shared::{breaker::Breaker, table::Table};
use testing::{Answer, Api, Behaviour, Database, Fault, Functions};

fn health_function(service: &str) -> String {
    format!("{service}-health")
}

fn says(status: u16, service: &str, health: &str) -> Behaviour {
    Behaviour::Answers(status, json!({"status": health, "service": service, "version": "1.2.3"}))
}

/// Every service's health function, well.
fn healthy() -> Functions {
    let functions = Functions::default();
    for service in SERVICES {
        functions.set(&health_function(service), says(200, service, "healthy"));
    }
    functions
}

async fn ask(functions: &Functions, platform: &Table) -> Answer {
    let clients = SERVICES.map(|service| functions.client(service, platform));
    Api::new(health::router(clients.to_vec(), platform.clone())).get("/health").await
}

fn statuses(answer: &Answer) -> Vec<&str> {
    SERVICES.iter().map(|service| answer.body["services"][service]["status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_system_whose_services_all_answer_is_healthy() {
    let functions = healthy();
    let answer = ask(&functions, &Database::new().table("platform")).await;
    assert_eq!((answer.status, &answer.body["overall_status"]), (StatusCode::OK, &json!("healthy")));
    assert_eq!(answer.body["gateway"], "healthy");
    assert_eq!(statuses(&answer), ["healthy"; SERVICES.len()]);
    assert_eq!(answer.body["services"]["auth"], json!({"status": "healthy", "version": "1.2.3"}));
    let closed: serde_json::Map<_, _> = SERVICES.iter().map(|name| (name.to_string(), json!("closed"))).collect();
    assert_eq!(answer.body["circuit_breakers"], Value::Object(closed));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_answer_well_makes_a_degraded_system_and_no_error() {
    use Behaviour::{Babbles, Crashes, Hangs, Missing};
    for behaviour in [says(503, "orders", "unhealthy"), Crashes, Missing, Hangs, Babbles] {
        let functions = healthy();
        functions.set("orders-health", behaviour.clone());
        let answer = ask(&functions, &Database::new().table("platform")).await;
        assert_eq!((answer.status, &answer.body["overall_status"]), (StatusCode::OK, &json!("degraded")));
        let expected = SERVICES.map(|service| if service == "orders" { "unhealthy" } else { "healthy" });
        assert_eq!(statuses(&answer), expected, "{behaviour:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn services_that_hang_are_waited_for_together_and_not_for_long() {
    let functions = healthy();
    SERVICES.iter().for_each(|service| functions.set(&health_function(service), Behaviour::Hangs));
    let started = tokio::time::Instant::now();
    let answer = ask(&functions, &Database::new().table("platform")).await;
    assert_eq!((answer.status, &answer.body["overall_status"]), (StatusCode::OK, &json!("unhealthy")));
    assert!(started.elapsed() < Duration::from_millis(1600), "{:?}", started.elapsed());
    assert_eq!(functions.calls().len(), SERVICES.len());
}

#[tokio::test(start_paused = true)]
async fn the_services_are_asked_once_a_second_however_often_anybody_asks() {
    let (functions, platform) = (healthy(), Database::new().table("platform"));
    let clients = SERVICES.map(|service| functions.client(service, &platform));
    let api = Api::new(health::router(clients.to_vec(), platform));
    for _ in 0..3 {
        assert_eq!(api.get("/health").await.body["overall_status"], "healthy");
    }
    assert_eq!(functions.calls().len(), SERVICES.len());
    functions.set("auth-health", Behaviour::Crashes);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(api.get("/health").await.body["overall_status"], "degraded");
}

#[tokio::test]
async fn an_open_breaker_is_shown_and_the_service_behind_it_still_asked() {
    let platform = Database::new().table("platform");
    let breaker = Breaker::new(platform.clone(), "products");
    for _ in 0..3 {
        breaker.admit().await.unwrap().failed().await;
    }
    let functions = healthy();
    let answer = ask(&functions, &platform).await;
    assert_eq!(answer.body["circuit_breakers"]["products"], "open");
    assert_eq!(answer.body["circuit_breakers"]["orders"], "closed");
    assert_eq!(answer.body["services"]["products"]["status"], "healthy");
    assert!(breaker.admit().await.is_err());
}

#[tokio::test]
async fn health_is_told_without_the_breakers_when_their_table_is_away() {
    let database = Database::new();
    let platform = database.table("platform");
    database.inject(Fault::Down);
    let answer = ask(&healthy(), &platform).await;
    assert_eq!((answer.status, &answer.body["overall_status"]), (StatusCode::OK, &json!("healthy")));
    assert_eq!(answer.body["circuit_breakers"], json!({}));
}
