//! Figures about the stream of events and its queues.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures::future::join_all;
use serde::Serialize;
use shared::{
    table::{Table, TableError},
    time::Timestamp,
};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use crate::{
    counters::{self, Count},
    queues::{Depth, Queue, QueueError, QueueName, Queues},
};

/// How long the queues may take to tell their figures.
const DEADLINE: Duration = Duration::from_millis(1500);
/// The longest time that a rate is told for.
const LONGEST_RATE: Duration = Duration::from_secs(15 * 60);

/// How many events there were, of which kind, and how fast they come.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct StreamStats {
    /// Since the log began.
    pub total: u64,
    pub by_type: BTreeMap<String, u64>,
    pub by_service: BTreeMap<String, u64>,
    pub events_per_minute: Rates,
}

/// Events per minute over the last minutes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Rates {
    pub last_minute: f64,
    pub last_5_minutes: f64,
    pub last_15_minutes: f64,
}

impl StreamStats {
    /// The figures at `now`: one Query for each partition of the counters.
    pub async fn read(table: &Table, now: Timestamp) -> Result<Self, TableError> {
        let since = Timestamp::from_unix_millis(now.unix_millis() - millis(LONGEST_RATE));
        Ok(Self::of(&counters::read(table, since).await?, now))
    }

    fn of(counts: &[Count], now: Timestamp) -> Self {
        let mut total = 0;
        let (mut by_type, mut by_service) = (BTreeMap::new(), BTreeMap::new());
        for counted in counts {
            if let Count::Total { service, event_type, count, .. } = counted {
                total += count;
                *by_type.entry(event_type.clone()).or_default() += count;
                *by_service.entry(service.clone()).or_default() += count;
            }
        }
        let rate = |minutes| rate(counts, now, minutes);
        let events_per_minute = Rates { last_minute: rate(1), last_5_minutes: rate(5), last_15_minutes: rate(15) };
        Self { total, by_type, by_service, events_per_minute }
    }
}

/// Events per minute over the last so many minutes, to two decimals. Of the minute in which that time
/// begins, as large a part is counted as belongs to it.
fn rate(counts: &[Count], now: Timestamp, minutes: u16) -> f64 {
    const MINUTE: i64 = 60_000;
    let start = now.unix_millis() - i64::from(minutes) * MINUTE;
    let events: f64 = counts
        .iter()
        .filter_map(|counted| match counted {
            Count::Minute { minute, count, .. } => Some((minute.unix_millis(), *count)),
            Count::Total { .. } => None,
        })
        .map(|(minute, count)| {
            let part = (minute + MINUTE - start).clamp(0, MINUTE);
            count as f64 * part as f64 / MINUTE as f64
        })
        .sum();
    (events / f64::from(minutes) * 100.0).round() / 100.0
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A consumer's queue and its dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueueStats {
    pub queue: QueueName,
    pub service: String,
    #[serde(flatten)]
    pub figures: Figures,
    pub dead_letters: Figures,
}

/// How full a queue is; `null` where that could not be found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = QueueFigures)]
pub struct Figures {
    /// Messages that wait.
    pub depth: Option<u64>,
    /// Messages that are being handled.
    pub in_flight: Option<u64>,
    /// How long the oldest message has been waiting.
    pub age_seconds: Option<u64>,
}

impl Figures {
    fn of(depth: Option<Depth>, age: Option<Duration>) -> Self {
        let empty = depth == Some(Depth::default());
        Self {
            depth: depth.map(|depth| depth.waiting),
            in_flight: depth.map(|depth| depth.in_flight),
            age_seconds: if empty { Some(0) } else { age.map(|age| age.as_secs()) },
        }
    }
}

/// The figures of every queue, within a second and a half; `None` when not even their names could be
/// found out.
pub async fn queue_stats(queues: &dyn Queues) -> Option<Vec<QueueStats>> {
    let deadline = Instant::now() + DEADLINE;
    let names = in_time(deadline, queues.names()).await?;
    let all: Vec<Queue> =
        names.iter().flat_map(|name| [Queue::Consumer(name.clone()), Queue::DeadLetters(name.clone())]).collect();
    let depths = join_all(all.iter().map(|queue| in_time(deadline, queues.depth(queue))));
    let (depths, ages) = tokio::join!(depths, in_time(deadline, queues.ages(&all)));
    let ages = ages.unwrap_or_default();
    let depths: HashMap<&Queue, Option<Depth>> = all.iter().zip(depths).collect();
    let figures = |queue: &Queue| Figures::of(depths.get(queue).copied().flatten(), ages.get(queue).copied());
    let stats = names.into_iter().map(|name| QueueStats {
        service: name.service().to_owned(),
        figures: figures(&Queue::Consumer(name.clone())),
        dead_letters: figures(&Queue::DeadLetters(name.clone())),
        queue: name,
    });
    Some(stats.collect())
}

async fn in_time<T>(deadline: Instant, answer: impl Future<Output = Result<T, QueueError>>) -> Option<T> {
    match timeout_at(deadline, answer).await {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a figure of a queue is missing");
            None
        }
        Err(_) => {
            tracing::warn!("a figure of a queue did not come in time");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(minute: i64, count: u64) -> Count {
        Count::Minute { minute: Timestamp::from_unix_millis(minute * 60_000), slot: 0, count }
    }

    #[test]
    fn a_rate_counts_the_part_of_a_minute_that_belongs_to_its_time() {
        let now = Timestamp::from_unix_millis(100 * 60_000 + 15_000);
        let counts = [minute(100, 10), minute(99, 40), minute(98, 1), minute(95, 4), minute(20, 1000)];
        assert_eq!(rate(&counts, now, 1), 10.0 + 40.0 * 0.75);
        assert_eq!(rate(&counts, now, 5), (10.0 + 40.0 + 1.0 + 4.0 * 0.75) / 5.0);
        assert_eq!(rate(&[], now, 15), 0.0);
    }
}
