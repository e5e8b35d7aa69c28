//! A stack's bus and queues as far as events sees them, in memory.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_sqs::types::MessageAttributeValue;
use events::{
    consumers::all_events::AllEvents,
    queues::{Depth, Message, NativeRedrive, Queue, QueueError, QueueName, Queues, Subscription},
};
use serde_json::{Value, json};
use shared::{
    consumer::{self, BusMessage, ConsumerError, Outcome},
    event::Envelope,
    table::Table,
    time::Timestamp,
};
use testing::{Api, Database};
use tokio::time::Instant;
use uuid::Uuid;

/// A moment of the day on which everything here happens, in milliseconds.
pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_768_435_200_000 + millis)
}

/// An event that occurred then. Ids of one millisecond are in the order in which they were made, as those
/// of one process are.
pub fn event(millis: i64, event_type: &str, order: u64) -> Envelope {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let mut bytes = *Uuid::new_v4().as_bytes().first_chunk::<10>().unwrap();
    bytes[..3].fill(0);
    bytes[3..7].copy_from_slice(&MADE.fetch_add(1, Ordering::SeqCst).to_be_bytes());
    let moment = u64::try_from(at(millis).unix_millis()).unwrap();
    let id = uuid::Builder::from_unix_timestamp_millis(moment, &bytes).into_uuid();
    serde_json::from_value(json!({
        "id": id, "type": event_type, "version": 1, "aggregate_type": "Order", "aggregate_id": order,
        "correlation_id": format!("request-{order}"), "causation_id": null, "occurred_at": at(millis),
        "data": {"order_id": order, "total": 2999.97},
    }))
    .unwrap()
}

pub fn from(service: &str, event: &Envelope) -> BusMessage {
    BusMessage { source: format!("quayside.{service}"), detail: event.clone(), rebuild: None }
}

/// The log, with everything that feeds it and reads it.
pub struct Log {
    pub database: Database,
    pub table: Table,
    pub consumer: AllEvents,
}

impl Log {
    pub fn new() -> Self {
        let database = Database::new();
        let table = database.table("events");
        Self { consumer: AllEvents { table: table.clone(), retention: None }, table, database }
    }

    pub async fn deliver(&self, service: &str, event: &Envelope) -> Outcome {
        self.deliver_all(vec![from(service, event)]).await.remove(0)
    }

    pub async fn deliver_all(&self, messages: Vec<BusMessage>) -> Vec<Outcome> {
        self.try_to_deliver(messages).await.into_iter().map(Result::unwrap).collect()
    }

    pub async fn try_to_deliver(&self, messages: Vec<BusMessage>) -> Vec<Result<Outcome, Arc<ConsumerError>>> {
        consumer::deliver_batch(&self.consumer, messages).await
    }

    pub fn api(&self) -> Api {
        Api::new(events::http::list_events::router(self.table.clone()))
    }

    pub async fn list(&self, query: &str) -> Vec<Value> {
        let answer = self.api().admin().get(&format!("/api/events?{query}")).await;
        assert!(answer.status.is_success(), "{query}: {}", answer.body);
        answer.body["data"].as_array().unwrap().clone()
    }

    /// Every event that a query finds, page after page.
    pub async fn walk(&self, query: &str) -> Vec<Value> {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = self.api().admin().get(&format!("/api/events?{query}{cursor}")).await;
            assert!(answer.status.is_success(), "{query}{cursor}: {}", answer.body);
            found.extend(answer.body["data"].as_array().unwrap().clone());
            match answer.body["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    }
}

/// Messages in batches of these sizes, over and over.
pub fn batches<'a>(messages: &'a [BusMessage], sizes: &'a [usize]) -> impl Iterator<Item = Vec<BusMessage>> + 'a {
    let mut rest = messages;
    sizes.iter().cycle().map_while(move |size| {
        let batch;
        (batch, rest) = rest.split_at((*size).min(rest.len()));
        (!batch.is_empty()).then(|| batch.to_vec())
    })
}

/// The counts in the items that add up to how many events there were.
pub fn totals<'a>(items: impl IntoIterator<Item = &'a Value>) -> Vec<u64> {
    let totals = items.into_iter().filter(|item| item["sk"]["S"].as_str().unwrap().starts_with("TOTAL#"));
    totals.map(|item| item["count"]["N"].as_str().unwrap().parse().unwrap()).collect()
}

pub fn ids<'a>(events: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    events.into_iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[derive(Clone, Debug)]
struct Held {
    id: String,
    body: String,
    attributes: HashMap<String, MessageAttributeValue>,
    sent_at: Timestamp,
    visible_at: Instant,
    receipt: usize,
}

/// How the queue service takes a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    #[default]
    None,
    /// The process that makes the call of this number, or one after it, ends there: the call is not
    /// made.
    KilledAt(usize),
    /// From this call on, all fail.
    DownFrom(usize),
    /// No call is ever answered.
    Hangs,
}

/// Queues in memory, on tokio's clock.
#[derive(Clone, Default)]
pub struct FakeQueues {
    queues: Arc<Mutex<BTreeMap<String, Vec<Held>>>>,
    rules: Arc<Mutex<HashMap<String, String>>>,
    calls: Arc<AtomicUsize>,
    trouble: Arc<Mutex<Trouble>>,
    native: Arc<Mutex<Option<NativeRedrive>>>,
}

pub fn name(text: &str) -> QueueName {
    text.parse().unwrap()
}

impl FakeQueues {
    /// These consumers' queues, with their dead-letter queues, fed by the bus by these patterns.
    pub fn with(consumers: &[(&str, Value)]) -> Self {
        let fake = Self::default();
        for (consumer, pattern) in consumers {
            for queue in [Queue::Consumer(name(consumer)), Queue::DeadLetters(name(consumer))] {
                fake.queues.lock().unwrap().insert(fake.full_name(&queue), Vec::new());
            }
            fake.rules.lock().unwrap().insert((*consumer).to_owned(), pattern.to_string());
        }
        fake
    }

    pub fn shared(&self) -> Arc<dyn Queues> {
        Arc::new(self.clone())
    }

    pub fn put(&self, queue: &Queue, id: &str, body: &str) {
        self.put_with(queue, id, body, &[]);
    }

    /// Puts a message with attributes into a queue.
    pub fn put_with(&self, queue: &Queue, id: &str, body: &str, attributes: &[(&str, &str)]) {
        let text = |value: &str| MessageAttributeValue::builder().data_type("String").string_value(value).build();
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), text(value).unwrap()));
        let message = Held {
            id: id.to_owned(),
            body: body.to_owned(),
            attributes: attributes.collect(),
            sent_at: Timestamp::now(),
            visible_at: Instant::now(),
            receipt: 0,
        };
        self.queues.lock().unwrap().get_mut(&self.full_name(queue)).unwrap().push(message);
    }

    /// The bodies of all messages of a queue, whoever holds them.
    pub fn bodies(&self, queue: &Queue) -> Vec<String> {
        self.queues.lock().unwrap()[&self.full_name(queue)].iter().map(|held| held.body.clone()).collect()
    }

    /// Takes everything out of a consumer's queue, as its consumer would.
    pub fn drain(&self, consumer: &str) -> Vec<BusMessage> {
        let full_name = self.full_name(&Queue::Consumer(name(consumer)));
        let held = std::mem::take(self.queues.lock().unwrap().get_mut(&full_name).unwrap());
        held.iter().map(|held| serde_json::from_str(&held.body).unwrap()).collect()
    }

    pub fn trouble(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
        self.calls.store(0, Ordering::SeqCst);
    }

    /// The calls made since trouble was last made, or ended.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub fn redrives_natively(&self, how: NativeRedrive) {
        *self.native.lock().unwrap() = Some(how);
    }

    async fn call(&self) -> Result<(), QueueError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let trouble = *self.trouble.lock().unwrap();
        match trouble {
            Trouble::Hangs => std::future::pending().await,
            Trouble::KilledAt(number) if call >= number => std::future::pending().await,
            Trouble::DownFrom(number) if call >= number => Err(QueueError::Unavailable("down".into())),
            _ => Ok(()),
        }
    }

    fn at<T>(&self, queue: &Queue, act: impl FnOnce(&mut Vec<Held>) -> T) -> Result<T, QueueError> {
        let mut queues = self.queues.lock().unwrap();
        queues.get_mut(&self.full_name(queue)).map(act).ok_or(QueueError::Missing)
    }
}

#[async_trait]
impl Queues for FakeQueues {
    fn full_name(&self, queue: &Queue) -> String {
        format!("local-{queue}")
    }

    async fn names(&self) -> Result<Vec<QueueName>, QueueError> {
        self.call().await?;
        let queues = self.queues.lock().unwrap();
        Ok(queues.keys().filter_map(|name| name.strip_prefix("local-")?.parse().ok()).collect())
    }

    async fn depth(&self, queue: &Queue) -> Result<Depth, QueueError> {
        self.call().await?;
        self.at(queue, |held| {
            let waiting = held.iter().filter(|held| held.visible_at <= Instant::now()).count();
            Depth { waiting: u64::try_from(waiting).unwrap(), in_flight: u64::try_from(held.len() - waiting).unwrap() }
        })
    }

    async fn ages(&self, queues: &[Queue]) -> Result<HashMap<Queue, Duration>, QueueError> {
        self.call().await?;
        Ok(queues.iter().map(|queue| (queue.clone(), Duration::from_secs(7))).collect())
    }

    async fn subscription(&self, queue: &QueueName) -> Result<Option<Subscription>, QueueError> {
        self.call().await?;
        let rules = self.rules.lock().unwrap();
        Ok(rules.get(queue.as_str()).and_then(|pattern| Subscription::parse(pattern)))
    }

    async fn receive(&self, queue: &Queue, hidden: Duration) -> Result<Vec<Message>, QueueError> {
        self.call().await?;
        self.at(queue, |held| {
            let now = Instant::now();
            let visible = held.iter_mut().filter(|held| held.visible_at <= now).take(10);
            visible
                .map(|held| {
                    held.visible_at = now + hidden;
                    held.receipt += 1;
                    Message {
                        id: held.id.clone(),
                        body: held.body.clone(),
                        attributes: held.attributes.clone(),
                        sent_at: held.sent_at,
                        receipt: format!("{}/{}", held.id, held.receipt),
                    }
                })
                .collect()
        })
    }

    async fn send(
        &self,
        queue: &Queue,
        body: &str,
        attributes: &HashMap<String, MessageAttributeValue>,
    ) -> Result<(), QueueError> {
        self.call().await?;
        self.at(queue, |held| {
            held.push(Held {
                id: Uuid::new_v4().to_string(),
                body: body.to_owned(),
                attributes: attributes.clone(),
                sent_at: Timestamp::now(),
                visible_at: Instant::now(),
                receipt: 0,
            });
        })
    }

    async fn delete(&self, queue: &Queue, message: &Message) -> Result<(), QueueError> {
        self.call().await?;
        self.at(queue, |held| held.retain(|held| format!("{}/{}", held.id, held.receipt) != message.receipt))
    }

    async fn release(&self, queue: &Queue, message: &Message) -> Result<(), QueueError> {
        self.call().await?;
        self.at(queue, |held| {
            for held in held.iter_mut().filter(|held| format!("{}/{}", held.id, held.receipt) == message.receipt) {
                held.visible_at = Instant::now();
            }
        })
    }

    async fn redrive_natively(&self, _: &QueueName) -> Result<NativeRedrive, QueueError> {
        self.call().await?;
        Ok(self.native.lock().unwrap().unwrap_or(NativeRedrive::Unsupported))
    }
}
