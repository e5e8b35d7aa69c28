use std::{collections::BTreeMap, time::Duration};

use axum::http::StatusCode;
use events::{http::event_stats, queues::Queue};
use futures::future::join_all;
use proptest::prelude::*;
use serde_json::{Value, json};
use testing::{Api, Fault};
use tokio::time::Instant;

use crate::world::{FakeQueues, Log, Trouble, event, name, totals};

fn queues() -> FakeQueues {
    FakeQueues::with(&[("orders-on-user-events", json!({})), ("users-on-account-events", json!({}))])
}

fn api(log: &Log, queues: &FakeQueues) -> Api {
    Api::new(event_stats::router(log.table.clone(), queues.shared()))
}

#[tokio::test]
async fn anybody_may_see_how_many_events_there_were_and_how_full_the_queues_are() {
    let (log, queues) = (Log::new(), queues());
    log.deliver("orders", &event(0, "order.created", 1)).await;
    log.deliver("orders", &event(1, "order.created", 2)).await;
    log.deliver("payments", &event(2, "payment.failed", 2)).await;
    queues.put(&Queue::DeadLetters(name("orders-on-user-events")), "m1", "{}");
    for path in ["/api/events/stats", "/kafka/stats"] {
        let answer = api(&log, &queues).get(path).await;
        assert_eq!(answer.status, StatusCode::OK);
        let rate = json!({"last_minute": 3.0, "last_5_minutes": 0.6, "last_15_minutes": 0.2});
        let empty = json!({"depth": 0, "in_flight": 0, "age_seconds": 0});
        let queue = |name: &str, service: &str, dead: &Value| json!({"queue": name, "service": service, "depth": 0, "in_flight": 0, "age_seconds": 0, "dead_letters": dead});
        let one = json!({"depth": 1, "in_flight": 0, "age_seconds": 7});
        let expected = json!({
            "total": 3, "by_type": {"order.created": 2, "payment.failed": 1}, "by_service": {"orders": 2, "payments": 1},
            "events_per_minute": rate, "queues": [
                queue("orders-on-user-events", "orders", &one), queue("users-on-account-events", "users", &empty),
            ],
        });
        assert_eq!(answer.body, expected);
    }
}

#[tokio::test]
async fn the_figures_cost_the_same_however_many_events_there_were() {
    let (log, queues) = (Log::new(), queues());
    for events in [1, 200] {
        for second in 0..events {
            log.deliver("orders", &event(second, "order.created", 1)).await;
        }
        log.database.calls();
        queues.trouble(Trouble::None);
        api(&log, &queues).get("/kafka/stats").await;
        assert_eq!(log.database.calls(), ["Query"; 8]);
        assert_eq!(queues.calls(), 1 + 4 + 1, "names, depths, ages");
    }
}

#[tokio::test]
async fn no_counter_takes_all_the_writes() {
    let log = Log::new();
    for second in 0..320 {
        log.deliver("orders", &event(second, "order.created", 1)).await;
    }
    let counts = totals(&log.database.items(&log.table));
    assert_eq!(counts.iter().sum::<u64>(), 320);
    assert!(counts.len() > 25, "{} items for 32 slots", counts.len());
    assert!(counts.iter().all(|count| *count < 40), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn queues_that_do_not_answer_are_left_out_in_time() {
    let (log, queues) = (Log::new(), queues());
    log.deliver("orders", &event(0, "order.created", 1)).await;
    queues.trouble(Trouble::Hangs);
    let started = Instant::now();
    let answer = api(&log, &queues).get("/kafka/stats").await;
    assert_eq!(
        (answer.status, &answer.body["total"], &answer.body["queues"]),
        (StatusCode::OK, &json!(1), &Value::Null)
    );
    assert!(started.elapsed() < Duration::from_millis(1600), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_figure_that_cannot_be_found_out_is_null_and_the_others_are_there() {
    let (log, queues) = (Log::new(), queues());
    queues.trouble(Trouble::DownFrom(2));
    let answer = api(&log, &queues).get("/kafka/stats").await;
    let shown = &answer.body["queues"];
    assert_eq!(shown[0]["depth"], 0);
    assert_eq!(shown[1]["dead_letters"], json!({"depth": null, "in_flight": null, "age_seconds": null}));
}

#[tokio::test]
async fn without_the_table_there_are_no_figures_for_now() {
    let (log, queues) = (Log::new(), queues());
    log.database.inject(Fault::Down);
    let answer = api(&log, &queues).get("/kafka/stats").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test(start_paused = true)]
async fn the_queues_are_asked_once_in_five_seconds_however_often_anybody_asks() {
    let (log, queues) = (Log::new(), queues());
    let api = api(&log, &queues);
    queues.trouble(Trouble::None);
    for _ in 0..3 {
        api.get("/kafka/stats").await;
    }
    assert_eq!(queues.calls(), 1 + 4 + 1);
    queues.put(&Queue::Consumer(name("orders-on-user-events")), "m1", "{}");
    tokio::time::advance(Duration::from_secs(5)).await;
    let answer = api.get("/kafka/stats").await;
    assert_eq!((queues.calls(), &answer.body["queues"][0]["depth"]), (2 * 6, &json!(1)));
}

fn recount(events: &[Value], field: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for event in events {
        *counts.entry(event[field].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn the_figures_are_those_of_a_recount_whatever_is_delivered_twice_or_at_once(
        made in prop::collection::vec((0usize..3, 0usize..2, 1usize..4), 1..20),
        pauses in prop::collection::vec(0u8..4, 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let log = Log::new();
            log.database.interleave(pauses);
            let mut deliveries = Vec::new();
            for (moment, (event_type, service, times)) in (0..).zip(made) {
                let event = event(moment, ["a.done", "b.done", "c.done"][event_type], 1);
                deliveries.extend(vec![(["orders", "payments"][service], event); times]);
            }
            join_all(deliveries.iter().map(|(service, event)| log.deliver(service, event))).await;
            log.database.interleave(Vec::new());
            let listed = log.walk("limit=100").await;
            let stats = api(&log, &queues()).get("/kafka/stats").await.body;
            assert_eq!(stats["total"], json!(listed.len()));
            assert_eq!(stats["by_type"], json!(recount(&listed, "type")));
            assert_eq!(stats["by_service"], json!(recount(&listed, "service")));
        });
    }
}
