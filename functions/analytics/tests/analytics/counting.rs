use std::collections::BTreeMap;

use analytics::fact::{Kind, UNCATEGORISED};
use futures::future::join_all;
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::{
    consumer::{self, BusMessage, Outcome},
    event::{Envelope, PaymentRefunded, RefundReason},
    money::Money,
    time::Timestamp,
};
use testing::Fault;

use crate::world::{Entry, World, id, paid, question, refunded, world};

const NOON: &str = "2026-01-15T12:00:00Z";

/// Paid, payments, refunded and refunds of each bucket, by partition and sort key.
fn buckets(world: &World) -> BTreeMap<(String, String), [i64; 4]> {
    let text = |item: &Value, name: &str| item[name]["S"].as_str().unwrap().to_owned();
    let figures = |item: &Value| {
        let sum = |figure: &str| {
            let numbers = item.as_object().unwrap().iter().filter_map(|(name, value)| {
                let slot = name.strip_prefix(figure)?.trim_start_matches(['l', 'b']);
                slot.chars().all(|c| c.is_ascii_digit()).then(|| value["N"].as_str()?.parse::<i64>().ok())?
            });
            numbers.sum()
        };
        ["p", "pn", "r", "rn"].map(sum)
    };
    world.of_type("bucket").iter().map(|item| ((text(item, "pk"), text(item, "sk")), figures(item))).collect()
}

#[tokio::test]
async fn a_payment_is_one_read_and_one_transaction() {
    let world = world();
    world.tell(&[paid(40, 7, "books", 1999, NOON)]).await;
    assert_eq!(world.database.calls(), ["GetItem", "TransactWriteItems"]);
    assert_eq!(["counted", "bucket", "part_version"].map(|item| world.of_type(item).len()), [1, 4, 2]);
    assert_eq!(world.database.items(&world.table).len(), 7);
}

#[tokio::test]
async fn a_payment_counts_for_its_user_and_the_business_by_day_month_and_category() {
    let world = world();
    world
        .tell(&[
            paid(40, 7, "books", 1999, NOON),
            paid(56, 7, "books", 1, "2026-01-15T23:59:59.999Z"),
            refunded(40, 7, "books", 1999, "2026-01-16T00:00:00Z"),
        ])
        .await;
    let expected = [
        (("MODEL#1#BUSINESS#4#DAYS", "2026-01-15#books"), [2000, 2, 0, 0]),
        (("MODEL#1#BUSINESS#4#DAYS", "2026-01-16#books"), [0, 0, 1999, 1]),
        (("MODEL#1#BUSINESS#4#MONTHS", "2026-01#books"), [2000, 2, 1999, 1]),
        (("MODEL#1#USER#7#DAYS", "2026-01-15#books"), [2000, 2, 0, 0]),
        (("MODEL#1#USER#7#DAYS", "2026-01-16#books"), [0, 0, 1999, 1]),
        (("MODEL#1#USER#7#MONTHS", "2026-01#books"), [2000, 2, 1999, 1]),
    ];
    assert_eq!(buckets(&world), expected.map(|((pk, sk), figures)| ((pk.to_owned(), sk.to_owned()), figures)).into());
}

#[tokio::test]
async fn an_event_delivered_again_is_not_counted_again() {
    let world = world();
    let event = paid(40, 7, "books", 1999, NOON).event();
    assert_eq!(world.deliver(&event).await, Outcome::Handled);
    assert_eq!(world.deliver(&event).await, Outcome::Duplicate);
    assert_eq!(buckets(&world).values().map(|figures| figures[1]).collect::<Vec<_>>(), [1; 4]);
}

#[tokio::test]
async fn a_replay_of_any_age_and_under_any_name_counts_nothing_again() {
    let world = world();
    let event = paid(40, 7, "books", 1999, NOON).event();
    world.deliver(&event).await;
    assert!(world.of_type("counted")[0].get("ttl").is_none(), "the record never expires");
    for rebuild in [None, Some("names-2".to_owned()), Some("2".to_owned())] {
        let message = BusMessage { source: "quayside.payments".into(), detail: event.clone(), rebuild };
        assert_eq!(consumer::deliver(&world.consumer(), message).await.unwrap(), Outcome::Duplicate);
    }
    assert_eq!(world.ask(&question("cash_flow", "user", "2026-01-15", "2026-01-16")).await["data"]["payments"], 1);
}

#[tokio::test]
async fn a_payment_whose_transactions_answer_was_lost_is_counted_once() {
    let world = world();
    let event = paid(40, 7, "books", 1999, NOON).event();
    world.database.inject(Fault::AnswerLost);
    assert!(consumer::handle(&world.consumer(), event.clone()).await.is_err());
    assert_eq!(world.deliver(&event).await, Outcome::Duplicate);
    assert_eq!(buckets(&world).values().map(|figures| figures[1]).collect::<Vec<_>>(), [1; 4]);
}

#[tokio::test]
async fn a_lost_table_leaves_the_event_for_later() {
    let world = world();
    let event = paid(40, 7, "books", 1999, NOON).event();
    world.database.inject(Fault::Down);
    assert!(consumer::handle(&world.consumer(), event.clone()).await.is_err());
    world.database.heal();
    assert_eq!(world.deliver(&event).await, Outcome::Handled);
}

#[tokio::test]
async fn a_payment_from_before_events_told_categories_is_uncategorised() {
    let world = world();
    let mut event = paid(40, 7, "books", 1999, NOON).event();
    event.data.as_object_mut().unwrap().remove("category");
    world.deliver(&event).await;
    let answer = world.ask(&question("spending_trends", "user", "2026-01-15", "2026-01-16")).await;
    assert_eq!(answer["data"]["categories"][0]["category"], UNCATEGORISED);
}

#[tokio::test]
async fn the_refund_of_a_charge_that_was_never_a_payment_counts_for_nobody() {
    let world = world();
    let (payment_id, order_id, user_id) = (id(40), id(41), id(7));
    let (amount, reason) = (Money::from_minor_units(1999).unwrap(), RefundReason::LateCharge);
    let refund = PaymentRefunded { payment_id, order_id, user_id, amount, category: None, reason };
    world.deliver(&Envelope::new(&refund).unwrap()).await;
    assert_eq!(world.database.items(&world.table).len(), 0);
}

#[tokio::test]
async fn what_is_no_payment_and_what_is_newer_than_known_is_left_for_an_operator() {
    let world = world();
    let good = paid(40, 7, "books", 1999, NOON).event();
    let newer = Envelope { version: 2, ..good.clone() };
    let other = Envelope { event_type: "payment.failed".into(), ..good.clone() };
    let broken = Envelope { data: json!({"payment_id": 1}), ..good };
    for event in [newer, other, broken] {
        assert!(consumer::handle(&world.consumer(), event).await.is_err());
    }
    assert_eq!(world.database.items(&world.table).len(), 0);
}

#[tokio::test]
async fn the_businesss_payments_are_spread_evenly_over_its_shards() {
    let world = world();
    let now = Timestamp::now();
    let entries: Vec<_> = (0..400u64)
        .map(|n| Entry {
            payment: shared::id::Id::generate().value() / 4096 * 4096 + n * 10 % 4096,
            ..paid(1, n + 1, "books", 100, NOON)
        })
        .enumerate()
        .map(|(n, entry)| Entry { payment: entry.payment + (n as u64) * 4096, at: now, ..entry })
        .collect();
    world.tell(&entries).await;
    let shards = buckets(&world).into_iter().filter(|((pk, _), _)| pk.contains("BUSINESS") && pk.ends_with("DAYS"));
    let counts: Vec<i64> = shards.map(|(_, figures)| figures[1]).collect();
    assert_eq!((counts.len(), counts.iter().sum::<i64>()), (8, 400));
    assert!(counts.iter().all(|count| (25..=75).contains(count)), "{counts:?}");
}

/// Deliveries of each entry's event once or more, in any order, some at the same time.
fn deliveries() -> impl Strategy<Value = (Vec<Entry>, Vec<usize>, Vec<u8>)> {
    let entry = (
        0u64..4,
        1u64..4,
        prop::sample::select(vec!["books", "toys"]),
        0i64..100_000,
        0i64..40 * 24 * 4,
        any::<bool>(),
    );
    let entries = prop::collection::vec(entry, 1..25).prop_map(|entries| {
        let entry = |(n, (_, user, category, cents, quarter, refund)): (usize, (u64, u64, &str, i64, i64, bool))| {
            let at = Timestamp::from_unix_millis(1_767_225_600_000 + quarter * 900_000);
            let kind = if refund { Kind::Refund } else { Kind::Payment };
            Entry { kind, payment: n as u64 + 1, user, category: Some(category.into()), cents, at }
        };
        entries.into_iter().enumerate().map(entry).collect::<Vec<_>>()
    });
    entries.prop_flat_map(|entries| {
        let count = entries.len();
        let repeated = prop::collection::vec(0..count, 0..count + 1);
        let all = repeated.prop_flat_map(move |more| Just((0..count).chain(more).collect::<Vec<_>>()).prop_shuffle());
        (Just(entries), all, prop::collection::vec(0u8..4, 1..20))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_payment_is_counted_once_however_often_in_whatever_order_and_by_whomever_it_is_delivered(
        (entries, order, pauses) in deliveries()
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (once, other) = (world(), world());
            once.tell(&entries).await;
            let events: Vec<_> = entries.iter().map(Entry::event).collect();
            other.database.interleave(pauses);
            for batch in order.chunks(5) {
                join_all(batch.iter().map(|n| other.deliver(&events[*n]))).await;
            }
            assert_eq!(buckets(&other), buckets(&once));
            let facts = |world: &World| -> u64 {
                let versions = world.of_type("part_version");
                versions.iter().map(|item| item["facts"]["N"].as_str().unwrap().parse::<u64>().unwrap()).sum()
            };
            assert_eq!((facts(&other), facts(&once)), (2 * entries.len() as u64, 2 * entries.len() as u64));
        });
    }
}
