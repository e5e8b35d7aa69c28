use std::collections::BTreeMap;

use futures::future::join_all;
use proptest::prelude::*;
use serde_json::json;
use shared::consumer::{self, BusMessage, Outcome};
use testing::Fault;

use crate::world::{Log, event, from, ids};

#[tokio::test]
async fn an_event_is_logged_as_it_came_and_costs_one_transaction() {
    let log = Log::new();
    let event = event(123, "order.created", 42);
    assert_eq!(log.deliver("orders", &event).await, Outcome::Handled);
    assert_eq!(log.database.calls(), ["TransactWriteItems"]);
    let listed = log.list("").await.remove(0);
    let mut expected = serde_json::to_value(&event).unwrap();
    expected["service"] = json!("orders");
    expected["logged_at"] = listed["logged_at"].clone();
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn an_event_that_comes_again_writes_nothing() {
    let log = Log::new();
    let event = event(0, "order.created", 42);
    log.deliver("orders", &event).await;
    let before = log.database.items(&log.table);
    assert_eq!(log.deliver("orders", &event).await, Outcome::Duplicate);
    assert_eq!(log.database.items(&log.table), before);
}

#[tokio::test]
async fn an_event_whose_transaction_was_answered_by_nobody_is_logged_and_counted_once() {
    let log = Log::new();
    let event = event(0, "order.created", 42);
    log.database.inject(Fault::AnswerLost);
    assert!(consumer::deliver(&log.consumer, from("orders", &event)).await.is_err());
    assert_eq!(log.deliver("orders", &event).await, Outcome::Duplicate);
    assert_eq!(ids(&log.list("").await), [event.id.to_string()]);
}

#[tokio::test]
async fn an_event_waits_while_the_table_is_away() {
    let log = Log::new();
    let event = event(0, "order.created", 42);
    log.database.inject(Fault::Down);
    assert!(consumer::deliver(&log.consumer, from("orders", &event)).await.is_err());
    log.database.heal();
    assert_eq!(log.deliver("orders", &event).await, Outcome::Handled);
}

#[tokio::test]
async fn what_no_service_published_is_not_logged() {
    let log = Log::new();
    let message = BusMessage { source: "somebody".into(), ..from("orders", &event(0, "order.created", 42)) };
    let error = consumer::deliver(&log.consumer, message).await.unwrap_err();
    assert_eq!(error.to_string(), "not from a service of this system");
    assert!(log.database.items(&log.table).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(25))]

    #[test]
    fn each_event_is_logged_once_and_in_its_aggregates_order_however_they_are_delivered(
        made in prop::collection::vec((1u64..4, 0usize..3, 0i64..3), 1..12),
        deliveries in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        pauses in prop::collection::vec(0u8..4, 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let log = Log::new();
            let mut moment = 0;
            let mut order_of: BTreeMap<u64, Vec<String>> = BTreeMap::new();
            let mut events = Vec::new();
            for (order, event_type, later) in made {
                moment += later;
                let made = event(moment, ["order.created", "order.cancelled", "order.confirmed"][event_type], order);
                order_of.entry(order).or_default().push(made.id.to_string());
                events.push(made);
            }
            let shuffled = deliveries.iter().map(|index| index.get(&events));
            let all: Vec<_> = shuffled.chain(events.iter().rev()).collect();
            log.database.interleave(pauses);
            join_all(all.iter().map(|event| log.deliver("orders", event))).await;
            for (order, expected) in &order_of {
                let mut listed = ids(&log.walk(&format!("aggregate=Order:{order}&limit=2")).await);
                listed.reverse();
                assert_eq!(&listed, expected);
            }
            let mut listed = ids(&log.walk("limit=3").await);
            listed.sort();
            let mut expected: Vec<_> = events.iter().map(|event| event.id.to_string()).collect();
            expected.sort();
            assert_eq!(listed, expected);
        });
    }
}
