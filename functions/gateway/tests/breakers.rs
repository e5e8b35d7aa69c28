//! Breakers reset by hand.

#![allow(clippy::unwrap_used)]

use axum::http::StatusCode;
use gateway::http::reset_breaker;
use serde_json::json;
use shared::breaker::Breaker;
use testing::{Api, Database, Fault};

const PATH: &str = "/circuit-breaker/reset/auth";

#[tokio::test]
async fn an_open_breaker_that_an_admin_resets_lets_calls_pass_again() {
    let platform = Database::new().table("platform");
    let breaker = || Breaker::new(platform.clone(), "auth");
    for _ in 0..3 {
        breaker().admit().await.unwrap().failed().await;
    }
    assert!(breaker().admit().await.is_err());
    let answer = Api::new(reset_breaker::router(platform.clone())).admin().post(PATH, &json!({})).await;
    assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({"service": "auth", "state": "closed"})));
    breaker().admit().await.unwrap().failed().await;
    assert!(breaker().admit().await.is_ok(), "failures are counted from the beginning again");
}

#[tokio::test]
async fn the_documents_names_of_services_are_understood() {
    let api = Api::new(reset_breaker::router(Database::new().table("platform"))).admin();
    for (name, service) in [("sensor", "sensors"), ("kafka", "events"), ("payments", "payments")] {
        let answer = api.post(&format!("/circuit-breaker/reset/{name}"), &json!({})).await;
        assert_eq!((answer.status, &answer.body["service"]), (StatusCode::OK, &json!(service)));
    }
}

#[tokio::test]
async fn only_an_admin_resets_and_only_what_there_is() {
    let database = Database::new();
    let api = Api::new(reset_breaker::router(database.table("platform")));
    assert_eq!(api.post(PATH, &json!({})).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(api.customer(1).post(PATH, &json!({})).await.status, StatusCode::FORBIDDEN);
    let unknown = api.admin().post("/circuit-breaker/reset/ghost", &json!({})).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(database.calls().is_empty());
    database.inject(Fault::Down);
    assert_eq!(api.admin().post(PATH, &json!({})).await.status, StatusCode::SERVICE_UNAVAILABLE);
}
