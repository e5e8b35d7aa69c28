//! What the kit does around a consumer: telling repetitions, and keeping the reasons of failures.

#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use shared::{
    consumer::{
        self, BatchConsumer, BusMessage, Consumer, ConsumerError, Delivery, Group, MessageHandler, Outcome,
        batches_recorded, messages_recorded,
    },
    event::Envelope,
    failure::{FailureRecord, Failures},
    table::{Table, Transaction},
};
use testing::{Database, Fault};

struct Noting {
    table: Table,
}

#[async_trait]
impl Consumer for Noting {
    fn name(&self) -> &'static str {
        "noting"
    }

    async fn handle(&self, delivery: &Delivery) -> Result<(), ConsumerError> {
        assert_eq!(delivery.service.as_deref(), Some("orders"));
        Ok(self.table.commit(Transaction::new().once(delivery)).await?)
    }
}

fn message(rebuild: Option<&str>) -> BusMessage {
    let event: Envelope = serde_json::from_value(json!({
        "id": "019bc134-2343-7c01-8a53-9d2f64b1e0aa", "type": "order.created", "version": 1, "aggregate_type": "Order",
        "aggregate_id": 42, "correlation_id": "c", "causation_id": null, "occurred_at": "2026-01-15T10:30:45.123Z",
        "data": {}}))
    .unwrap();
    BusMessage { source: "quayside.orders".into(), detail: event, rebuild: rebuild.map(str::to_owned) }
}

#[tokio::test]
async fn an_event_is_handled_once_and_once_more_for_each_rebuild() {
    let consumer = Noting { table: Database::new().table("noting") };
    let deliveries =
        [(None, true), (None, false), (Some("a"), true), (Some("a"), false), (Some("b"), true), (None, false)];
    for (rebuild, handled) in deliveries {
        let expected = if handled { Outcome::Handled } else { Outcome::Duplicate };
        assert_eq!(consumer::deliver(&consumer, message(rebuild)).await.unwrap(), expected, "{rebuild:?}");
    }
}

/// Fails to handle whatever says so.
struct Failing;

#[async_trait]
impl MessageHandler for Failing {
    async fn handle(&self, body: &str) -> Result<(), ConsumerError> {
        if body == "good" { Ok(()) } else { Err(ConsumerError::Rejected(body.to_owned())) }
    }
}

/// Notes batches of events, and cannot note user 13's.
struct NotingBatches {
    table: Table,
}

#[async_trait]
impl BatchConsumer for NotingBatches {
    fn name(&self) -> &'static str {
        "noting-batches"
    }

    fn limit(&self) -> usize {
        10
    }

    fn group(&self, event: &Envelope) -> Result<Group, ConsumerError> {
        match event.aggregate_id.to_string().as_str() {
            "13" => Err(ConsumerError::Rejected("thirteen".into())),
            _ => Ok(Group { lane: String::new(), name: String::new() }),
        }
    }

    async fn handle(&self, deliveries: &[Delivery]) -> Result<(), ConsumerError> {
        Ok(self.table.commit(deliveries.iter().fold(Transaction::new(), Transaction::once)).await?)
    }
}

async fn invoke(failures: Failures, bodies: &[&str], attempt: u32) -> Value {
    messages_recorded(Failing, failures).invoke(batch(bodies, attempt)).await.unwrap()
}

fn batch(bodies: &[&str], attempt: u32) -> LambdaEvent<Value> {
    let records: Vec<_> = bodies
        .iter()
        .enumerate()
        .map(|(number, body)| {
            json!({"messageId": format!("m{number}"), "body": body, "awsRegion": "eu-central-1",
                "attributes": {"ApproximateReceiveCount": attempt.to_string()},
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:local-orders-on-user-events"})
        })
        .collect();
    LambdaEvent::new(json!({ "Records": records }), lambda_runtime::Context::default())
}

#[tokio::test]
async fn the_reason_of_the_latest_failure_is_kept_for_a_month() {
    let database = Database::new();
    let platform = database.table("platform");
    let long = "x".repeat(5000);
    invoke(Failures::new(platform.clone()), &["bad", "good", &long], 1).await;
    let answer = invoke(Failures::new(platform.clone()), &["worse", "good", &long], 2).await;
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "m0"}, {"itemIdentifier": "m2"}]}));
    let record = |message| {
        let key = FailureRecord::key_of("local-orders-on-user-events", message);
        let platform = platform.clone();
        async move { platform.get::<FailureRecord>(&key).await.unwrap() }
    };
    let kept = record("m0").await.unwrap();
    assert_eq!((kept.reason.as_str(), kept.attempts), ("worse", 2));
    assert_eq!(record("m1").await, None);
    assert_eq!(record("m2").await.unwrap().reason.len(), 1000);
    let items = database.items(&platform);
    let ttl: i64 = items[0]["ttl"]["N"].as_str().unwrap().parse().unwrap();
    assert!(ttl > kept.failed_at.unix_seconds() + 29 * 24 * 3600);
}

#[tokio::test]
async fn a_batch_without_failures_writes_nothing_and_one_whose_reasons_cannot_be_kept_fails_as_it_would() {
    let database = Database::new();
    let platform = database.table("platform");
    assert_eq!(invoke(Failures::new(platform.clone()), &["good"], 1).await, json!({"batchItemFailures": []}));
    assert!(database.calls().is_empty());
    database.inject(Fault::Down);
    let expected = json!({"batchItemFailures": [{"itemIdentifier": "m0"}]});
    assert_eq!(invoke(Failures::new(platform), &["bad"], 1).await, expected);
}

#[tokio::test]
async fn a_batch_keeps_the_reasons_of_its_failures_and_handles_a_replay_once_more() {
    let database = Database::new();
    let platform = database.table("platform");
    let noting = database.table("noting");
    let function = batches_recorded(NotingBatches { table: noting.clone() }, Failures::new(platform.clone()));
    let text = |rebuild| serde_json::to_string(&message(rebuild)).unwrap();
    let unlucky = text(None).replace("\"aggregate_id\":42", "\"aggregate_id\":13");
    let bodies = [&*text(None), &*text(Some("a")), "not an event", &*unlucky.replace("b1e0aa", "b1e0ab")];
    for _ in 0..2 {
        let answer = function.invoke(batch(&bodies, 1)).await.unwrap();
        assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "m2"}, {"itemIdentifier": "m3"}]}));
    }
    let reason = async |message: &str| {
        let key = FailureRecord::key_of("local-orders-on-user-events", message);
        platform.get::<FailureRecord>(&key).await.unwrap().unwrap().reason
    };
    assert!(reason("m2").await.contains("not an event of this system"));
    assert_eq!(reason("m3").await, "thirteen");
    assert_eq!(database.items(&noting).len(), 2, "once for the bus and once for the rebuild");
}
