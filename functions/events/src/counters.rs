//! How many events were logged, counted in the transactions that log them.
//!
//! Every counter is the sum of 32 items, and a transaction adds to one of them at random: no item is
//! hot, and two transactions seldom meet at one. The items are in 8 partitions, so that the figures
//! are 8 Queries.

use std::time::Duration;

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

/// What logging this event adds to the counters.
pub(crate) fn counted(entry: &LoggedEvent) -> [Update; 2] {
    let slot = Uuid::new_v4().as_bytes()[0] % (PARTITIONS * SLOTS);
    let minute = minute_of(entry.logged_at);
    let total = Count::Total { service: entry.service.clone(), event_type: entry.event_type.clone(), slot, count: 1 };
    let expires = minute.plus(MINUTE_RETENTION).unix_seconds();
    let add = |count: &Count| {
        Update::anyway(Count::TYPE, count.key())
            .set("type", text(Count::TYPE))
            .set("schema", number(Count::SCHEMA))
            .set("slot", number(slot))
            .add("count", 1)
    };
    [
        add(&total).set("service", text(&entry.service)).set("event_type", text(&entry.event_type)),
        add(&Count::Minute { minute, slot, count: 1 })
            .set("minute", text(&minute.to_string()))
            .set("ttl", number(expires)),
    ]
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
