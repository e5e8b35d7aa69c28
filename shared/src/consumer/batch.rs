//! Consumers that apply many events in one transaction, for events that come by the thousand and
//! change few items.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use aws_lambda_events::event::sqs::SqsEvent;
use futures::future::join_all;
use lambda_runtime::LambdaEvent;
use uuid::Uuid;

use super::{ConsumerError, Delivery, InboxItem, Outcome, begins_by, unwrapped};
use crate::{
    event::Envelope,
    retry::{Race, backoff},
    runtime::{self, BatchItemFailure, BatchResponse},
    table::{Item, TableError},
    telemetry,
    time::Timestamp,
};

/// Lanes that are at work at the same time.
const LANES: usize = 4;
/// How often a group may lose a race for its items before its messages are left for later.
const RACE_ATTEMPTS: u32 = 16;
const RACE_BACKOFF: Duration = Duration::from_millis(10);

/// Handles the events of one queue, many at a time.
#[async_trait]
pub trait BatchConsumer: Send + Sync {
    /// Unique in the service; part of the inbox records' keys.
    fn name(&self) -> &'static str;

    /// The most events that are handed to [`BatchConsumer::handle`] at once.
    fn limit(&self) -> usize;

    /// Which other events an event is applied together with.
    fn group(&self, event: &Envelope) -> Result<Group, ConsumerError>;

    /// Applies events of one group, none of them twice in the call.
    ///
    /// Commits one transaction with [`Transaction::once`](crate::table::Transaction::once) in it for
    /// each. When a condition of it fails, `handle` is called again, without the events that were
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

/// What became of each event, by its id. A failure is that of its whole group.
type Outcomes = Vec<(Uuid, Result<Outcome, Arc<ConsumerError>>)>;

/// A consumer as a function that takes SQS batches of events from the bus.
pub fn batches<C: BatchConsumer + 'static>(consumer: C) -> Box<dyn runtime::Function> {
    Box::new(Batches(Box::new(consumer)))
}

struct Batches(Box<dyn BatchConsumer>);

#[async_trait]
impl runtime::Function for Batches {
    async fn invoke(&self, event: LambdaEvent<serde_json::Value>) -> Result<serde_json::Value, runtime::Failure> {
        let batch: SqsEvent = serde_json::from_value(event.payload)?;
        let (mut message_ids, mut events) = (Vec::new(), Vec::new());
        let mut response = BatchResponse::default();
        let mut failed = |message_id: String, error: &ConsumerError| {
            tracing::error!(message_id, %error, "a message was not handled");
            response.batch_item_failures.push(BatchItemFailure::new(message_id));
        };
        for message in batch.records {
            let message_id = message.message_id.unwrap_or_default();
            match unwrapped(&message.body.unwrap_or_default()) {
                Ok(message) => {
                    message_ids.push(message_id);
                    events.push(message.detail);
                }
                Err(error) => failed(message_id, &error),
            }
        }
        let outcomes = handle_until(&*self.0, events, begins_by(event.context.deadline)).await;
        for (message_id, outcome) in message_ids.into_iter().zip(outcomes) {
            if let Err(error) = outcome {
                failed(message_id, &error);
            }
        }
        Ok(serde_json::to_value(response)?)
    }
}

/// Lets a consumer handle a batch of events, and answers for each in their order.
pub async fn handle_batch(
    consumer: &dyn BatchConsumer,
    events: Vec<Envelope>,
) -> Vec<Result<Outcome, Arc<ConsumerError>>> {
    handle_until(consumer, events, None).await
}

/// Begins no lane after this moment, in milliseconds since the Unix epoch.
async fn handle_until(
    consumer: &dyn BatchConsumer,
    events: Vec<Envelope>,
    begins_by: Option<i64>,
) -> Vec<Result<Outcome, Arc<ConsumerError>>> {
    let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    let oldest = events.iter().map(|event| event.occurred_at).min();
    let outcomes = outcomes(consumer, events, begins_by).await;
    let mut seen = HashSet::new();
    let answers: Vec<_> = ids.into_iter().map(|id| answer(&outcomes, id, seen.insert(id))).collect();
    telemetry::batch_handled(oldest, &answers);
    answers
}

/// The outcome of one delivery; a second one of the same event in the batch was a repetition.
fn answer(
    outcomes: &HashMap<Uuid, Result<Outcome, Arc<ConsumerError>>>,
    id: Uuid,
    first: bool,
) -> Result<Outcome, Arc<ConsumerError>> {
    match outcomes.get(&id) {
        Some(Ok(_)) if !first => Ok(Outcome::Duplicate),
        Some(outcome) => outcome.clone(),
        None => Err(Arc::new(ConsumerError::Rejected("no time is left for this event".into()))),
    }
}

async fn outcomes(
    consumer: &dyn BatchConsumer,
    events: Vec<Envelope>,
    begins_by: Option<i64>,
) -> HashMap<Uuid, Result<Outcome, Arc<ConsumerError>>> {
    let mut outcomes = HashMap::new();
    let mut lanes: BTreeMap<String, BTreeMap<String, Vec<Delivery>>> = BTreeMap::new();
    let mut seen = HashSet::new();
    for event in events.into_iter().filter(|event| seen.insert(event.id)) {
        match consumer.group(&event) {
            Ok(Group { lane, name }) => {
                let delivery = Delivery::new(event, consumer.name());
                lanes.entry(lane).or_default().entry(name).or_default().push(delivery);
            }
            Err(error) => {
                outcomes.insert(event.id, Err(Arc::new(error)));
            }
        }
    }
    let lanes: Vec<_> = lanes.into_values().collect();
    for lanes in lanes.chunks(LANES) {
        if begins_by.is_some_and(|moment| Timestamp::now().unix_millis() > moment) {
            break;
        }
        let handled = join_all(lanes.iter().map(|lane| handle_lane(consumer, lane))).await;
        outcomes.extend(handled.into_iter().flatten());
    }
    outcomes
}

async fn handle_lane(consumer: &dyn BatchConsumer, groups: &BTreeMap<String, Vec<Delivery>>) -> Outcomes {
    let mut outcomes = Vec::new();
    for deliveries in groups.values().flat_map(|group| group.chunks(consumer.limit().max(1))) {
        outcomes.extend(handle_group(consumer, deliveries.to_vec()).await);
    }
    outcomes
}

async fn handle_group(consumer: &dyn BatchConsumer, mut deliveries: Vec<Delivery>) -> Outcomes {
    let mut outcomes = Vec::new();
    let mut race = 0;
    while !deliveries.is_empty() {
        match consumer.handle(&deliveries).await {
            Ok(()) => {
                outcomes.extend(deliveries.iter().map(|delivery| (delivery.event.id, Ok(Outcome::Handled))));
                break;
            }
            Err(error) if error.is_race() && race < RACE_ATTEMPTS => {
                let before = handled_before(&error);
                deliveries.retain(|delivery| !before.contains(&delivery.event.id));
                if before.is_empty() {
                    tokio::time::sleep(backoff(RACE_BACKOFF, race)).await;
                    race += 1;
                }
                outcomes.extend(before.into_iter().map(|id| (id, Ok(Outcome::Duplicate))));
            }
            Err(error) if deliveries.len() > 1 && !concerns_all(&error) => {
                for delivery in deliveries {
                    outcomes.extend(Box::pin(handle_group(consumer, vec![delivery])).await);
                }
                break;
            }
            Err(error) => {
                let error = Arc::new(error);
                outcomes.extend(deliveries.iter().map(|delivery| (delivery.event.id, Err(error.clone()))));
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

/// The events whose inbox records were there already.
fn handled_before(error: &ConsumerError) -> Vec<Uuid> {
    let ConsumerError::Table(error) = error else { return Vec::new() };
    let checks = error.failed_checks().iter().filter(|check| check.label == InboxItem::TYPE);
    checks.filter_map(|check| check.existing::<InboxItem>().ok().flatten()).map(|item| item.event_id).collect()
}
