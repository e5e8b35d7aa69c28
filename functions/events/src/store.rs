//! The events table.
//!
//! An event is two items, written in one transaction with the counters:
//!
//! | item | `pk`, `sk` | gsi1 | gsi2 |
//! |---|---|---|---|
//! | the event | its id: nothing is logged twice | all events | its type |
//! | its listing, a copy | its aggregate | its service | its correlation id |
//!
//! Each of the five lists is spread over four partitions by the event's id, so that neither a busy
//! type nor a busy device has one partition take all of its writes.

use serde::{Deserialize, Serialize};
use shared::{
    id::Id,
    table::{
        IndexKey, Indexes, Item, Key, Listing, Page, PageError, PageRequest, Shard, Table, TableError, Transaction,
    },
    time::Timestamp,
};
use uuid::Uuid;

use crate::{counters, entry::LoggedEvent, filter::Filter};

const ALL: &str = "EVENTS";

impl Item for LoggedEvent {
    const TYPE: &'static str = "event";

    fn key(&self) -> Key {
        key_of(self.event_id)
    }

    fn indexes(&self) -> Indexes {
        Indexes { gsi1: Some(self.listed_in(ALL)), gsi2: Some(self.listed_in(&type_list(&self.event_type))) }
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.kept_until
    }
}

/// The key of the item that an event is logged by.
pub fn key_of(event_id: Uuid) -> Key {
    Key::new(format!("EVENT#{event_id}"), "EVENT")
}

impl LoggedEvent {
    fn listed_in(&self, list: &str) -> IndexKey {
        IndexKey::new(Shard::of(list, spread(self.event_id)), self.sort_key())
    }
}

/// The random end of an event's id as a number to spread by.
fn spread(event_id: Uuid) -> Id {
    let (_, random) = event_id.as_u64_pair();
    Id::new((random & Id::MAX).max(1)).unwrap_or_else(Id::generate)
}

/// The second item of an event: a copy, for the lists that the first has no index left for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct ListedEvent(LoggedEvent);

impl Item for ListedEvent {
    const TYPE: &'static str = "event_listing";

    fn key(&self) -> Key {
        let IndexKey { pk, sk } = self.0.listed_in(&aggregate_list(&self.0.aggregate));
        Key::new(pk, sk)
    }

    fn indexes(&self) -> Indexes {
        Indexes {
            gsi1: Some(self.0.listed_in(&service_list(&self.0.service))),
            gsi2: Some(self.0.listed_in(&correlation_list(&self.0.correlation_id))),
        }
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.0.kept_until
    }
}

pub(crate) fn type_list(event_type: &str) -> String {
    format!("TYPE#{event_type}")
}

fn service_list(service: &str) -> String {
    format!("SERVICE#{service}")
}

fn aggregate_list(aggregate: &str) -> String {
    format!("AGGREGATE#{aggregate}")
}

fn correlation_list(correlation_id: &str) -> String {
    format!("CORRELATION#{correlation_id}")
}

/// Events that fit into one transaction, of the hundred items that one may write: two items for each,
/// at worst a counter of its own for each, and those of two minutes.
pub const AT_ONCE: usize = 32;

/// Logs events and counts them, in one transaction, unless one of them was logged before: then the
/// check of its own item fails, and nothing is written.
pub async fn log(table: &Table, entries: &[LoggedEvent]) -> Result<(), TableError> {
    let written = entries
        .iter()
        .fold(Transaction::new(), |transaction, entry| transaction.insert(entry).upsert(&ListedEvent(entry.clone())));
    let counted = counters::counted(entries).into_iter().fold(written, Transaction::update);
    table.commit(counted).await
}

/// The events that a filter asks for, newest first: four Queries a page, whatever the filter and
/// however long the log.
///
/// With more than one condition (the time aside) a page may be short, with a cursor to go on.
pub async fn page(table: &Table, filter: &Filter, request: &PageRequest) -> Result<Page<LoggedEvent>, PageError> {
    let listing = listing(filter).between(filter.from.map(text), filter.to.map(text));
    if filter.conditions() < 2 {
        return table.page(&listing, request).await;
    }
    table.search(&listing, request, |entry| filter.matches(entry)).await
}

/// The shortest list that has everything the filter asks for.
fn listing(filter: &Filter) -> Listing {
    if let Some(correlation_id) = &filter.correlation_id {
        Listing::sharded("gsi2", &correlation_list(correlation_id))
    } else if let Some(aggregate) = &filter.aggregate {
        Listing::in_table(&aggregate_list(aggregate))
    } else if let Some(event_type) = &filter.event_type {
        Listing::sharded("gsi2", &type_list(event_type))
    } else if let Some(service) = &filter.service {
        Listing::sharded("gsi1", &service_list(service))
    } else {
        Listing::sharded("gsi1", ALL)
    }
}

/// The events of these types, or of all, in a time range, oldest first.
pub fn history(types: Option<&[String]>, from: Timestamp, to: Timestamp) -> Listing {
    let listing = match types {
        Some(types) => {
            let lists: Vec<String> = types.iter().map(|event_type| type_list(event_type)).collect();
            Listing::merged("gsi2", &lists)
        }
        None => Listing::sharded("gsi1", ALL),
    };
    listing.between(Some(text(from)), Some(text(to))).ascending()
}

fn text(moment: Timestamp) -> String {
    moment.to_string()
}
