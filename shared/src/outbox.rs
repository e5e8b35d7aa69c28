//! The transactional outbox: an event is stored in the transaction of the change it tells of, and
//! the table's stream feeds a relay that puts it on the bus.
//!
//! Delivery is at least once: while the bus refuses an event, the relay's invocation fails, and the
//! stream repeats the batch. (It fails as a whole rather than with a partial batch response, which
//! not every emulator's streams honour: an event must not be lost for the sake of a few repetitions.)

use std::{process::ExitCode, time::Duration};

use async_trait::async_trait;
use aws_lambda_events::event::dynamodb;
use aws_sdk_eventbridge::{Client, error::DisplayErrorContext, types::PutEventsRequestEntry};
use aws_types::SdkConfig;
use lambda_runtime::LambdaEvent;
use serde::{Deserialize, Serialize};

use crate::{
    aws,
    event::{Envelope, Payload},
    runtime,
    table::{Item, Key, Transaction},
    telemetry,
    time::Timestamp,
};

/// How long a published event stays in the table, for operators to look at.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// EventBridge's limits on one PutEvents: entries, and bytes with room for their names.
const MAX_ENTRIES: usize = 10;
const MAX_BYTES: usize = 200_000;
const ATTEMPTS: u32 = 5;
/// The longest event that is published, in bytes of JSON: EventBridge takes 256 KB, of which some are left
/// for the names it puts around it. A longer one would never be taken, and those behind it neither.
pub const MAX_EVENT_BYTES: usize = 240 * 1024;

/// An event waiting in its service's table. Its partition is its aggregate's, so that the stream
/// keeps an aggregate's events in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutboxItem {
    pub event_id: String,
    pub event_type: String,
    pub aggregate: String,
    /// The [`Envelope`] as JSON text, so that it reaches the bus to the letter.
    pub envelope: String,
    pub occurred_at: Timestamp,
}

impl Item for OutboxItem {
    const TYPE: &'static str = "outbox";

    fn key(&self) -> Key {
        Key::new(format!("OUTBOX#{}", self.aggregate), &self.event_id)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.occurred_at.plus(RETENTION))
    }
}

impl OutboxItem {
    fn of(event: &Envelope) -> Result<Self, serde_json::Error> {
        Ok(Self {
            event_id: event.id.to_string(),
            event_type: event.event_type.clone(),
            aggregate: format!("{}#{}", event.aggregate_type, event.aggregate_id),
            envelope: serde_json::to_string(event)?,
            occurred_at: event.occurred_at,
        })
    }
}

impl Transaction {
    /// Publishes an event if, and only if, the transaction commits; which is refused if the event has
    /// more than [`MAX_EVENT_BYTES`].
    #[must_use]
    pub fn publish<P: Payload>(self, payload: &P) -> Self {
        match Envelope::new(payload).and_then(|event| OutboxItem::of(&event)) {
            Ok(item) if item.envelope.len() > MAX_EVENT_BYTES => {
                self.fail(OutboxItem::TYPE, format!("{} has {} bytes", item.event_type, item.envelope.len()))
            }
            Ok(item) => self.insert(&item),
            Err(error) => self.fail(OutboxItem::TYPE, error),
        }
    }
}

/// Serves `<service>-relay`: puts the outbox items in a table's stream on the bus named by
/// `EVENT_BUS_NAME`, with the source `quayside.<SERVICE_NAME>`.
pub fn serve_relay() -> ExitCode {
    runtime::run(|| {
        let config = aws::sdk_config()?;
        Ok(Box::new(Relay {
            bus: EventBridge { client: Client::new(&config), name: aws::required("EVENT_BUS_NAME")? },
            source: format!("quayside.{}", aws::required("SERVICE_NAME")?),
        }))
    })
}

/// Puts items of a service's outbox on a bus again, in this order, as its relay does: for those that no
/// relay came to while the table's stream held them, a day. Consumers know what they have handled.
///
/// # Errors
/// When the bus does not take some of them.
pub async fn publish_again(
    config: &SdkConfig,
    bus: &str,
    service: &str,
    items: Vec<OutboxItem>,
) -> Result<(), RelayError> {
    let bus = EventBridge { client: Client::new(config), name: bus.to_owned() };
    let relay = Relay { bus, source: format!("quayside.{service}") };
    relay.publish_all(items.into_iter().map(Entry::of).collect()).await
}

/// Some events are not on the bus yet.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{failed} events are not on the bus yet")]
pub struct RelayError {
    failed: usize,
}

struct Relay<B> {
    bus: B,
    source: String,
}

#[derive(Clone, Debug)]
struct Entry {
    event_type: String,
    detail: String,
}

impl Entry {
    fn of(item: OutboxItem) -> Self {
        Self { event_type: item.event_type, detail: item.envelope }
    }
}

#[async_trait]
trait Bus: Send + Sync {
    /// Publishes the entries; answers with those that were not accepted.
    async fn put(&self, source: &str, entries: Vec<Entry>) -> Vec<Entry>;
}

struct EventBridge {
    client: Client,
    name: String,
}

#[async_trait]
impl<B: Bus> runtime::Function for Relay<B> {
    async fn invoke(&self, event: LambdaEvent<serde_json::Value>) -> Result<serde_json::Value, runtime::Failure> {
        let batch: dynamodb::Event = serde_json::from_value(event.payload)?;
        let (entries, unreadable) = read(batch);
        telemetry::events_failed(unreadable);
        self.publish_all(entries).await?;
        Ok(serde_json::Value::Null)
    }
}

impl<B: Bus> Relay<B> {
    async fn publish_all(&self, entries: Vec<Entry>) -> Result<(), RelayError> {
        let mut failed = 0;
        for chunk in chunks(entries) {
            failed += self.publish(chunk).await.len();
        }
        if failed == 0 { Ok(()) } else { Err(RelayError { failed }) }
    }

    async fn publish(&self, mut entries: Vec<Entry>) -> Vec<Entry> {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
            }
            entries = self.bus.put(&self.source, entries).await;
            if entries.is_empty() {
                break;
            }
        }
        entries
    }
}

/// The outbox items of a batch, and how many more cannot be read: these stay in the table, and must not
/// keep those behind them from the bus.
fn read(batch: dynamodb::Event) -> (Vec<Entry>, usize) {
    let (mut entries, mut unreadable) = (Vec::new(), 0);
    for record in batch.records.into_iter().filter(|record| record.event_name == "INSERT") {
        let image = record.change.new_image;
        let stored = serde_dynamo::from_item::<_, Stored>(image.clone());
        if !stored.is_ok_and(|stored| stored.item_type == OutboxItem::TYPE) {
            continue;
        }
        match serde_dynamo::from_item::<_, OutboxItem>(image) {
            Ok(item) => entries.push(Entry::of(item)),
            Err(error) => {
                tracing::error!(event_id = record.event_id, %error, "an outbox item cannot be read");
                unreadable += 1;
            }
        }
    }
    (entries, unreadable)
}

#[derive(Deserialize)]
struct Stored {
    #[serde(rename = "type", default)]
    item_type: String,
}

fn chunks(entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut chunks: Vec<Vec<Entry>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        bytes += entry.detail.len();
        match chunks.last_mut().filter(|chunk| chunk.len() < MAX_ENTRIES && bytes <= MAX_BYTES) {
            Some(chunk) => chunk.push(entry),
            None => {
                bytes = entry.detail.len();
                chunks.push(vec![entry]);
            }
        }
    }
    chunks
}

#[async_trait]
impl Bus for EventBridge {
    async fn put(&self, source: &str, entries: Vec<Entry>) -> Vec<Entry> {
        let requests = entries.iter().map(|entry| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(source)
                .detail_type(&entry.event_type)
                .detail(&entry.detail)
                .build()
        });
        let answer = match self.client.put_events().set_entries(Some(requests.collect())).send().await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(error = %DisplayErrorContext(&error), count = entries.len(), "the bus did not take a batch");
                return entries;
            }
        };
        if answer.failed_entry_count() == 0 {
            return Vec::new();
        }
        let results = answer.entries();
        entries
            .into_iter()
            .enumerate()
            .filter(|(index, entry)| {
                let refusal = results.get(*index).and_then(|result| result.error_code());
                if let Some(code) = refusal {
                    tracing::warn!(code, event_type = entry.event_type, "the bus did not take an event");
                }
                refusal.is_some()
            })
            .map(|(_, entry)| entry)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;

    use super::*;

    /// A bus that refuses each listed event type as often as it says.
    struct Unreliable {
        refusals: Mutex<Vec<(&'static str, u32)>>,
        taken: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Bus for Unreliable {
        #[allow(clippy::unwrap_used)]
        async fn put(&self, _: &str, entries: Vec<Entry>) -> Vec<Entry> {
            let mut refusals = self.refusals.lock().unwrap();
            let (refused, taken): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| {
                refusals
                    .iter_mut()
                    .find(|(name, left)| *name == entry.event_type && *left > 0)
                    .map(|r| r.1 -= 1)
                    .is_some()
            });
            self.taken.lock().unwrap().extend(taken.into_iter().map(|entry| entry.event_type));
            refused
        }
    }

    fn record(sequence: u32, event_type: &str, item_type: &str) -> serde_json::Value {
        json!({"eventID": sequence.to_string(), "eventName": "INSERT", "awsRegion": "eu-central-1",
            "dynamodb": {"SequenceNumber": sequence.to_string(), "StreamViewType": "NEW_IMAGE", "SizeBytes": 1,
            "ApproximateCreationDateTime": 1.0, "Keys": {"pk": {"S": "x"}},
            "NewImage": {"type": {"S": item_type}, "event_id": {"S": "e"}, "event_type": {"S": event_type},
                "aggregate": {"S": "Order#1"}, "envelope": {"S": "{}"}, "occurred_at": {"S": "2026-01-15T10:30:45.123Z"}}}})
    }

    #[allow(clippy::unwrap_used)]
    async fn relay(
        refusals: Vec<(&'static str, u32)>,
        records: Vec<serde_json::Value>,
    ) -> (Vec<String>, Result<(), RelayError>) {
        let bus = Unreliable { refusals: Mutex::new(refusals), taken: Mutex::default() };
        let relay = Relay { bus, source: "quayside.orders".into() };
        let (entries, _) = read(serde_json::from_value(json!({ "Records": records })).unwrap());
        let answer = relay.publish_all(entries).await;
        (relay.bus.taken.into_inner().unwrap(), answer)
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_the_bus_refuses_once_is_sent_again_and_the_others_are_not() {
        let (taken, answer) = relay(vec![("b", 1)], vec![record(1, "a", "outbox"), record(2, "b", "outbox")]).await;
        assert_eq!(taken, ["a", "b"]);
        assert_eq!(answer, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_stream_repeats_the_batch_while_the_bus_does_not_take_an_event() {
        let records = (8..=11).map(|n| record(n, if n >= 9 { "b" } else { "a" }, "outbox")).collect();
        let (taken, answer) = relay(vec![("b", 1000)], records).await;
        assert_eq!(taken, ["a"]);
        assert_eq!(answer, Err(RelayError { failed: 3 }));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_an_outbox_item_stays_off_the_bus() {
        let (taken, _) = relay(vec![], vec![record(1, "a", "order")]).await;
        assert!(taken.is_empty());
    }

    #[test]
    #[allow(clippy::unwrap_used)]
    fn an_outbox_item_that_cannot_be_read_is_counted_and_keeps_nothing_from_the_bus() {
        let mut broken = record(2, "b", "outbox");
        broken["dynamodb"]["NewImage"]["envelope"] = json!({"N": "1"});
        let records = json!({"Records": [record(1, "a", "outbox"), broken, record(3, "c", "outbox")]});
        let (entries, unreadable) = read(serde_json::from_value(records).unwrap());
        assert_eq!(entries.iter().map(|entry| &*entry.event_type).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(unreadable, 1);
    }

    #[test]
    fn a_batch_keeps_to_the_bus_limits() {
        let entry = |bytes| Entry { event_type: String::new(), detail: "x".repeat(bytes) };
        let lengths = |entries: Vec<Entry>| chunks(entries).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths((0..23).map(|_| entry(10)).collect()), [10, 10, 3]);
        assert_eq!(lengths(vec![entry(150_000), entry(100_000), entry(90_000)]), [1, 2]);
    }
}
