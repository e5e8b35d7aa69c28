use std::collections::HashSet;

use axum::http::StatusCode;
use events::http::replay_events;
use serde_json::{Value, json};
use shared::{
    consumer::{self, Consumer, ConsumerError, Delivery, Outcome},
    table::{Key, Table, Transaction, Update},
};
use testing::{Answer, Api, Fault};

use crate::world::{FakeQueues, Log, Trouble, at, event};

const CONSUMER: &str = "users-on-account-events";

/// A log of five minutes, one event a second, and the queues of a stack.
struct Operator {
    log: Log,
    queues: FakeQueues,
}

impl Operator {
    async fn new() -> Self {
        let log = Log::new();
        for second in 0..300 {
            let (service, event_type) = match second % 5 {
                0 => ("auth", "user.registered"),
                1 => ("auth", "account.updated"),
                2 => ("users", "user.registered"),
                _ => ("sensors", "sensor.reading_recorded"),
            };
            log.deliver(service, &event(second * 1000, event_type, u64::try_from(second).unwrap() + 1)).await;
        }
        let rule = json!({"source": ["quayside.auth"], "detail-type": ["user.registered", "account.updated"]});
        let all = json!({"source": [{"prefix": "quayside."}]});
        let odd = json!({"source": [{"anything-but": "x"}]});
        let queues = FakeQueues::with(&[(CONSUMER, rule), ("events-on-all-events", all), ("odd-on-events", odd)]);
        log.database.calls();
        Self { log, queues }
    }

    async fn replay(&self, body: Value) -> Answer {
        let router = replay_events::router(self.log.table.clone(), self.queues.shared());
        Api::new(router).admin().post("/api/events/replay", &body).await
    }

    /// Goes on until the replay is done, and says how many events went.
    async fn replay_all(&self, mut body: Value) -> u64 {
        let mut events = 0;
        loop {
            let answer = self.replay(body.clone()).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            events += answer.body["events"].as_u64().unwrap();
            if answer.body["next"].is_null() {
                return events;
            }
            body["cursor"] = answer.body["next"].clone();
        }
    }

    fn seconds(&self, consumer: &str) -> Vec<i64> {
        let delivered = self.queues.drain(consumer);
        delivered.iter().map(|m| (m.detail.occurred_at.unix_millis() - at(0).unix_millis()) / 1000).collect()
    }
}

/// Counts the events that it handles.
struct Counting {
    table: Table,
}

#[async_trait::async_trait]
impl Consumer for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    async fn handle(&self, delivery: &Delivery) -> Result<(), ConsumerError> {
        let count = Update::anyway("count", Key::new("COUNT", "COUNT")).add("count", 1);
        Ok(self.table.commit(Transaction::new().update(count).once(delivery)).await?)
    }
}

#[tokio::test]
async fn a_consumer_gets_what_its_rule_would_have_given_it_oldest_first() {
    let operator = Operator::new().await;
    let answer = operator.replay(json!({"queue": CONSUMER, "from": at(10_000), "to": at(30_000)})).await;
    let expected = json!({"queue": CONSUMER, "dry_run": false, "events": 8, "next": null,
        "by_type": {"user.registered": 4, "account.updated": 4}});
    assert_eq!((answer.status, answer.body), (StatusCode::OK, expected));
    assert_eq!(operator.seconds(CONSUMER), [10, 11, 15, 16, 20, 21, 25, 26]);
}

#[tokio::test]
async fn a_replayed_event_is_delivered_as_the_bus_delivered_it() {
    let operator = Operator::new().await;
    operator.replay(json!({"queue": CONSUMER, "from": at(10_000), "to": at(10_001)})).await;
    let message = operator.queues.drain(CONSUMER).remove(0);
    assert_eq!((message.source.as_str(), message.rebuild), ("quayside.auth", None));
    assert_eq!(message.detail.data, json!({"order_id": 11, "total": 2999.97}));
}

#[tokio::test]
async fn one_type_can_be_replayed_and_only_one_that_the_consumer_takes() {
    let operator = Operator::new().await;
    let body = json!({"queue": CONSUMER, "from": at(10_000), "to": at(30_000), "type": "account.updated"});
    assert_eq!(operator.replay(body).await.body["events"], 4);
    assert_eq!(operator.seconds(CONSUMER), [11, 16, 21, 26]);
    let body = json!({"queue": CONSUMER, "from": at(0), "type": "sensor.reading_recorded"});
    let answer = operator.replay(body).await;
    assert_eq!((answer.status, answer.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec!["/type"]));
}

#[tokio::test]
async fn a_call_sends_no_more_than_its_limit_and_its_cursor_goes_on() {
    let operator = Operator::new().await;
    for limit in [1, 7, 30, 1000] {
        let body = json!({"queue": CONSUMER, "from": at(0), "to": at(300_000), "limit": limit});
        let first = operator.replay(body.clone()).await.body;
        assert_eq!(first["events"], json!(limit.min(120)));
        operator.queues.drain(CONSUMER);
        assert_eq!(operator.replay_all(body).await, 120);
        let expected: Vec<i64> = (0..300).filter(|second| second % 5 < 2).collect();
        assert_eq!(operator.seconds(CONSUMER), expected, "limit {limit}");
    }
    let body = json!({"queue": "events-on-all-events", "from": at(0), "limit": 1000});
    assert_eq!(operator.replay_all(body).await, 300);
    assert_eq!(operator.seconds("events-on-all-events"), (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_dry_run_says_what_would_go_and_sends_nothing() {
    let operator = Operator::new().await;
    let body = json!({"queue": CONSUMER, "from": at(0), "to": at(300_000), "dry_run": true, "limit": 50});
    let answer = operator.replay(body.clone()).await;
    assert_eq!((&answer.body["events"], &answer.body["dry_run"]), (&json!(50), &json!(true)));
    assert_eq!(operator.replay_all(body).await, 120);
    assert!(operator.queues.drain(CONSUMER).is_empty());
}

#[tokio::test]
async fn a_page_of_a_replay_is_one_query_for_each_partition_of_its_types() {
    let operator = Operator::new().await;
    operator.replay(json!({"queue": CONSUMER, "from": at(0), "to": at(300_000), "limit": 10})).await;
    assert_eq!(operator.log.database.calls(), ["Query"; 2 * 4]);
}

#[tokio::test]
async fn a_replay_is_harmless_to_a_consumer_that_had_the_events_and_brings_those_it_missed() {
    let operator = Operator::new().await;
    let counting = Counting { table: operator.log.database.table("counting") };
    let count = || {
        operator
            .log
            .database
            .items(&counting.table)
            .iter()
            .find_map(|item| item["count"]["N"].as_str().map(str::to_owned))
    };
    let range = json!({"queue": CONSUMER, "from": at(0), "to": at(300_000), "limit": 1000});
    operator.replay_all(range.clone()).await;
    let mut events = operator.queues.drain(CONSUMER);
    let missed = events.split_off(100);
    for message in events {
        assert_eq!(consumer::deliver(&counting, message).await.unwrap(), Outcome::Handled);
    }
    operator.replay_all(range).await;
    let missed: HashSet<_> = missed.into_iter().map(|message| message.detail.id).collect();
    for message in operator.queues.drain(CONSUMER) {
        let expected = if missed.contains(&message.detail.id) { Outcome::Handled } else { Outcome::Duplicate };
        assert_eq!(consumer::deliver(&counting, message).await.unwrap(), expected);
    }
    assert_eq!(count().as_deref(), Some("120"));
}

#[tokio::test]
async fn a_rebuild_is_handled_once_more_and_once_only_for_each_name() {
    let operator = Operator::new().await;
    let counting = Counting { table: operator.log.database.table("counting") };
    let range = json!({"queue": CONSUMER, "from": at(0), "to": at(20_000)});
    for (rebuild, expected) in [
        (Value::Null, Outcome::Handled),
        (json!("names-2"), Outcome::Handled),
        (json!("names-2"), Outcome::Duplicate),
        (Value::Null, Outcome::Duplicate),
        (json!("names-3"), Outcome::Handled),
    ] {
        let mut body = range.clone();
        body["rebuild"] = rebuild.clone();
        assert_eq!(operator.replay_all(body).await, 8);
        for message in operator.queues.drain(CONSUMER) {
            assert_eq!(consumer::deliver(&counting, message).await.unwrap(), expected, "{rebuild}");
        }
    }
}

#[tokio::test]
async fn a_replay_that_loses_the_queue_goes_on_where_it_stopped() {
    let operator = Operator::new().await;
    let body = json!({"queue": CONSUMER, "from": at(0), "to": at(300_000), "limit": 1000});
    for call in [1, 5, 11, 57, 120] {
        operator.queues.trouble(Trouble::DownFrom(call));
        let answer = operator.replay(body.clone()).await;
        operator.queues.trouble(Trouble::None);
        let mut rest = body.clone();
        if answer.status == StatusCode::OK {
            rest["cursor"] = answer.body["next"].clone();
            assert!(rest["cursor"].is_string(), "{call}");
        } else {
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        }
        operator.replay_all(rest).await;
        let mut arrived = operator.seconds(CONSUMER);
        arrived.sort_unstable();
        arrived.dedup();
        assert_eq!(arrived.len(), 120, "down from call {call}");
    }
}

#[tokio::test]
async fn a_replay_needs_the_log() {
    let operator = Operator::new().await;
    operator.log.database.inject(Fault::Down);
    let answer = operator.replay(json!({"queue": CONSUMER, "from": at(0)})).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn bad_replays_are_refused_with_a_pointer_and_send_nothing() {
    let operator = Operator::new().await;
    let other_list = operator.log.api().admin().get("/api/events?limit=1").await.body["next"].clone();
    let with = |field: &str, value: Value| {
        let mut body = json!({"queue": CONSUMER, "from": at(0), "to": at(1)});
        body[field] = value;
        body
    };
    for (body, pointer) in [
        (json!({"from": at(0)}), "/queue"),
        (json!({"queue": CONSUMER}), "/from"),
        (with("queue", json!("orders")), "/queue"),
        (with("queue", json!("orders-on-nothing")), "/queue"),
        (with("queue", json!("users-on-account-events-dlq")), "/queue"),
        (with("queue", json!("odd-on-events")), "/queue"),
        (with("from", json!("yesterday")), "/from"),
        (with("from", json!(0)), "/from"),
        (with("to", json!("")), "/to"),
        (with("to", json!(at(0))), "/to"),
        (with("to", json!(at(-1))), "/to"),
        (with("type", json!("")), "/type"),
        (with("type", json!("x".repeat(201))), "/type"),
        (with("limit", json!(0)), "/limit"),
        (with("limit", json!(1001)), "/limit"),
        (with("limit", json!(1.5)), "/limit"),
        (with("cursor", json!("x")), "/cursor"),
        (with("cursor", other_list), "/cursor"),
        (with("rebuild", json!("")), "/rebuild"),
        (with("rebuild", json!("a b")), "/rebuild"),
        (with("rebuild", json!("x".repeat(65))), "/rebuild"),
        (with("dry_run", json!(1)), "/dry_run"),
        (with("speed", json!(1)), "/speed"),
    ] {
        let answer = operator.replay(body.clone()).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec![pointer]), "{body}");
    }
    assert!(operator.queues.drain(CONSUMER).is_empty());
    let api = Api::new(replay_events::router(operator.log.table.clone(), operator.queues.shared()));
    let body = with("limit", json!(1));
    assert_eq!(api.post("/api/events/replay", &body).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(api.customer(1).post("/api/events/replay", &body).await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        api.admin().post_raw("/api/events/replay", body.to_string()).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
}
