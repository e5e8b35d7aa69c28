//! Customers who go on whatever happens: functions are killed, the bus is removed twice, and a
//! consumer is poisoned.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use aws_sdk_sqs::types::QueueAttributeName;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::aws;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use crate::{
    Answer, Session, Stack,
    integrity::Accepted,
    policy::{self, Restriction},
    processes,
};

/// Customers at the same time: the emulator has no more throughput for more.
const CUSTOMERS: usize = 8;
/// The queue that every event passes.
const LOG_QUEUE: &str = "local-events-on-all-events";
/// While more events wait there, nobody asks for anything new: so the customers are as fast as the
/// emulator can follow.
const BACKLOG: u64 = 200;
/// How long a request is repeated before the soak is given up.
const PATIENCE: Duration = Duration::from_secs(120);
const BETWEEN_KILLS: Duration = Duration::from_secs(3);
/// The consumer that is poisoned.
pub const POISONED: &str = "products-on-order-events";
/// What puts events on the bus.
pub const RELAYS: [&str; 7] = [
    "auth-relay",
    "users-relay",
    "products-relay",
    "orders-relay",
    "payments-relay",
    "sensors-relay",
    "notifications-relay",
];

/// What was done to the stack.
#[derive(Debug, Default)]
pub struct Soak {
    pub accepted: Vec<Accepted>,
    pub requests: usize,
    /// Answered with a 5xx or not at all, and repeated.
    pub repeated: usize,
    pub kills: usize,
}

#[derive(Default)]
struct Log {
    soak: Mutex<Soak>,
    /// Events that wait to be logged.
    backlog: AtomicU64,
}

impl Log {
    fn note(&self, change: impl FnOnce(&mut Soak)) {
        change(&mut self.soak.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn is_behind(&self) -> bool {
        self.backlog.load(Ordering::Relaxed) > BACKLOG
    }
}

/// Goes on for this long.
pub async fn run(stack: &Stack, duration: Duration) -> Result<Soak> {
    let log = Log::default();
    let (from, until) = (Instant::now(), Instant::now() + duration);
    let at = |share: f64| from + duration.mul_f64(share);
    let customers = (0..CUSTOMERS).map(|_| customer(stack, &log, until));
    tokio::try_join!(
        futures::future::try_join_all(customers),
        watch_backlog(&log, until),
        kill_functions(&log, until),
        away("the bus", &RELAYS, Restriction::Take("events:PutEvents"), at(0.2), at(0.3)),
        away("the poisoned consumer", &[POISONED], Restriction::Take("dynamodb:GetItem"), at(0.4), at(0.5)),
        away("the bus", &RELAYS, Restriction::Take("events:PutEvents"), at(0.6), at(0.7)),
    )?;
    Ok(log.soak.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Takes something from these functions for a while.
async fn away(what: &str, functions: &[&str], taken: Restriction<'_>, from: Instant, until: Instant) -> Result<()> {
    sleep_until(from).await;
    println!("▸ {what} is away");
    let restricted = policy::restrict(functions, taken)?;
    sleep_until(until).await;
    restricted.restore()?;
    println!("▸ {what} is back");
    Ok(())
}

async fn watch_backlog(log: &Log, until: Instant) -> Result<()> {
    let sqs = aws_sdk_sqs::Client::new(&aws::sdk_config()?);
    let url = sqs.get_queue_url().queue_name(LOG_QUEUE).send().await?.queue_url.context("a queue without a URL")?;
    while Instant::now() < until {
        let asked =
            sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::ApproximateNumberOfMessages);
        let depth = asked.send().await?.attributes.unwrap_or_default();
        let depth = depth.values().next().and_then(|depth| depth.parse().ok()).unwrap_or(0);
        log.backlog.store(depth, Ordering::Relaxed);
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

async fn kill_functions(log: &Log, until: Instant) -> Result<()> {
    while Instant::now() < until {
        sleep(BETWEEN_KILLS).await;
        if processes::kill_any(random())?.is_some() {
            log.note(|soak| soak.kills += 1);
        }
    }
    Ok(())
}

fn random() -> usize {
    Uuid::new_v4().as_u64_pair().1 as usize >> 4
}

/// Signs up, and then orders, pays, cancels and measures.
async fn customer(stack: &Stack, log: &Log, until: Instant) -> Result<()> {
    let (mut session, mut user_id) = newcomer(stack, log).await?;
    let mut unpaid: Vec<String> = Vec::new();
    while Instant::now() < until {
        if log.is_behind() {
            sleep(Duration::from_millis(200)).await;
            continue;
        }
        let visit = Visit { session: &session, log };
        match random() % 10 {
            0..=3 => unpaid.extend(visit.order(user_id).await?),
            4..=6 => {
                if let Some(order) = unpaid.pop() {
                    visit.pay(&order).await?;
                }
            }
            7 => {
                if let Some(order) = unpaid.pop() {
                    visit.cancel(&order).await?;
                }
            }
            8 => visit.measure().await?,
            _ => (session, user_id) = newcomer(stack, log).await?,
        }
    }
    Ok(())
}

async fn newcomer(stack: &Stack, log: &Log) -> Result<(Session, u64)> {
    let (name, password) = (format!("soak-{}", Uuid::new_v4().simple()), Uuid::new_v4().to_string());
    let registration = json!({"username": name, "email": format!("{name}@example.com"), "password": password});
    let nobody = stack.nobody();
    let answer = Visit { session: &nobody, log }.send(Method::POST, "/auth/register", Some(registration)).await?;
    let id = answer.body["id"].as_u64().with_context(|| format!("no account: {}", answer.body))?;
    log.note(|soak| {
        soak.accepted.push(Accepted::new("auth", "account", id));
        soak.accepted.push(Accepted::new("users", "user", id));
    });
    let started = Instant::now();
    loop {
        match stack.sign_in(&name, &password).await {
            Ok(session) => return Ok((session, id)),
            Err(error) if started.elapsed() > PATIENCE => return Err(error),
            Err(_) => sleep(Duration::from_millis(500)).await,
        }
    }
}

/// One customer at work.
struct Visit<'a> {
    session: &'a Session,
    log: &'a Log,
}

impl Visit<'_> {
    async fn order(&self, user_id: u64) -> Result<Option<String>> {
        let wish = json!({"user_id": user_id, "product_id": random() % 3 + 1, "quantity": 1});
        let answer = self.send(Method::POST, "/api/orders", Some(wish)).await?;
        Ok(self.accepted(&answer, "orders", "order"))
    }

    async fn pay(&self, order: &str) -> Result<()> {
        let method = ["tok_ok", "tok_ok", "tok_ok", "tok_declined", "tok_timeout"][random() % 5];
        let order: u64 = order.parse()?;
        let payment = json!({"order_id": order, "payment_method": method});
        let answer = self.send(Method::POST, "/api/payments", Some(payment)).await?;
        self.accepted(&answer, "payments", "payment");
        Ok(())
    }

    async fn cancel(&self, order: &str) -> Result<()> {
        let answer = self.send(Method::DELETE, &format!("/api/orders/{order}"), None).await?;
        if answer.status == StatusCode::OK {
            self.log.note(|soak| soak.accepted.push(Accepted::cancelled(order)));
        }
        Ok(())
    }

    async fn measure(&self) -> Result<()> {
        let answer = self.send(Method::POST, "/test/sensor/temperature", None).await?;
        let id = answer.body["id"].as_u64().with_context(|| format!("no reading: {}", answer.body))?;
        self.log.note(|soak| soak.accepted.push(Accepted::new("sensors", "reading", id)));
        Ok(())
    }

    /// Notes what was accepted; answers with its id.
    fn accepted(&self, answer: &Answer, table: &'static str, kind: &'static str) -> Option<String> {
        let accepted = [StatusCode::CREATED, StatusCode::ACCEPTED].contains(&answer.status);
        let id = answer.body["id"].as_u64().filter(|_| accepted)?.to_string();
        self.log.note(|soak| soak.accepted.push(Accepted::new(table, kind, &id)));
        Some(id)
    }

    /// Sends a request until it is answered, with the same `Idempotency-Key`.
    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer> {
        let session = self.session.with_key(&Uuid::new_v4().to_string());
        let started = Instant::now();
        self.log.note(|soak| soak.requests += 1);
        loop {
            let last = match session.send(method.clone(), path, body.clone()).await {
                Ok(answer) if is_final(answer.status) => return Ok(answer),
                Ok(answer) => format!("{} {}", answer.status, answer.body),
                Err(error) => format!("{error:#}"),
            };
            if started.elapsed() > PATIENCE {
                bail!("{method} {path} was not answered in {PATIENCE:?}; at last: {last}");
            }
            self.log.note(|soak| soak.repeated += 1);
            sleep(Duration::from_millis(300)).await;
        }
    }
}

/// Whether sending the same request again would change nothing.
fn is_final(status: StatusCode) -> bool {
    !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS
}
