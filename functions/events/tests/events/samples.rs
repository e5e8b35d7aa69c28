//! The sample events beside the sources are what the functions take.

use std::fs;

use axum::{Router, body::Body, http::Method};
use events::http::{event_stats, list_dead_letters, list_events, redrive, replay_events};
use http_body_util::BodyExt;
use lambda_runtime::LambdaEvent;
use serde_json::json;
use shared::{consumer, health};
use testing::{Answer, Api};

use crate::world::{FakeQueues, Log};

fn sample(function: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/events");
    fs::read_to_string(format!("{path}/{function}.json")).unwrap()
}

/// Sends a function's sample event as an admin, as `lambda_http` reads it.
async fn send(function: &str, router: Router) -> Answer {
    let request = lambda_http::request::from_str(&sample(function)).unwrap();
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().as_str().trim_start_matches("/live").to_owned();
    let api = Api::new(router).admin();
    if parts.method == Method::GET {
        return api.get(&path).await;
    }
    let content_type = parts.headers["content-type"].to_str().unwrap().to_owned();
    let body = body.collect().await.unwrap().to_bytes();
    api.with("content-type", &content_type).post_raw(&path, Body::from(body)).await
}

#[tokio::test]
async fn every_endpoint_takes_its_sample_event() {
    let log = Log::new();
    let rule = json!({"source": ["quayside.users"]});
    let queues = FakeQueues::with(&[("orders-on-user-events", rule)]).shared();
    let table = log.table.clone();
    let endpoints = [
        ("events-list", list_events::router(table.clone())),
        ("events-stats", event_stats::router(table.clone(), queues.clone())),
        ("events-dead-letters", list_dead_letters::router(log.database.table("platform"), queues.clone())),
        ("events-redrive", redrive::router(queues.clone())),
        ("events-replay", replay_events::router(table.clone(), queues.clone())),
        ("events-health", health::router(events::SERVICE, "1.2.3", table.clone(), events::http::health::PATHS)),
    ];
    for (function, router) in endpoints {
        let answer = send(function, router).await;
        assert!(answer.status.is_success(), "{function}: {} {}", answer.status, answer.body);
    }
}

#[tokio::test]
async fn the_log_takes_its_sample_event_and_refuses_what_is_none() {
    let log = Log::new();
    let mut batch: serde_json::Value = serde_json::from_str(&sample("events-on-all-events")).unwrap();
    let mut broken = batch["Records"][0].clone();
    broken["messageId"] = json!("broken");
    broken["body"] = json!(r#"{"source":"quayside.orders","detail":{"type":"order.created"}}"#);
    batch["Records"].as_array_mut().unwrap().push(broken);
    let consumer = events::consumers::all_events::AllEvents { table: log.table.clone(), retention: None };
    let answer = consumer::function(consumer).invoke(LambdaEvent::new(batch, lambda_runtime::Context::default())).await;
    assert_eq!(answer.unwrap(), json!({"batchItemFailures": [{"itemIdentifier": "broken"}]}));
    let listed = log.list("aggregate=Order:42").await;
    assert_eq!((&listed[0]["data"]["total"], &listed[0]["service"]), (&json!(2999.97), &json!("orders")));
}
