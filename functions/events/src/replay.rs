//! Sending events from the log to one consumer's queue again.
//!
//! What it is for: a consumer that missed events, because its queue or its rule was not there, gets
//! them by a replay; those that it had handled it knows by its inbox, and leaves them. A consumer
//! whose tables were emptied, or that is to fill a new read model, has handled them too: for it a
//! replay is part of a named rebuild, in which each event is handled once more, and once only.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures::future::join_all;
use serde::Serialize;
use shared::{
    consumer::{BusMessage, SOURCE_PREFIX},
    http::Problem,
    table::{Cursor, Listing, PageError, PageRequest, Table, TableError},
    time::Timestamp,
};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::{
    entry::LoggedEvent,
    queues::{Queue, QueueError, QueueName, Queues, Subscription},
    store,
};

/// How long one call goes on; well within API Gateway's 29 s.
const WORKING_TIME: Duration = Duration::from_secs(10);
/// Messages on the way at the same time.
const AT_ONCE: usize = 10;

/// Which events go to which consumer.
#[derive(Clone, Debug)]
pub struct Replay {
    pub queue: QueueName,
    /// Events that occurred then or later.
    pub from: Timestamp,
    /// Events that occurred before.
    pub to: Timestamp,
    /// `None` for all that the consumer takes.
    pub event_type: Option<String>,
    /// The most that one call sends.
    pub limit: usize,
    pub cursor: Option<Cursor>,
    /// The name of the rebuild that this is part of.
    pub rebuild: Option<String>,
    pub dry_run: bool,
}

/// What one call of a replay came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Replayed {
    pub queue: QueueName,
    pub dry_run: bool,
    /// How many events went; in a dry run, would go.
    pub events: usize,
    pub by_type: BTreeMap<String, usize>,
    /// The cursor to go on with; `null` when all events of the range went.
    pub next: Option<String>,
}

/// Why a replay did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("no such queue, or one that the bus does not feed")]
    NotSubscribed,
    #[error("this consumer does not take events of this type")]
    OtherType,
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Page(#[from] PageError),
    #[error("a logged event cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl From<TableError> for ReplayError {
    fn from(error: TableError) -> Self {
        Self::Page(error.into())
    }
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::NotSubscribed | ReplayError::Queue(QueueError::Missing) => {
                Self::invalid_field("/queue", ReplayError::NotSubscribed.to_string())
            }
            ReplayError::OtherType => Self::invalid_field("/type", error.to_string()),
            ReplayError::Queue(error) => error.into(),
            ReplayError::Page(PageError::Cursor(error)) => Self::invalid_field("/cursor", error.to_string()),
            ReplayError::Page(error) => error.into(),
            ReplayError::Malformed(_) => Self::internal(error),
        }
    }
}

/// Sends events, oldest first, until the range ends, the limit is reached, the time is up or the queue
/// takes no more; a cursor says where to go on.
///
/// # Errors
/// A lost table or queue is an error only while nothing was sent.
pub async fn replay(table: &Table, queues: &dyn Queues, replay: &Replay) -> Result<Replayed, ReplayError> {
    let subscription = queues.subscription(&replay.queue).await?.ok_or(ReplayError::NotSubscribed)?;
    let listing = history(replay, &subscription)?;
    let started = Instant::now();
    let mut answer = Replayed {
        queue: replay.queue.clone(),
        dry_run: replay.dry_run,
        events: 0,
        by_type: BTreeMap::new(),
        next: None,
    };
    let mut cursor = replay.cursor.clone();
    loop {
        let limit = u8::try_from(replay.limit - answer.events).unwrap_or(u8::MAX).min(PageRequest::MAX_LIMIT);
        let request = PageRequest { limit: Some(limit), cursor };
        let takes = |entry: &LoggedEvent| subscription.takes(&source(entry), &entry.event_type);
        let page = match table.search(&listing, &request, takes).await {
            Ok(page) => page,
            Err(PageError::Table(error)) if answer.events > 0 => {
                tracing::warn!(%error, "the replay stops early");
                return Ok(answer);
            }
            Err(error) => return Err(error.into()),
        };
        for entries in page.data.chunks(AT_ONCE) {
            match send(queues, replay, entries).await {
                Ok(()) => answer.count(&listing, entries)?,
                Err(error) if answer.events > 0 => {
                    tracing::warn!(%error, "the replay stops early");
                    return Ok(answer);
                }
                Err(error) => return Err(error),
            }
        }
        answer.next.clone_from(&page.next);
        let Some(next) = page.next else { return Ok(answer) };
        if answer.events >= replay.limit || started.elapsed() > WORKING_TIME {
            return Ok(answer);
        }
        cursor = Some(Cursor::parse(&next).map_err(PageError::from)?);
    }
}

impl Replayed {
    /// Notes that these events went, and that it goes on after them.
    fn count(&mut self, listing: &Listing, entries: &[LoggedEvent]) -> Result<(), TableError> {
        for entry in entries {
            *self.by_type.entry(entry.event_type.clone()).or_default() += 1;
        }
        self.events += entries.len();
        if let Some(last) = entries.last() {
            self.next = Some(listing.cursor_after(&last.sort_key())?);
        }
        Ok(())
    }
}

/// The shortest list that has all events that are to be sent.
fn history(replay: &Replay, subscription: &Subscription) -> Result<Listing, ReplayError> {
    let types = match &replay.event_type {
        Some(event_type) if subscription.takes_type(event_type) => Some(vec![event_type.clone()]),
        Some(_) => return Err(ReplayError::OtherType),
        None => subscription.types(),
    };
    Ok(store::history(types.as_deref(), replay.from, replay.to))
}

fn source(entry: &LoggedEvent) -> String {
    format!("{SOURCE_PREFIX}{}", entry.service)
}

async fn send(queues: &dyn Queues, replay: &Replay, entries: &[LoggedEvent]) -> Result<(), ReplayError> {
    if replay.dry_run {
        return Ok(());
    }
    let queue = Queue::Consumer(replay.queue.clone());
    let bodies = entries.iter().map(|entry| body(entry, replay.rebuild.as_deref())).collect::<Result<Vec<_>, _>>()?;
    let none = HashMap::new();
    let sends = bodies.iter().map(|body| queues.send(&queue, body, &none));
    join_all(sends).await.into_iter().collect::<Result<(), _>>()?;
    Ok(())
}

/// The event as the bus delivers it.
fn body(entry: &LoggedEvent, rebuild: Option<&str>) -> Result<String, serde_json::Error> {
    let message = BusMessage { source: source(entry), detail: entry.event()?, rebuild: rebuild.map(str::to_owned) };
    serde_json::to_string(&message)
}
