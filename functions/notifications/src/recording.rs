//! Storing many notifications at once, with an outcome for each.

use std::collections::{HashMap, HashSet};

use futures::future::try_join_all;
use serde::Serialize;
use sha2::{Digest, Sha256};
use shared::{
    id::Id,
    table::{Item, NEW_ID, Table, TableError, Transaction},
    time::Timestamp,
};

use crate::{
    notification::{Draft, Notification},
    store::{self, Origin},
};

/// DynamoDB's limit on the writes of a transaction.
const MAX_WRITES: usize = 100;
/// A notification, the event that asks for its delivery, and what it is there for.
const WRITES: usize = 3;
/// Rounds in which what is stored already is taken out of a transaction.
const ROUNDS: usize = 5;

/// A notification to store.
#[derive(Clone, Debug)]
pub struct Order {
    pub draft: Draft,
    /// The sender's own name for it: it is stored once, however often it is sent.
    pub key: Option<KeyedRequest>,
}

/// A sender's name for a request, and what the request was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedRequest {
    name: String,
    fingerprint: String,
}

impl KeyedRequest {
    /// The caller's and the request's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What became of it before, if this is what is stored under its name.
    pub fn judged_by(&self, origin: &Origin) -> Recorded {
        match origin.fingerprint.as_ref() == Some(&self.fingerprint) {
            true => Recorded::Duplicate(origin.notification_id),
            false => Recorded::Conflict,
        }
    }

    /// The request that this caller calls so.
    ///
    /// # Errors
    /// When the request cannot be written as JSON, which one of plain fields always can.
    pub fn new(caller: &str, key: &str, request: &impl Serialize) -> Result<Self, serde_json::Error> {
        let name = format!("request#{caller}#{}", hex::encode(Sha256::digest(key)));
        Ok(Self { name, fingerprint: hex::encode(Sha256::digest(serde_json::to_vec(request)?)) })
    }
}

/// What became of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    Accepted(Box<Notification>),
    /// It was stored before, with this id; nothing was written.
    Duplicate(Id),
    /// Another one was stored under this key before; nothing was written.
    Conflict,
    /// The table could not be reached; with a key, it can be sent again without harm.
    Unavailable,
}

/// Stores notifications, each in one transaction with its event; up to 33 share a transaction. Answers
/// for each in their order. No two may have the same key.
///
/// # Errors
/// Only for a defect; what cannot be reached is an outcome.
pub async fn record(table: &Table, orders: &[Order], now: Timestamp) -> Result<Vec<Recorded>, TableError> {
    let requests: Vec<(usize, Notification)> = orders
        .iter()
        .zip(distinct_ids())
        .enumerate()
        .map(|(index, (order, id))| (index, Notification::new(id, order.draft.clone(), now)))
        .collect();
    let chunks = requests.chunks(MAX_WRITES / WRITES).map(|chunk| store_chunk(table, orders, chunk.to_vec()));
    let stored = try_join_all(chunks).await?;
    let mut outcomes: HashMap<usize, Recorded> = stored.into_iter().flatten().collect();
    Ok((0..orders.len()).map(|index| outcomes.remove(&index).unwrap_or(Recorded::Unavailable)).collect())
}

/// New ids of one moment are told apart by a few bits alone, and must differ within a transaction.
pub(crate) fn distinct_ids() -> impl Iterator<Item = Id> {
    let mut seen = HashSet::new();
    std::iter::repeat_with(Id::generate).filter(move |id| seen.insert(*id))
}

/// Stores a transaction's notifications: one TransactWriteItems, and one more when some were stored before.
async fn store_chunk(
    table: &Table,
    orders: &[Order],
    mut left: Vec<(usize, Notification)>,
) -> Result<Vec<(usize, Recorded)>, TableError> {
    let mut outcomes = Vec::with_capacity(left.len());
    for _ in 0..ROUNDS {
        if left.is_empty() {
            break;
        }
        let writes = left.iter().fold(Transaction::new(), |writes, (index, notification)| {
            writes.and(insertion(notification, orders[*index].key.as_ref()))
        });
        match table.commit(writes).await {
            Ok(()) => {
                let stored = left.drain(..);
                outcomes
                    .extend(stored.map(|(index, notification)| (index, Recorded::Accepted(Box::new(notification)))));
            }
            Err(error @ TableError::Failed(_)) => {
                let (before, taken) = (stored_before(&error)?, taken_ids(&error)?);
                left.retain_mut(|(index, notification)| {
                    if taken.contains(&notification.id) {
                        notification.id = Id::generate();
                    }
                    let key = orders[*index].key.as_ref();
                    let Some((key, origin)) = key.and_then(|key| Some((key, before.get(&key.name)?))) else {
                        return true;
                    };
                    outcomes.push((*index, key.judged_by(origin)));
                    false
                });
            }
            Err(error @ TableError::Malformed { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, notifications = left.len(), "notifications were not stored");
                break;
            }
        }
    }
    Ok(outcomes)
}

fn insertion(notification: &Notification, key: Option<&KeyedRequest>) -> Transaction {
    let transaction = store::insertion(notification);
    let Some(KeyedRequest { name, fingerprint }) = key.cloned() else { return transaction };
    transaction.insert(&Origin {
        name,
        notification_id: notification.id,
        fingerprint: Some(fingerprint),
        requested_at: notification.requested_at,
    })
}

/// What stood in a transaction's way, by its name.
pub(crate) fn stored_before(error: &TableError) -> Result<HashMap<String, Origin>, TableError> {
    let checks = error.failed_checks().iter().filter(|check| check.label == Origin::TYPE);
    let origins = checks.map(|check| check.existing::<Origin>()).collect::<Result<Vec<_>, _>>()?;
    Ok(origins.into_iter().flatten().map(|origin| (origin.name.clone(), origin)).collect())
}

/// The new ids that others have.
fn taken_ids(error: &TableError) -> Result<HashSet<Id>, TableError> {
    let checks = error.failed_checks().iter().filter(|check| check.label == NEW_ID);
    let taken = checks.map(|check| check.existing::<Notification>()).collect::<Result<Vec<_>, _>>()?;
    Ok(taken.into_iter().flatten().map(|notification| notification.id).collect())
}
