//! The delivery queue with its dead letters, the provider, and the function between them, in a time of
//! their own.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use notifications::{
    consumers::delivery_requests::DeliveryRequests,
    delivery::{Deliveries, DeliveryMessage},
    notification::{Notification, Outcome, Refusal},
    provider::Provider,
    queue::{DeliveryQueue, QueueError},
};
use serde_json::Value;
use shared::{consumer::BusMessage, failure::Failures, time::Timestamp};
use testing::{Database, Fault};
use uuid::Uuid;

use crate::world::World;

const QUEUE: &str = "local-notifications-on-requests";
/// As in infra/notifications.yaml.
pub const VISIBILITY: Duration = Duration::from_secs(180);
const MAX_RECEIVES: u32 = 3;
/// As in template.yaml.
pub const FUNCTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How the provider takes being asked.
#[derive(Clone, Debug)]
pub enum Behaviour {
    Answers(Outcome),
    /// It takes the notification, and then the process that asked ends.
    TakesItAndTheProcessEnds,
    /// It takes the notification, and from then on the table is in trouble.
    TakesItAndThen(Fault),
}

pub fn refusal(code: &str) -> Refusal {
    Refusal::new(code, "the provider's own words")
}

/// A provider that takes everything, but for what it was told to do otherwise.
pub struct Script {
    database: Database,
    behaviours: Mutex<VecDeque<Behaviour>>,
    asked: Mutex<Vec<(u64, u32)>>,
    addresses: Mutex<Vec<String>>,
    taken: Mutex<Vec<(u64, u32)>>,
}

impl Script {
    /// How often the provider was asked to take anything.
    pub fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Where what the provider was asked to take was to go.
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.lock().unwrap().clone()
    }

    /// What the provider has taken, or may have: notifications and series of attempts.
    pub fn taken(&self) -> Vec<(u64, u32)> {
        self.taken.lock().unwrap().clone()
    }
}

#[async_trait]
impl Provider for Script {
    async fn send(&self, notification: &Notification) -> Outcome {
        let name = (notification.id.value(), notification.series);
        self.asked.lock().unwrap().push(name);
        self.addresses.lock().unwrap().push(notification.to.clone());
        let behaviour = self.behaviours.lock().unwrap().pop_front();
        let sent = || Outcome::Sent(format!("message-{}-{}", name.0, name.1));
        let behaviour = behaviour.unwrap_or_else(|| Behaviour::Answers(sent()));
        let answer = match &behaviour {
            Behaviour::Answers(Outcome::Sent(_)) => sent(),
            Behaviour::Answers(outcome) => outcome.clone(),
            _ => sent(),
        };
        if matches!(answer, Outcome::Sent(_) | Outcome::Unknown(_)) {
            self.taken.lock().unwrap().push(name);
        }
        match behaviour {
            Behaviour::Answers(_) => {}
            Behaviour::TakesItAndTheProcessEnds => std::future::pending().await,
            Behaviour::TakesItAndThen(fault) => self.database.inject(fault),
        }
        answer
    }
}

#[derive(Clone, Debug)]
struct Waiting {
    at: Timestamp,
    body: String,
    receives: u32,
}

/// SQS, as far as it is needed.
#[derive(Default)]
pub struct Queue {
    now: Mutex<Option<Timestamp>>,
    waiting: Mutex<Vec<Waiting>>,
    dead: Mutex<Vec<(String, String)>>,
    pub away: AtomicBool,
}

impl Queue {
    fn answer(&self) -> Result<(), QueueError> {
        let away = || QueueError { queue: QUEUE.into(), reason: "away".into() };
        if self.away.load(Ordering::SeqCst) { Err(away()) } else { Ok(()) }
    }

    fn put(&self, at: Timestamp, body: String, receives: u32) {
        self.waiting.lock().unwrap().push(Waiting { at, body, receives });
    }

    fn take(&self, until: Timestamp) -> Option<Waiting> {
        let mut waiting = self.waiting.lock().unwrap();
        let (index, _) = waiting.iter().enumerate().min_by_key(|(_, message)| message.at)?;
        if waiting[index].at > until { None } else { Some(waiting.remove(index)) }
    }
}

#[async_trait]
impl DeliveryQueue for Queue {
    fn name(&self) -> &str {
        QUEUE
    }

    async fn later(&self, body: &str, delay: Duration) -> Result<(), QueueError> {
        self.answer()?;
        assert!(delay <= Duration::from_secs(900), "SQS delays by no more than a quarter of an hour");
        self.put(self.now.lock().unwrap().unwrap().plus(delay), body.to_owned(), 0);
        Ok(())
    }

    async fn dead_letter(&self, body: &str) -> Result<String, QueueError> {
        self.answer()?;
        let id = Uuid::new_v4().to_string();
        self.dead.lock().unwrap().push((id.clone(), body.to_owned()));
        Ok(id)
    }
}

pub struct Office {
    pub world: World,
    pub provider: Arc<Script>,
    pub queue: Arc<Queue>,
    pub now: Timestamp,
    posted: HashSet<Uuid>,
    deliveries: Deliveries,
}

impl Office {
    pub fn of(world: World, behaviours: Vec<Behaviour>) -> Self {
        let (behaviours, database) = (Mutex::new(behaviours.into()), world.database.clone());
        let (asked, addresses, taken) = Default::default();
        let provider = Arc::new(Script { database, behaviours, asked, addresses, taken });
        let queue = Arc::new(Queue::default());
        let failures = Failures::new(world.platform.clone());
        let deliveries = Deliveries::new(world.table.clone(), provider.clone(), queue.clone(), failures);
        Self { world, provider, queue, now: Timestamp::now(), posted: HashSet::new(), deliveries }
    }

    /// Brings the events that ask for deliveries to the queue, each so many times.
    pub fn post(&mut self, times: usize) {
        for event in self.world.events("notification.requested") {
            if self.posted.insert(event.id) {
                let bus = BusMessage { source: "quayside.notifications".into(), detail: event, rebuild: None };
                let body = serde_json::to_string(&bus).unwrap();
                (0..times).for_each(|_| self.queue.put(self.now, body.clone(), 0));
            }
        }
    }

    /// Lets time pass, in which messages are delivered when they are due.
    pub async fn run_for(&mut self, duration: Duration) {
        let end = self.now.plus(duration);
        while let Some(message) = self.queue.take(end) {
            self.now = self.now.max(message.at);
            self.receive(message).await;
        }
        self.now = end;
    }

    /// Whether the queue is empty.
    pub fn is_idle(&self) -> bool {
        self.queue.waiting.lock().unwrap().is_empty()
    }

    async fn receive(&self, message: Waiting) {
        *self.queue.now.lock().unwrap() = Some(self.now);
        let request = DeliveryMessage::parse(&message.body).unwrap();
        let delivery = self.deliveries.deliver(&request, self.now);
        let handled = tokio::time::timeout(FUNCTION_TIMEOUT, delivery).await.is_ok_and(|result| result.is_ok());
        let receives = message.receives + 1;
        match (handled, receives) {
            (true, _) => {}
            (false, MAX_RECEIVES) => self.queue.dead.lock().unwrap().push((Uuid::new_v4().to_string(), message.body)),
            (false, _) => self.queue.put(self.now.plus(VISIBILITY), message.body, receives),
        }
    }

    /// Delivers a message that waits, twice at the same time.
    pub async fn race(&self) {
        let message = self.queue.take(self.now).unwrap();
        *self.queue.now.lock().unwrap() = Some(self.now);
        let request = DeliveryMessage::parse(&message.body).unwrap();
        let (one, other) =
            futures::join!(self.deliveries.deliver(&request, self.now), self.deliveries.deliver(&request, self.now));
        one.and(other).unwrap();
    }

    pub fn dead_letters(&self) -> Vec<(String, String)> {
        self.queue.dead.lock().unwrap().clone()
    }

    /// Sends every dead letter home.
    pub fn redrive(&self) -> usize {
        let dead = std::mem::take(&mut *self.queue.dead.lock().unwrap());
        let count = dead.len();
        dead.into_iter().for_each(|(_, body)| self.queue.put(self.now, body, 0));
        count
    }

    /// The handler behind `notifications-on-requests`.
    pub fn handler(self) -> DeliveryRequests {
        *self.queue.now.lock().unwrap() = Some(self.now);
        DeliveryRequests { deliveries: self.deliveries }
    }

    /// The stored notifications' fields.
    pub fn stored(&self, field: &str) -> Vec<Value> {
        self.world.of_type("notification").iter().map(|item| item[field].clone()).collect()
    }

    pub fn statuses(&self) -> Vec<String> {
        self.stored("status").iter().map(|status| status["S"].as_str().unwrap().to_owned()).collect()
    }
}
