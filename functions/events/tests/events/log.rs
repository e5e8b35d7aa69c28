use std::collections::BTreeMap;

use futures::future::join_all;
use proptest::prelude::*;
use serde_json::json;
use shared::consumer::{BusMessage, Outcome};
use testing::Fault;

use crate::world::{Log, batches, event, from, ids, totals};

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
    assert!(log.try_to_deliver(vec![from("orders", &event)]).await[0].is_err());
    assert_eq!(log.deliver("orders", &event).await, Outcome::Duplicate);
    assert_eq!(ids(&log.list("").await), [event.id.to_string()]);
}

#[tokio::test]
async fn an_event_waits_while_the_table_is_away() {
    let log = Log::new();
    let event = event(0, "order.created", 42);
    log.database.inject(Fault::Down);
    assert!(log.try_to_deliver(vec![from("orders", &event)]).await[0].is_err());
    log.database.heal();
    assert_eq!(log.deliver("orders", &event).await, Outcome::Handled);
}

#[tokio::test]
async fn what_no_service_published_is_not_logged() {
    let log = Log::new();
    let message = BusMessage { source: "somebody".into(), ..from("orders", &event(0, "order.created", 42)) };
    let known = event(1, "order.created", 43);
    let mut outcomes = log.try_to_deliver(vec![message, from("orders", &known)]).await;
    assert_eq!(outcomes.remove(0).unwrap_err().to_string(), "not from a service of this system");
    assert_eq!(ids(&log.list("").await), [known.id.to_string()]);
}

#[tokio::test]
async fn a_thousand_events_cost_a_transaction_for_every_thirty_two() {
    let log = Log::new();
    let types = ["order.created", "order.confirmed", "order.cancelled", "order.status_changed"];
    let events: Vec<_> = (0..1000).map(|n| from("orders", &event(n, types[n as usize % 4], 1))).collect();
    for batch in events.chunks(96) {
        log.deliver_all(batch.to_vec()).await;
    }
    let calls = log.database.calls();
    assert!(calls.iter().all(|call| call == "TransactWriteItems"));
    assert_eq!(calls.len(), 32);
    assert_eq!(log.walk("limit=100").await.len(), 1000);
}

#[tokio::test]
async fn a_batch_whose_events_are_all_of_types_of_their_own_is_logged_in_one_transaction() {
    let log = Log::new();
    let made = |n: usize| from(&format!("service{n}"), &event(0, &format!("type{n}.done"), 1));
    log.deliver_all((0..events::store::AT_ONCE).map(made).collect()).await;
    assert_eq!(log.database.calls(), ["TransactWriteItems"]);
}

#[tokio::test]
async fn events_that_are_too_large_for_one_transaction_are_logged_each_by_itself() {
    let log = Log::new();
    let large = |n| {
        let mut event = event(n, "order.created", 1);
        event.data["note"] = json!("x".repeat(150_000));
        from("orders", &event)
    };
    let events: Vec<_> = (0..20).map(large).collect();
    assert_eq!(log.deliver_all(events.clone()).await, [Outcome::Handled; 20]);
    assert_eq!(log.deliver_all(events).await, [Outcome::Duplicate; 20]);
}

#[tokio::test]
async fn an_event_that_is_replayed_to_the_log_for_a_rebuild_is_the_one_that_is_there() {
    let log = Log::new();
    let message = from("orders", &event(0, "order.created", 1));
    let rebuilt = BusMessage { rebuild: Some("2026-01".into()), ..message.clone() };
    let outcomes = log.deliver_all(vec![message, rebuilt.clone()]).await;
    assert_eq!(outcomes, [Outcome::Handled, Outcome::Duplicate]);
    assert_eq!(log.deliver_all(vec![rebuilt]).await, [Outcome::Duplicate]);
    assert_eq!(log.list("").await.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(25))]

    #[test]
    fn each_event_is_logged_once_and_in_its_aggregates_order_however_they_are_delivered(
        made in prop::collection::vec((1u64..4, 0usize..3, 0i64..3), 1..20),
        deliveries in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        sizes in prop::collection::vec(1usize..12, 1..8),
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
            let all: Vec<_> = shuffled.chain(events.iter().rev()).map(|event| from("orders", event)).collect();
            log.database.interleave(pauses);
            let outcomes = join_all(batches(&all, &sizes).map(|batch| log.deliver_all(batch))).await.concat();
            log.database.interleave(Vec::new());
            let handled = outcomes.iter().filter(|outcome| **outcome == Outcome::Handled).count();
            assert_eq!(handled, events.len(), "each event is new to one delivery");
            let counted: u64 = totals(&log.database.items(&log.table)).iter().sum();
            assert_eq!(counted, u64::try_from(events.len()).unwrap());
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
