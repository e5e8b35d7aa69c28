//! Storing many readings at once, with an outcome for each.

use std::collections::{HashMap, hash_map::Entry};

use futures::future::try_join_all;
use shared::{
    id::Id,
    table::{Item, Table, TableError, Transaction},
};

use crate::{
    reading::Reading,
    store::{self, ReadingName},
};

/// DynamoDB's limit on the writes of a transaction.
const MAX_WRITES: usize = 100;
/// Rounds in which readings that are stored already are taken out of a transaction.
const ROUNDS: usize = 5;

/// What became of one reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    Accepted,
    /// It was stored before; nothing was written.
    Duplicate,
    /// Another reading with the same identity was stored before; nothing was written.
    Conflict,
    /// The table could not be reached; the reading is to be sent again, which does no harm if it was
    /// stored all the same.
    Unavailable,
}

/// What the table says of an identity.
enum Stored {
    Now,
    Before(Reading),
    Unknown,
}

/// Stores readings, each in one transaction with its event; up to fifty share a transaction. Answers
/// for each in their order.
///
/// # Errors
/// Only for a defect; what cannot be reached is an outcome.
pub async fn record(table: &Table, readings: &[Reading]) -> Result<Vec<Recorded>, TableError> {
    let mut first: HashMap<Id, usize> = HashMap::new();
    let mut distinct = Vec::new();
    for (index, reading) in readings.iter().enumerate() {
        if let Entry::Vacant(entry) = first.entry(reading.id) {
            entry.insert(index);
            distinct.push(reading);
        }
    }
    let stored = try_join_all(chunks(&distinct).into_iter().map(|chunk| store_chunk(table, chunk))).await?;
    let stored: HashMap<Id, Stored> = stored.into_iter().flatten().collect();
    let outcomes = readings.iter().enumerate().map(|(index, reading)| {
        let earlier = match (stored.get(&reading.id), first.get(&reading.id)) {
            (Some(Stored::Now), Some(first)) if *first == index => return Recorded::Accepted,
            (Some(Stored::Now), Some(first)) => &readings[*first],
            (Some(Stored::Before(earlier)), _) => earlier,
            _ => return Recorded::Unavailable,
        };
        if reading.repeats(earlier) { Recorded::Duplicate } else { Recorded::Conflict }
    });
    Ok(outcomes.collect())
}

/// As many readings together as a transaction takes.
fn chunks<'a>(readings: &[&'a Reading]) -> Vec<Vec<&'a Reading>> {
    let mut chunks: Vec<Vec<&Reading>> = Vec::new();
    let mut writes = MAX_WRITES;
    for reading in readings {
        writes += store::writes(reading);
        match chunks.last_mut().filter(|_| writes <= MAX_WRITES) {
            Some(chunk) => chunk.push(reading),
            None => {
                writes = store::writes(reading);
                chunks.push(vec![reading]);
            }
        }
    }
    chunks
}

/// Stores a transaction's readings: one TransactWriteItems, and one more when some were stored before.
async fn store_chunk(table: &Table, mut left: Vec<&Reading>) -> Result<Vec<(Id, Stored)>, TableError> {
    let mut outcomes = Vec::with_capacity(left.len());
    for _ in 0..ROUNDS {
        if left.is_empty() {
            break;
        }
        match table
            .commit(left.iter().fold(Transaction::new(), |writes, reading| store::insertion(writes, reading)))
            .await
        {
            Ok(()) => outcomes.extend(left.drain(..).map(|reading| (reading.id, Stored::Now))),
            Err(error @ TableError::Failed(_)) => {
                let stored = stored_before(&error)?;
                left.retain(|reading| !stored.contains_key(&reading.id));
                outcomes.extend(stored.into_iter().map(|(id, reading)| (id, Stored::Before(reading))));
            }
            Err(error @ TableError::Malformed { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, readings = left.len(), "readings were not stored");
                break;
            }
        }
    }
    outcomes.extend(left.into_iter().map(|reading| (reading.id, Stored::Unknown)));
    Ok(outcomes)
}

/// The stored readings that stood in a transaction's way, by their ids.
fn stored_before(error: &TableError) -> Result<HashMap<Id, Reading>, TableError> {
    let mut stored = HashMap::new();
    for check in error.failed_checks() {
        let reading = match check.label {
            Reading::TYPE => check.existing::<Reading>()?,
            ReadingName::TYPE => check.existing::<ReadingName>()?.map(|name| name.reading),
            _ => None,
        };
        stored.extend(reading.map(|reading| (reading.id, reading)));
    }
    Ok(stored)
}
