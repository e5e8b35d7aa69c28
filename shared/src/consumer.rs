//! Event consumers behind SQS: partial batch responses, and each event at most once in effect.
//!
//! A consumer writes an inbox record in the transaction of its effect ([`Transaction::once`]). A
//! redelivered event finds its record, and nothing is written again. What fails three times goes
//! to the queue's dead-letter queue, by the queue's redrive policy; why, is kept beside it
//! ([`FailureRecord`](crate::failure::FailureRecord)).

mod batch;

use std::time::Duration;

use async_trait::async_trait;
use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::LambdaEvent;
use serde::{Deserialize, Serialize};
use tracing::Instrument;
use uuid::Uuid;

pub use self::batch::{BatchConsumer, Group, batches, batches_recorded, deliver_batch, handle_batch};
use crate::{
    client::ClientError,
    context::Context,
    event::{Envelope, PayloadError},
    failure::{FailureRecord, Failures},
    retry::{Race, deciding_anew},
    runtime::{self, BatchItemFailure, BatchResponse},
    table::{Item, Key, TableError, Transaction},
    telemetry,
    time::Timestamp,
};

/// How long a handled event is remembered: longer than any queue or dead-letter queue keeps it.
const INBOX_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);
/// What is left of an invocation's time is too little to begin another message in, for most.
const TOO_LATE: Duration = Duration::from_secs(4);

/// Handles the events of one queue.
#[async_trait]
pub trait Consumer: Send + Sync {
    /// Unique in the service; part of the inbox record's key.
    fn name(&self) -> &'static str;

    /// Applies one event.
    ///
    /// Commits one transaction with [`Transaction::once`] in it. When a condition of that
    /// transaction fails because another writer was first, `handle` is called again, so it must
    /// read what it decides on anew each time.
    async fn handle(&self, delivery: &Delivery) -> Result<(), ConsumerError>;

    /// The label of the check that fails when the event was handled before: the inbox record's, unless
    /// the effect itself can only be had once.
    fn once_check(&self) -> &'static str {
        InboxItem::TYPE
    }
}

/// One delivery of an event to one consumer.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub event: Envelope,
    /// The service that published the event; `None` when the delivery does not say.
    pub service: Option<String>,
    consumer: &'static str,
    rebuild: Option<String>,
}

impl Delivery {
    pub fn new(event: Envelope, consumer: &'static str) -> Self {
        Self { event, service: None, consumer, rebuild: None }
    }

    /// The context in which the event is handled, so that what is published then names it as its cause.
    pub fn context(&self) -> Context {
        Context::of_event(&self.event.correlation_id, self.event.id)
    }
}

/// EventBridge's wrapping of an event in an SQS message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BusMessage {
    /// `quayside.<service>`.
    #[serde(default)]
    pub source: String,
    pub detail: Envelope,
    /// The name of the rebuild that a replayed event is part of. For each rebuild a consumer handles
    /// an event once more, though it has handled it before. EventBridge never sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<String>,
}

/// What precedes a service's name in the `source` of its events.
pub const SOURCE_PREFIX: &str = "quayside.";

impl BusMessage {
    /// The service that published the event.
    pub fn service(&self) -> Option<&str> {
        self.source.strip_prefix(SOURCE_PREFIX)
    }

    fn deliver(self, consumer: &'static str) -> Delivery {
        let service = self.service().map(str::to_owned);
        Delivery { event: self.detail, service, consumer, rebuild: self.rebuild }
    }
}

/// Why an event was not handled. It is delivered again, and after three attempts dead-lettered.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Payload(#[from] PayloadError),
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The event cannot be applied to what the service knows.
    #[error("{0}")]
    Rejected(String),
}

impl Race for ConsumerError {
    fn is_race(&self) -> bool {
        matches!(self, Self::Table(error) if error.is_race())
    }
}

/// The record that a consumer has handled an event.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct InboxItem {
    consumer: String,
    event_id: Uuid,
    event_type: String,
    /// The rebuild that it was handled for, once more.
    rebuild: Option<String>,
    handled_at: Timestamp,
}

impl Item for InboxItem {
    const TYPE: &'static str = "inbox";

    fn key(&self) -> Key {
        record_key(&self.consumer, self.event_id, self.rebuild.as_deref())
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.handled_at.plus(INBOX_RETENTION))
    }
}

fn record_key(consumer: &str, event_id: Uuid, rebuild: Option<&str>) -> Key {
    let pk = format!("INBOX#{consumer}#{event_id}");
    Key::new(rebuild.map_or(pk.clone(), |rebuild| format!("{pk}#{rebuild}")), "INBOX")
}

/// The key of the record that a delivery was handled.
fn inbox_key(delivery: &Delivery) -> Key {
    record_key(delivery.consumer, delivery.event.id, delivery.rebuild.as_deref())
}

impl Transaction {
    /// Commits only if this consumer has not handled this event yet.
    #[must_use]
    pub fn once(self, delivery: &Delivery) -> Self {
        self.insert(&InboxItem {
            consumer: delivery.consumer.to_owned(),
            event_id: delivery.event.id,
            event_type: delivery.event.event_type.clone(),
            rebuild: delivery.rebuild.clone(),
            handled_at: Timestamp::now(),
        })
    }
}

/// A consumer as a function that takes SQS batches of events from the bus.
pub fn function<C: Consumer + 'static>(consumer: C) -> Box<dyn runtime::Function> {
    messages(Events(Box::new(consumer)))
}

/// Handles the messages of a queue that is not fed by the bus.
#[async_trait]
pub trait MessageHandler: Send + Sync {
    /// Handles one message; it may come again.
    async fn handle(&self, body: &str) -> Result<(), ConsumerError>;

    /// The time that a message may take: with less left of the invocation's, none is begun.
    fn takes(&self) -> Duration {
        TOO_LATE
    }
}

/// A handler as a function that takes SQS batches and answers with `ReportBatchItemFailures`.
///
/// Why a message was not handled is kept in the table named by `PLATFORM_TABLE_NAME`, as well as
/// that can be done.
pub fn messages<H: MessageHandler + 'static>(handler: H) -> Box<dyn runtime::Function> {
    messages_recorded(handler, Failures::from_env())
}

/// [`messages`], with a say in where the reasons of failures are kept.
pub fn messages_recorded<H: MessageHandler + 'static>(handler: H, failures: Failures) -> Box<dyn runtime::Function> {
    Box::new(Queue { handler: Box::new(handler), failures })
}

struct Queue {
    handler: Box<dyn MessageHandler>,
    failures: Failures,
}

#[async_trait]
impl runtime::Function for Queue {
    async fn invoke(&self, event: LambdaEvent<serde_json::Value>) -> Result<serde_json::Value, runtime::Failure> {
        let batch: SqsEvent = serde_json::from_value(event.payload)?;
        let mut response = BatchResponse::default();
        let begins_by = begins_by(event.context.deadline, self.handler.takes());
        let mut records = Vec::new();
        for message in batch.records {
            let message_id = message.message_id.clone().unwrap_or_default();
            let body = message.body.as_deref().unwrap_or_default();
            if begins_by.is_some_and(|moment| Timestamp::now().unix_millis() > moment) {
                tracing::warn!(message_id, "no time is left for this message; it comes again");
                let late = ConsumerError::Rejected("no time was left for this message".into());
                records.push(FailureRecord::of(&message, &late));
                response.batch_item_failures.push(BatchItemFailure::new(message_id));
            } else if let Err(error) = self.handler.handle(body).await {
                tracing::error!(message_id, %error, "a message was not handled");
                records.push(FailureRecord::of(&message, &error));
                response.batch_item_failures.push(BatchItemFailure::new(message_id));
            }
        }
        self.failures.keep(records).await;
        Ok(serde_json::to_value(response)?)
    }
}

/// The last moment to begin a message at, in milliseconds since the Unix epoch, for an invocation with
/// this deadline, when one takes so long; `None` where there is no real one, as under `cargo lambda watch`.
fn begins_by(deadline: u64, takes: Duration) -> Option<i64> {
    let begins_by = i64::try_from(deadline).ok()? - i64::try_from(takes.as_millis()).ok()?;
    (begins_by > PLAUSIBLE_DEADLINE).then_some(begins_by)
}

/// 2020-01-01T00:00:00Z in milliseconds since the Unix epoch.
const PLAUSIBLE_DEADLINE: i64 = 1_577_836_800_000;

struct Events(Box<dyn Consumer>);

#[async_trait]
impl MessageHandler for Events {
    async fn handle(&self, body: &str) -> Result<(), ConsumerError> {
        deliver(&*self.0, unwrapped(body)?).await.map(|_| ())
    }
}

fn unwrapped(body: &str) -> Result<BusMessage, ConsumerError> {
    serde_json::from_str(body).map_err(|error| ConsumerError::Rejected(format!("not an event of this system: {error}")))
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Handled,
    /// This consumer had handled this event before; nothing was written.
    Duplicate,
}

/// Lets a consumer handle one event, in the event's context, again when it loses a race.
pub async fn handle(consumer: &dyn Consumer, event: Envelope) -> Result<Outcome, ConsumerError> {
    receive(consumer, Delivery::new(event, consumer.name())).await
}

/// [`handle`], of an event as the bus delivers it.
pub async fn deliver(consumer: &dyn Consumer, message: BusMessage) -> Result<Outcome, ConsumerError> {
    receive(consumer, message.deliver(consumer.name())).await
}

async fn receive(consumer: &dyn Consumer, delivery: Delivery) -> Result<Outcome, ConsumerError> {
    let (context, event) = (delivery.context(), &delivery.event);
    let span = tracing::info_span!("event", correlation_id = %context.correlation_id, event_id = %event.id,
        event_type = %event.event_type, consumer = consumer.name());
    let outcome = context.scope(attempt(consumer, &delivery).instrument(span)).await;
    telemetry::event_handled(consumer.name(), &delivery.event, &outcome);
    outcome
}

async fn attempt(consumer: &dyn Consumer, delivery: &Delivery) -> Result<Outcome, ConsumerError> {
    let outcome = deciding_anew(|| async {
        match consumer.handle(delivery).await {
            Ok(()) => Ok(Outcome::Handled),
            Err(ConsumerError::Table(error)) if error.failed(consumer.once_check()) => Ok(Outcome::Duplicate),
            Err(error) => Err(error),
        }
    });
    let outcome = outcome.await;
    match &outcome {
        Ok(outcome) => tracing::info!(?outcome, "an event was handled"),
        Err(error) => tracing::error!(%error, "an event was not handled"),
    }
    outcome
}
