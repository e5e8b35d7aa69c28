//! The sample events beside the sources are what the functions take.

use events::http::{event_stats, list_dead_letters, list_events, redrive, replay_events};
use lambda_runtime::LambdaEvent;
use serde_json::json;
use shared::{consumer, event::Role, health};
use testing::{Samples, identity, token};

use crate::world::{FakeQueues, Log};

const SAMPLES: Samples = Samples::of("events");

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
        let placeholders = [("ACCESS_TOKEN", &*token(1, Role::Admin))];
        let (status, body) = SAMPLES.send(function, &placeholders, identity(), router).await;
        assert!(status.is_success(), "{function}: {status} {body}");
    }
}

#[tokio::test]
async fn the_log_takes_its_sample_event_and_refuses_what_is_none() {
    let log = Log::new();
    let mut batch: serde_json::Value = serde_json::from_str(&SAMPLES.text("events-on-all-events")).unwrap();
    let mut broken = batch["Records"][0].clone();
    broken["messageId"] = json!("broken");
    broken["body"] = json!(r#"{"source":"quayside.orders","detail":{"type":"order.created"}}"#);
    batch["Records"].as_array_mut().unwrap().push(broken);
    let consumer = events::consumers::all_events::AllEvents { table: log.table.clone(), retention: None };
    let answer = consumer::batches(consumer).invoke(LambdaEvent::new(batch, lambda_runtime::Context::default())).await;
    assert_eq!(answer.unwrap(), json!({"batchItemFailures": [{"itemIdentifier": "broken"}]}));
    let listed = log.list("aggregate=Order:42").await;
    assert_eq!((&listed[0]["data"]["total"], &listed[0]["service"]), (&json!(2999.97), &json!("orders")));
}
