//! Consumers that apply many events in one transaction, for events that come by the thousand and
//! change few items.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use futures::future::join_all;
use lambda_runtime::LambdaEvent;

use super::{BusMessage, ConsumerError, Delivery, Outcome, TOO_LATE, begins_by, inbox_key, unwrapped};
use crate::{
    event::Envelope,
    failure::{FailureRecord, Failures},
    retry::{Race, backoff},
    runtime::{self, BatchItemFailure, BatchResponse},
    table::{Key, TableError},
    telemetry,
    time::Timestamp,
};

/// Lanes that are at work at the same time.
const LANES: usize = 4;
/// How often a group may lose a race for its items before its messages are left for later.
const RACE_ATTEMPTS: u32 = 16;
const RACE_BACKOFF: Duration = Duration::from_millis(50);

/// Handles the events of one queue, many at a time.
#[async_trait]
pub trait BatchConsumer: Send + Sync {
    /// Unique in the service; part of the inbox records' keys.
    fn name(&self) -> &'static str;

    /// The most events that are handed to [`BatchConsumer::handle`] at once.
    fn limit(&self) -> usize;

    /// The key of the item whose being there tells that a delivery was handled before: its inbox
    /// record's, unless the effect itself can only be had once.
    fn once_key(&self, delivery: &Delivery) -> Key {
        inbox_key(delivery)
    }

    /// Which other events an event is applied together with.
    fn group(&self, event: &Envelope) -> Result<Group, ConsumerError>;

    /// Applies events of one group, none of them twice in the call; in halves, down to single events, when
    /// together they are refused or too many.
    ///
    /// Commits one transaction with [`Transaction::once`](crate::table::Transaction::once), or the
    /// insert of its [`BatchConsumer::once_key`], in it for each. When a condition of it fails, `handle` is called again, without the events that were
    /// handled before, so it must read what it decides on anew each time.
    async fn handle(&self, deliveries: &[Delivery]) -> Result<(), ConsumerError>;
}

/// Events that are applied together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// The groups of one lane change the same items, so they are applied one after the other.
    pub lane: String,
    pub name: String,
}

/// What became of each delivery. A failure is that of its whole group.
///
/// A delivery and its repetitions have their [`BatchConsumer::once_key`] in common.
type Outcomes = Vec<(Key, Result<Outcome, Arc<ConsumerError>>)>;

/// A consumer as a function that takes SQS batches of events from the bus.
///
/// Why a message was not handled is kept in the table named by `PLATFORM_TABLE_NAME`, as well as
/// that can be done.
pub fn batches<C: BatchConsumer + 'static>(consumer: C) -> Box<dyn runtime::Function> {
    batches_recorded(consumer, Failures::from_env())
}

/// [`batches`], with a say in where the reasons of failures are kept.
pub fn batches_recorded<C: BatchConsumer + 'static>(consumer: C, failures: Failures) -> Box<dyn runtime::Function> {
    Box::new(Batches { consumer: Box::new(consumer), failures })
}

struct Batches {
    consumer: Box<dyn BatchConsumer>,
    failures: Failures,
}

#[async_trait]
impl runtime::Function for Batches {
    async fn invoke(&self, event: LambdaEvent<serde_json::Value>) -> Result<serde_json::Value, runtime::Failure> {
        let batch: SqsEvent = serde_json::from_value(event.payload)?;
        let (mut messages, mut deliveries) = (Vec::new(), Vec::new());
        let (mut response, mut records) = (BatchResponse::default(), Vec::new());
        let mut failed = |message: &SqsMessage, error: &ConsumerError| {
            let message_id = message.message_id.clone().unwrap_or_default();
            tracing::error!(message_id, %error, "a message was not handled");
            records.push(FailureRecord::of(message, error));
            response.batch_item_failures.push(BatchItemFailure::new(message_id));
        };
        for message in batch.records {
            match unwrapped(message.body.as_deref().unwrap_or_default()) {
                Ok(event) => {
                    messages.push(message);
                    deliveries.push(event.deliver(self.consumer.name()));
                }
                Err(error) => failed(&message, &error),
            }
        }
        let outcomes = handle_until(&*self.consumer, deliveries, begins_by(event.context.deadline, TOO_LATE)).await;
        for (message, outcome) in messages.iter().zip(outcomes) {
            if let Err(error) = outcome {
                failed(message, &error);
            }
        }
        self.failures.keep(records).await;
        Ok(serde_json::to_value(response)?)
    }
}

/// Lets a consumer handle a batch of events, and answers for each in their order.
pub async fn handle_batch(
    consumer: &dyn BatchConsumer,
    events: Vec<Envelope>,
) -> Vec<Result<Outcome, Arc<ConsumerError>>> {
    let deliveries = events.into_iter().map(|event| Delivery::new(event, consumer.name())).collect();
    handle_until(consumer, deliveries, None).await
}

/// [`handle_batch`], of events as the bus delivers them.
pub async fn deliver_batch(
    consumer: &dyn BatchConsumer,
    messages: Vec<BusMessage>,
) -> Vec<Result<Outcome, Arc<ConsumerError>>> {
    let deliveries = messages.into_iter().map(|message| message.deliver(consumer.name())).collect();
    handle_until(consumer, deliveries, None).await
}

/// Begins no lane after this moment, in milliseconds since the Unix epoch.
async fn handle_until(
    consumer: &dyn BatchConsumer,
    deliveries: Vec<Delivery>,
    begins_by: Option<i64>,
) -> Vec<Result<Outcome, Arc<ConsumerError>>> {
    let keys: Vec<Key> = deliveries.iter().map(|delivery| consumer.once_key(delivery)).collect();
    let oldest = deliveries.iter().map(|delivery| delivery.event.occurred_at).min();
    let outcomes = outcomes(consumer, deliveries, begins_by).await;
    let mut seen = HashSet::new();
    let answers: Vec<_> = keys.iter().map(|key| answer(&outcomes, key, seen.insert(key))).collect();
    telemetry::batch_handled(oldest, &answers);
    answers
}

/// The outcome of one delivery; a second one of the same event in the batch was a repetition.
fn answer(
    outcomes: &HashMap<Key, Result<Outcome, Arc<ConsumerError>>>,
    key: &Key,
    first: bool,
) -> Result<Outcome, Arc<ConsumerError>> {
    match outcomes.get(key) {
        Some(Ok(_)) if !first => Ok(Outcome::Duplicate),
        Some(outcome) => outcome.clone(),
        None => Err(Arc::new(ConsumerError::Rejected("no time is left for this event".into()))),
    }
}

async fn outcomes(
    consumer: &dyn BatchConsumer,
    deliveries: Vec<Delivery>,
    begins_by: Option<i64>,
) -> HashMap<Key, Result<Outcome, Arc<ConsumerError>>> {
    let mut outcomes = HashMap::new();
    let mut lanes: BTreeMap<String, BTreeMap<String, Vec<Delivery>>> = BTreeMap::new();
    let mut seen = HashSet::new();
    for delivery in deliveries.into_iter().filter(|delivery| seen.insert(consumer.once_key(delivery))) {
        match consumer.group(&delivery.event) {
            Ok(Group { lane, name }) => lanes.entry(lane).or_default().entry(name).or_default().push(delivery),
            Err(error) => {
                outcomes.insert(consumer.once_key(&delivery), Err(Arc::new(error)));
            }
        }
    }
    let lanes: Vec<_> = lanes.into_values().collect();
    for lanes in lanes.chunks(LANES) {
        let handled = join_all(lanes.iter().map(|lane| handle_lane(consumer, lane, begins_by))).await;
        outcomes.extend(handled.into_iter().flatten());
    }
    outcomes
}

/// What became of the deliveries that there was time for.
async fn handle_lane(
    consumer: &dyn BatchConsumer,
    groups: &BTreeMap<String, Vec<Delivery>>,
    begins_by: Option<i64>,
) -> Outcomes {
    let mut outcomes = Vec::new();
    for deliveries in groups.values().flat_map(|group| group.chunks(consumer.limit().max(1))) {
        outcomes.extend(handle_group(consumer, deliveries.to_vec(), begins_by).await);
    }
    outcomes
}

async fn handle_group(consumer: &dyn BatchConsumer, mut deliveries: Vec<Delivery>, begins_by: Option<i64>) -> Outcomes {
    let mut outcomes = Vec::new();
    let mut race = 0;
    let in_time = || begins_by.is_none_or(|moment| Timestamp::now().unix_millis() <= moment);
    while !deliveries.is_empty() && in_time() {
        match consumer.handle(&deliveries).await {
            Ok(()) => {
                outcomes.extend(deliveries.iter().map(|delivery| (consumer.once_key(delivery), Ok(Outcome::Handled))));
                break;
            }
            Err(error) if error.is_race() && race < RACE_ATTEMPTS => {
                let (before, left): (Vec<_>, Vec<_>) =
                    deliveries.into_iter().partition(|delivery| was_there(&error, &consumer.once_key(delivery)));
                deliveries = left;
                if before.is_empty() {
                    tokio::time::sleep(backoff(RACE_BACKOFF, race)).await;
                    race += 1;
                }
                outcomes.extend(before.iter().map(|delivery| (consumer.once_key(delivery), Ok(Outcome::Duplicate))));
            }
            Err(error) if deliveries.len() > 1 && !concerns_all(&error) => {
                let (first, second) = deliveries.split_at(deliveries.len() / 2);
                for half in [first, second] {
                    outcomes.extend(Box::pin(handle_group(consumer, half.to_vec(), begins_by)).await);
                }
                break;
            }
            Err(error) => {
                let error = Arc::new(error);
                outcomes.extend(deliveries.iter().map(|delivery| (consumer.once_key(delivery), Err(error.clone()))));
                break;
            }
        }
    }
    outcomes
}

/// Whether an error is not the fault of one event among several.
fn concerns_all(error: &ConsumerError) -> bool {
    match error {
        ConsumerError::Table(error) => error.is_race() || matches!(error, TableError::Unavailable(_)),
        ConsumerError::Client(_) => true,
        ConsumerError::Payload(_) | ConsumerError::Rejected(_) => false,
    }
}

/// Whether a write failed because an item of this key was there already.
fn was_there(error: &ConsumerError, key: &Key) -> bool {
    matches!(error, ConsumerError::Table(error) if error.failed_checks().iter().any(|check| check.is_of(key)))
}
