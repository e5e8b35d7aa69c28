//! A question costs as much as its range is long, however many payments are in it.

use std::collections::BTreeMap;

use analytics::{
    bucket::{Figures, Slot, Span, addition},
    fact::{Fact, Kind},
    model::Model,
    store::Part,
};
use jiff::civil::Date;
use serde_json::{Value, json};
use shared::{money::Money, table::Transaction, time::Timestamp};
use uuid::Uuid;

use crate::world::{Entry, World, id, question, with, world};

/// 2026-01-01T00:00:00Z
const START: i64 = 1_767_225_600_000;
const DAYS: u64 = 59;
const CATEGORIES: [&str; 4] = ["books", "toys", "computers", "garden"];
const USERS: u64 = 5;

/// The payment of this number, somewhere in January or February.
fn entry(number: u64) -> Entry {
    // Numbers that hash well enough to spread over users, shards, categories and time.
    let spread =
        |salt: u64| (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17).wrapping_mul(salt | 1) >> 11;
    let at = Timestamp::from_unix_millis(START + i64::try_from(spread(3) % (DAYS * 86_400_000)).unwrap());
    let kind = if spread(5) % 20 == 0 { Kind::Refund } else { Kind::Payment };
    let category = Some(CATEGORIES[spread(7) as usize % CATEGORIES.len()].to_owned());
    let cents = i64::try_from(spread(9) % 100_000).unwrap();
    Entry { kind, payment: number * 2 + 1 + spread(11) % 2, user: spread(13) % USERS + 1, category, cents, at }
}

/// What the entry's event says.
fn fact(entry: &Entry) -> Fact {
    Fact {
        kind: entry.kind,
        payment_id: id(entry.payment),
        user_id: id(entry.user),
        category: entry.category.clone().unwrap(),
        amount: Money::from_minor_units(entry.cents).unwrap(),
        at: entry.at,
        event_id: Uuid::nil(),
    }
}

type Buckets = BTreeMap<(Part, Span, Date, String), BTreeMap<Slot, Figures>>;

/// The buckets that the consumer would make of so many payments, at once.
async fn fill(world: &World, count: u64) {
    let mut buckets = Buckets::new();
    for number in 0..count {
        let fact = fact(&entry(number));
        for (part, span) in Part::of(&fact).into_iter().flat_map(|part| Span::ALL.map(|span| (part, span))) {
            let bucket = buckets.entry((part, span, span.start(fact.at), fact.category.clone())).or_default();
            *bucket.entry(span.slot(fact.at)).or_default() += Figures::of(&fact);
        }
    }
    let buckets: Vec<_> =
        buckets.into_iter().map(|(key, slots)| (key, slots.into_iter().collect::<Vec<_>>())).collect();
    for buckets in buckets.chunks(100) {
        // An expression of DynamoDB's has at most four kilobytes.
        let longest = buckets.iter().map(|(_, slots)| slots.len().div_ceil(20)).max().unwrap_or(0);
        for turn in 0..longest {
            let mut transaction = Transaction::new();
            for ((part, span, start, category), slots) in buckets {
                if let Some(slots) = slots.chunks(20).nth(turn) {
                    let key = part.bucket_key(Model::FIRST, *span, *start, category);
                    transaction = transaction.update(addition(key, *start, category, slots));
                }
            }
            world.table.commit(transaction).await.unwrap();
        }
    }
}

fn stored(world: &World) -> BTreeMap<(String, String), Value> {
    let buckets = world.of_type("bucket").into_iter();
    let text = |item: &Value, name: &str| item[name]["S"].as_str().unwrap().to_owned();
    buckets.map(|item| ((text(&item, "pk"), text(&item, "sk")), item)).collect()
}

#[tokio::test]
async fn buckets_filled_at_once_are_those_of_the_consumer() {
    let (filled, told) = (world(), world());
    fill(&filled, 300).await;
    told.tell(&(0..300).map(entry).collect::<Vec<_>>()).await;
    assert_eq!(stored(&filled), stored(&told));
}

/// The questions whose cost is counted: every metric, of a user and of the business, by days and months.
fn questions() -> Vec<Value> {
    let mut questions = Vec::new();
    for metric in ["cash_flow", "spending_trends", "health_score", "anomalies"] {
        for scope in ["user", "business"] {
            let days = question(metric, scope, "2026-01-01", "2026-03-01");
            questions.push(with(&days, "time_zone", "Asia/Kolkata"));
            if metric != "anomalies" {
                questions.push(with(&days, "granularity", "month"));
            }
        }
    }
    questions
}

/// The calls of each question, and how much there is to read: the number of buckets, and the bytes of the
/// largest.
async fn costs(count: u64) -> (Vec<Vec<String>>, usize, usize) {
    let world = world();
    fill(&world, count).await;
    world.database.calls();
    let mut calls = Vec::new();
    for ask in questions() {
        let answer = world.ask_business(&ask).await;
        assert_eq!(answer["cached"], false);
        let mut made = world.database.calls();
        made.sort();
        calls.push(made);
    }
    let payments = world.ask_business(&question("cash_flow", "business", "2026-01-01", "2026-03-01")).await;
    let total = payments["data"]["payments"].as_u64().unwrap() + payments["data"]["refunds"].as_u64().unwrap();
    assert_eq!(total, count);
    let buckets = stored(&world);
    let largest = buckets.values().map(|item| item.to_string().len()).max().unwrap();
    (calls, buckets.len(), largest)
}

/// Buckets of so many days, categories, shards and users at the most, and their months.
const MOST_BUCKETS: usize = (DAYS as usize + 2) * CATEGORIES.len() * (8 + USERS as usize);
/// A bucket of 192 slots with four figures in each, as JSON in DynamoDB's notation.
const LARGEST_BUCKET: usize = 192 * 4 * 24 + 400;

async fn assert_bounded(counts: &[u64]) {
    let (expected, ..) = costs(1_000).await;
    for count in counts {
        let (calls, buckets, largest) = costs(*count).await;
        println!("{count} payments: {buckets} buckets, the largest of {largest} bytes");
        assert_eq!(calls, expected, "{count} payments");
        assert!(buckets <= MOST_BUCKETS && largest <= LARGEST_BUCKET, "{count} payments: {buckets}, {largest}");
    }
    let queries = |calls: &Vec<String>| calls.iter().filter(|call| *call == "Query").count();
    let most = expected.iter().map(queries).max().unwrap();
    // Both ranges of the trends, in each of eight shards.
    assert_eq!((expected.iter().map(queries).min(), most), (Some(1), 16), "{}", json!(expected));
}

#[tokio::test]
async fn a_question_about_a_hundred_times_the_payments_makes_the_same_calls() {
    assert_bounded(&[100_000]).await;
}

#[tokio::test]
#[ignore = "takes a minute"]
async fn a_question_about_a_million_payments_makes_the_same_calls() {
    assert_bounded(&[1_000_000]).await;
}
