use std::{sync::Arc, time::Duration};

use analytics::{
    consumers::payment_events,
    http::health_detailed,
    queue::{EventQueue, QueueDepth, QueueError},
};
use axum::http::StatusCode;
use serde_json::{Value, json};
use shared::{
    auth::{ApiKeyRecord, ApiKeySecret, Scope},
    consumer,
    id::Id,
    table::Transaction,
    time::Timestamp,
};
use testing::{Answer, Api, Fault};

use crate::world::{Entry, World, paid, question, world};

const PATH: &str = "/api/analytics/health/detailed";

pub struct Queue(pub Result<QueueDepth, QueueError>);

#[async_trait::async_trait]
impl EventQueue for Queue {
    async fn depth(&self) -> Result<QueueDepth, QueueError> {
        self.0.clone()
    }
}

pub const EMPTY: QueueDepth = QueueDepth { waiting: 0, in_flight: 0, dead_letters: 0 };

fn api(world: &World, depth: Result<QueueDepth, QueueError>) -> Api {
    Api::accepting_keys(health_detailed::router(world.table.clone(), Arc::new(Queue(depth))), &world.platform)
}

async fn detailed(world: &World, depth: Result<QueueDepth, QueueError>) -> Answer {
    api(world, depth).admin().get(PATH).await
}

/// Delivers a batch as Lambda does; the messages' ids are their numbers.
async fn deliver(world: &World, bodies: &[String]) -> Value {
    let records: Vec<Value> = bodies
        .iter()
        .enumerate()
        .map(|(n, body)| json!({"messageId": n.to_string(), "body": body, "eventSource": "aws:sqs"}))
        .collect();
    let function = payment_events::tracked(&world.table, consumer::function(world.consumer()));
    let payload = json!({ "Records": records });
    function.invoke(lambda_runtime::LambdaEvent::new(payload, Default::default())).await.unwrap()
}

fn body(entry: &Entry) -> String {
    json!({"source": "quayside.payments", "detail-type": "payment.completed", "detail": entry.event()}).to_string()
}

#[tokio::test]
async fn before_the_first_event_all_is_zero() {
    let answer = detailed(&world(), Ok(EMPTY)).await;
    let expected = json!({"status": "healthy", "service": "analytics", "version": "0.1.0",
        "read_model": {"version": 1, "building": null, "facts": 0},
        "lag": {"newest_seen": null, "newest_applied": null, "milliseconds": 0},
        "cache": {"hours": 24, "hits": 0, "misses": 0, "rate": null},
        "queue": {"waiting": 0, "in_flight": 0, "dead_letters": 0}});
    assert_eq!((answer.status, answer.body), (StatusCode::OK, expected));
}

#[tokio::test]
async fn the_lag_is_from_the_newest_event_seen_to_the_newest_applied() {
    let world = world();
    let entry = |payment, at| paid(payment, 7, "books", 100, at);
    let mut poisoned = entry(3, "2026-01-15T10:00:07.500Z").event();
    poisoned.version = 2;
    let poisoned = json!({"source": "quayside.payments", "detail": poisoned}).to_string();
    let batch =
        [body(&entry(1, "2026-01-15T10:00:00Z")), body(&entry(2, "2026-01-15T09:00:00Z")), poisoned, "{}".into()];
    assert_eq!(
        deliver(&world, &batch).await["batchItemFailures"],
        json!([{"itemIdentifier": "2"}, {"itemIdentifier": "3"}])
    );
    let lag = detailed(&world, Ok(EMPTY)).await.body["lag"].clone();
    let expected = json!({"newest_seen": "2026-01-15T10:00:07.500Z", "newest_applied": "2026-01-15T10:00:00.000Z", "milliseconds": 7500});
    assert_eq!(lag, expected);
    // An older event, applied later, moves nothing back; a newer one ends the lag.
    deliver(&world, &[body(&entry(4, "2026-01-15T08:00:00Z"))]).await;
    assert_eq!(detailed(&world, Ok(EMPTY)).await.body["lag"], expected);
    deliver(&world, &[body(&entry(5, "2026-01-15T11:00:00Z"))]).await;
    assert_eq!(detailed(&world, Ok(EMPTY)).await.body["lag"]["milliseconds"], 0);
}

#[tokio::test]
async fn events_that_were_seen_and_not_applied_are_a_lag_from_the_first_on() {
    let world = world();
    let mut poisoned = paid(1, 7, "books", 100, "2026-01-15T10:00:00Z").event();
    poisoned.data = json!({});
    deliver(&world, &[json!({"source": "quayside.payments", "detail": poisoned}).to_string()]).await;
    let lag = detailed(&world, Ok(EMPTY)).await.body["lag"].clone();
    assert_eq!((&lag["newest_seen"], &lag["newest_applied"]), (&json!("2026-01-15T10:00:00.000Z"), &Value::Null));
    assert!(lag["milliseconds"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_consumer_that_has_stopped_is_a_lag_and_beyond_five_minutes_a_degraded_service() {
    let waiting = Ok(QueueDepth { waiting: 3, in_flight: 0, dead_letters: 0 });
    for (minutes, status) in [(1, "healthy"), (20, "degraded")] {
        let world = world();
        let at = Timestamp::now().minus(Duration::from_secs(minutes * 60));
        deliver(&world, &[body(&Entry { at, ..paid(1, 7, "books", 100, "2026-01-15T10:00:00Z") })]).await;
        // All that came was applied; what waits was seen by nobody.
        let idle = detailed(&world, Ok(EMPTY)).await.body;
        assert_eq!((&idle["status"], &idle["lag"]["milliseconds"]), (&json!("healthy"), &json!(0)));
        let stopped = detailed(&world, waiting.clone()).await.body;
        let lag = stopped["lag"]["milliseconds"].as_u64().unwrap();
        assert!((minutes * 60_000..minutes * 60_000 + 30_000).contains(&lag), "{lag}");
        assert_eq!(stopped["status"], status);
    }
    let never = detailed(&world(), waiting).await.body;
    assert_eq!((&never["status"], &never["lag"]["milliseconds"]), (&json!("degraded"), &Value::Null));
}

#[tokio::test]
async fn the_cache_rate_is_of_the_questions_asked() {
    let world = world();
    let ask = question("cash_flow", "user", "2026-01-01", "2026-02-01");
    for _ in 0..4 {
        world.ask(&ask).await;
    }
    let answer = detailed(&world, Ok(EMPTY)).await.body;
    assert_eq!(answer["cache"], json!({"hours": 24, "hits": 3, "misses": 1, "rate": 0.75}));
}

#[tokio::test]
async fn dead_letters_and_a_silent_queue_are_a_degraded_service() {
    let world = world();
    let answer = detailed(&world, Ok(QueueDepth { waiting: 3, in_flight: 2, dead_letters: 1 })).await;
    assert_eq!((answer.status, &answer.body["status"]), (StatusCode::OK, &json!("degraded")));
    assert_eq!(answer.body["queue"], json!({"waiting": 3, "in_flight": 2, "dead_letters": 1}));
    let answer = detailed(&world, Err(QueueError("away".into()))).await;
    assert_eq!((&answer.body["status"], &answer.body["queue"]), (&json!("degraded"), &Value::Null));
}

#[tokio::test]
async fn a_lost_table_is_an_unhealthy_service() {
    let world = world();
    world.database.inject(Fault::Down);
    let answer = detailed(&world, Ok(EMPTY)).await;
    assert_eq!((answer.status, &answer.body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unhealthy")));
    assert_eq!(answer.body["queue"], json!({"waiting": 0, "in_flight": 0, "dead_letters": 0}));
}

#[tokio::test]
async fn only_a_key_for_it_and_an_admin_see_the_details() {
    let world = world();
    let key = async |scope| {
        let (id, secret) = (Id::generate(), ApiKeySecret::generate().unwrap());
        let record = ApiKeyRecord::new(id, &secret, "monitor", &[scope], 1000, None);
        world.platform.commit(Transaction::new().insert(&record)).await.unwrap();
        secret.key_text(id)
    };
    let api = api(&world, Ok(EMPTY));
    assert_eq!(api.get(PATH).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(api.customer(7).get(PATH).await.status, StatusCode::FORBIDDEN);
    let (good, other) = (key(Scope::AnalyticsRead).await, key(Scope::RegistryRead).await);
    assert_eq!(api.with("x-api-key", &good).get(PATH).await.status, StatusCode::OK);
    assert_eq!(api.with("x-api-key", &other).get(PATH).await.status, StatusCode::FORBIDDEN);
}
