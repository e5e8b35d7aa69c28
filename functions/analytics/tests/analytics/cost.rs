//! A question costs as much as its range is long, however many payments are in it: calls, items and bytes,
//! counted for a year of a thousand, a hundred thousand and a million payments and refunds.

use std::collections::{BTreeMap, HashMap};

use analytics::{
    bucket::{Bucket, Figures, Slot, Span},
    fact::{Fact, Kind},
    model::Model,
    store::Part,
};
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use shared::{
    money::Money,
    table::{Item, Key, Transaction},
    time::Timestamp,
};
use testing::Read;
use uuid::Uuid;

use crate::world::{Entry, World, id, question, with, world};

/// 2026-01-01T00:00:00Z
const START: i64 = 1_767_225_600_000;
const QUARTER_MS: i64 = 900_000;
/// The days of the payments, and those that are asked about, the most that can be: in a zone whose days
/// begin earlier, the former are among the latter.
const DAYS: u64 = 365;
const ASKED: usize = 366;
const CATEGORIES: [&str; 2] = ["books", "toys"];
const USER: u64 = 7;
const SHARDS: usize = 8;

/// The payment of this number, somewhere in the year.
fn entry(number: u64) -> Entry {
    // Numbers that hash well enough to spread over shards, categories and time.
    let spread =
        |salt: u64| (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17).wrapping_mul(salt | 1) >> 11;
    let at = Timestamp::from_unix_millis(START + i64::try_from(spread(3) % (DAYS * 86_400_000)).unwrap());
    let kind = if spread(5) % 20 == 0 { Kind::Refund } else { Kind::Payment };
    let category = Some(CATEGORIES[spread(7) as usize % CATEGORIES.len()].to_owned());
    let cents = i64::try_from(spread(9) % 100_000 + 1).unwrap();
    Entry { kind, payment: number * 2 + 1 + spread(11) % 2, user: USER, category, cents, at }
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

/// A bucket with its key.
struct Stored(Key, Bucket);

impl Serialize for Stored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.1.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Bucket::deserialize(deserializer).map(|bucket| Self(bucket.key(), bucket))
    }
}

impl Item for Stored {
    const TYPE: &'static str = Bucket::TYPE;

    fn key(&self) -> Key {
        self.0.clone()
    }
}

/// Stores the buckets that the consumer would make of so many payments.
async fn fill(world: &World, count: u64) {
    let mut quarters: HashMap<(Part, i64, String), Figures> = HashMap::new();
    for fact in (0..count).map(|number| fact(&entry(number))) {
        let quarter = fact.at.unix_millis() / QUARTER_MS;
        for part in Part::of(&fact) {
            *quarters.entry((part, quarter, fact.category.clone())).or_default() += Figures::of(&fact);
        }
    }
    let mut buckets: BTreeMap<(Part, Span, Date, String), BTreeMap<Slot, Figures>> = BTreeMap::new();
    for ((part, quarter, category), figures) in quarters {
        let at = Timestamp::from_unix_millis(quarter * QUARTER_MS);
        for span in Span::ALL {
            let bucket = buckets.entry((part, span, span.start(at), category.clone())).or_default();
            *bucket.entry(span.slot(at)).or_default() += figures;
        }
    }
    let stored = buckets.into_iter().map(|((part, span, start, category), slots)| {
        Stored(part.bucket_key(Model::FIRST, span, start, &category), Bucket::of(start, category, slots))
    });
    let stored: Vec<Stored> = stored.collect();
    for stored in stored.chunks(100) {
        world.table.commit(stored.iter().fold(Transaction::new(), Transaction::upsert)).await.unwrap();
    }
}

fn buckets(world: &World) -> BTreeMap<(String, String), Value> {
    let buckets = world.of_type("bucket").into_iter();
    let text = |item: &Value, name: &str| item[name]["S"].as_str().unwrap().to_owned();
    buckets.map(|item| ((text(&item, "pk"), text(&item, "sk")), item)).collect()
}

#[tokio::test]
async fn buckets_filled_at_once_are_those_of_the_consumer() {
    let (filled, told) = (world(), world());
    fill(&filled, 300).await;
    told.tell(&(0..300).map(entry).collect::<Vec<_>>()).await;
    assert_eq!(buckets(&filled), buckets(&told));
}

/// A question, and the most buckets of days and of months that it may read.
struct Asked {
    question: Value,
    days: usize,
    months: usize,
}

/// Every metric of the business by days, the same by months, and of a user.
fn questions() -> Vec<Asked> {
    let year = |metric: &str, scope: &str| {
        let year = question(metric, scope, "2026-01-01", "2027-01-02");
        if scope == "user" { with(&year, "user_id", USER) } else { year }
    };
    // Days of the zone begin and end within UTC's.
    let days = ASKED + 1;
    let asked = |metric, scope, parts: usize| Asked {
        question: with(&year(metric, scope), "time_zone", "Asia/Kolkata"),
        days: days * CATEGORIES.len() * parts,
        months: 0,
    };
    let by_months = |metric, scope, parts: usize| Asked {
        question: with(&year(metric, scope), "granularity", "month"),
        // The second of January at the end, and the range before.
        days: 4 * CATEGORIES.len() * parts,
        months: 26 * CATEGORIES.len() * parts,
    };
    let mut questions = Vec::new();
    for metric in ["cash_flow", "health_score", "anomalies", "spending_trends"] {
        questions.push(asked(metric, "business", SHARDS));
        questions.push(asked(metric, "user", 1));
        if metric != "anomalies" {
            questions.push(by_months(metric, "business", SHARDS));
        }
    }
    questions
}

/// What answering a question took.
struct Cost {
    calls: Vec<String>,
    read: Read,
}

impl Cost {
    fn queries(&self) -> usize {
        self.calls.iter().filter(|call| *call == "Query").count()
    }

    fn others(&self) -> Vec<&String> {
        self.calls.iter().filter(|call| *call != "Query").collect()
    }
}

async fn costs(count: u64) -> Vec<Cost> {
    let world = world();
    fill(&world, count).await;
    let mut costs = Vec::new();
    for asked in questions() {
        world.database.calls();
        world.database.read();
        let answer = world.ask_business(&asked.question).await;
        assert_eq!(answer["cached"], false);
        let mut calls = world.database.calls();
        calls.sort();
        costs.push(Cost { calls, read: world.database.read() });
        if asked.question["metric"] == "cash_flow" {
            let total = |name: &str| answer["data"][name].as_u64().unwrap();
            assert_eq!(total("payments") + total("refunds"), count);
        }
    }
    costs
}

/// A day's bucket with four figures in each of its 96 slots, and a month's with as many of its first and its
/// last day and one between, as JSON in DynamoDB's notation: a name, a number and what holds them.
const LARGEST_DAY: usize = 96 * 4 * 24 + 400;
const LARGEST_MONTH: usize = (2 * 96 + 1) * 4 * 30 + 400;
/// Items that are read beside buckets: the versions and how many facts there are.
const BESIDE: usize = 2 + SHARDS;
/// DynamoDB answers a Query with a megabyte at most.
const MEGABYTE: usize = 1_000_000;

async fn assert_bounded(counts: &[u64]) {
    let few = costs(1_000).await;
    for count in counts.iter().copied() {
        for ((asked, cost), few) in questions().iter().zip(costs(count).await).zip(&few) {
            let (name, Read { items, bytes }) = (&asked.question, cost.read);
            let (metric, scope, queries) = (&name["metric"], &name["scope"], cost.queries());
            println!(
                "{count} {metric} {scope} {}: {queries} Queries, {items} items, {bytes} bytes",
                name["granularity"]
            );
            let most = asked.days * LARGEST_DAY + asked.months * LARGEST_MONTH;
            assert!(items <= asked.days + asked.months + BESIDE, "{count} payments, {name}: {items} items");
            assert!(bytes <= most + BESIDE * 400, "{count} payments, {name}: {bytes} bytes of {most}");
            assert_eq!(cost.others(), few.others(), "{count} payments, {name}");
            assert!(queries <= few.queries() + bytes / MEGABYTE * 2, "{count} payments, {name}: {queries} Queries");
        }
    }
    let queries: Vec<usize> = few.iter().map(Cost::queries).collect();
    // Of a user one; of the business one for each shard, and for each change between days and months.
    assert_eq!((queries.iter().min(), queries.iter().max()), (Some(&1), Some(&(4 * SHARDS))), "{queries:?}");
}

#[tokio::test]
async fn a_question_about_a_year_costs_the_same_of_a_hundred_thousand_payments() {
    assert_bounded(&[1_000, 100_000]).await;
}

#[tokio::test]
#[ignore = "takes minutes: make cost"]
async fn a_question_about_a_year_costs_the_same_of_a_million_payments() {
    assert_bounded(&[1_000_000]).await;
}
