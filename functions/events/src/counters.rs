//! How many events were logged, counted in the transactions that log them.
//!
//! Every counter is the sum of 32 items, and a transaction adds to one of them at random, once for all
//! the events that it logs: no item is hot, and two transactions seldom meet at one. The items are in 8 partitions, so that the figures
//! are 8 Queries.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use shared::{
    table::{Item, Key, Table, TableError, Update},
    time::Timestamp,
};
use uuid::Uuid;

use crate::entry::LoggedEvent;

const PARTITIONS: u8 = 8;
const SLOTS: u8 = 4;

/// How long the count of a minute is kept.
const MINUTE_RETENTION: Duration = Duration::from_secs(24 * 3600);

/// A part of a count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Count {
    /// Of one type of event from one service, since the log began.
    Total { service: String, event_type: String, slot: u8, count: u64 },
    /// Of all events logged in the minute that began then.
    Minute { minute: Timestamp, slot: u8, count: u64 },
}

impl Count {
    fn sort_key(&self) -> String {
        match self {
            Self::Minute { minute, slot, .. } => format!("{}#{slot}", minute_key(*minute)),
            Self::Total { service, event_type, slot, .. } => format!("TOTAL#{service}#{event_type}#{slot}"),
        }
    }
}

impl Item for Count {
    const TYPE: &'static str = "event_count";

    fn key(&self) -> Key {
        let (Self::Total { slot, .. } | Self::Minute { slot, .. }) = self;
        Key::new(partition(*slot), self.sort_key())
    }
}

fn partition(slot: u8) -> String {
    format!("COUNTS#{}", slot / SLOTS)
}

/// Sorts before every total, so that one Query reads the latest minutes and all totals.
fn minute_key(minute: Timestamp) -> String {
    format!("MINUTE#{minute}")
}

/// The minute that a moment is in.
pub(crate) fn minute_of(moment: Timestamp) -> Timestamp {
    let millis = moment.unix_millis();
    Timestamp::from_unix_millis(millis - millis.rem_euclid(60_000))
}

/// What logging these events adds to the counters: one update for each that they touch.
pub(crate) fn counted(entries: &[LoggedEvent]) -> Vec<Update> {
    let slot = Uuid::new_v4().as_bytes()[0] % (PARTITIONS * SLOTS);
    let (mut totals, mut minutes) = (BTreeMap::new(), BTreeMap::new());
    for entry in entries {
        *totals.entry((&*entry.service, &*entry.event_type)).or_insert(0) += 1;
        *minutes.entry(minute_of(entry.logged_at)).or_insert(0) += 1;
    }
    let totals = totals.into_iter().map(|((service, event_type), count)| total(service, event_type, slot, count));
    totals.chain(minutes.into_iter().map(|(start, count)| minute(start, slot, count))).collect()
}

fn total(service: &str, event_type: &str, slot: u8, count: u32) -> Update {
    let total = Count::Total { service: service.to_owned(), event_type: event_type.to_owned(), slot, count: 0 };
    add(&total, slot, count).set("service", text(service)).set("event_type", text(event_type))
}

fn minute(start: Timestamp, slot: u8, count: u32) -> Update {
    let expires = start.plus(MINUTE_RETENTION).unix_seconds();
    add(&Count::Minute { minute: start, slot, count: 0 }, slot, count)
        .set("minute", text(&start.to_string()))
        .set("ttl", number(expires))
}

fn add(counter: &Count, slot: u8, count: u32) -> Update {
    Update::anyway(Count::TYPE, counter.key())
        .set("type", text(Count::TYPE))
        .set("schema", number(Count::SCHEMA))
        .set("slot", number(slot))
        .add("count", i64::from(count))
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// All totals, and the counts of the minutes from the one of `since` on: one Query for each partition.
pub async fn read(table: &Table, since: Timestamp) -> Result<Vec<Count>, TableError> {
    let from = minute_key(minute_of(since));
    let partitions: Vec<String> = (0..PARTITIONS).map(|partition| format!("COUNTS#{partition}")).collect();
    let counts = try_join_all(partitions.iter().map(|partition| table.partition(partition, &from))).await?;
    Ok(counts.into_iter().flatten().collect())
}
