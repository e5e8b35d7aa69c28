//! What a stack's tables say of each other: nothing lost, nothing twice.
//!
//! Reads every table whole, which no function does. At a quiet moment every accepted request is in a
//! table, every change has its event and that is in the log exactly once, every queue is empty or what could not be
//! handled waits in a dead-letter queue with its reason, no money is kept for a cancelled order, and
//! the dashboard's figures are those of a recount.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    time::Duration,
};

use anyhow::Result;
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};
use shared::aws;
use tokio::time::{Instant, sleep};

use crate::{Session, Stack, changes, dead_letters};

/// The services whose tables hold changes and the events that tell of them.
const PUBLISHERS: [&str; 7] = ["auth", "users", "products", "orders", "payments", "sensors", "notifications"];

/// How many of a kind of finding are named.
const NAMED: usize = 5;

/// What a request that was accepted must have left in a table.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub table: &'static str,
    /// The item's type.
    pub kind: &'static str,
    pub id: String,
    /// The status that it has for good.
    pub status: Option<&'static str>,
}

impl Accepted {
    /// An item of this type with this id, whatever has become of it.
    pub fn new(table: &'static str, kind: &'static str, id: impl ToString) -> Self {
        Self { table, kind, id: id.to_string(), status: None }
    }

    /// An order that is cancelled.
    pub fn cancelled(order: impl ToString) -> Self {
        Self { status: Some("CANCELLED"), ..Self::new("orders", "order", order) }
    }
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)?;
        self.status.map_or(Ok(()), |status| write!(f, " {status}"))
    }
}

/// What was counted, and what is not as it should be.
#[derive(Debug, Default)]
pub struct Findings {
    pub accepted: usize,
    pub changes: usize,
    pub logged: usize,
    pub counted: u64,
    pub dead_letters: u64,
    /// Accepted, and in no table.
    pub missing: Vec<String>,
    /// Published with a change, and not in the log.
    pub lost: Vec<String>,
    /// In the log more than once.
    pub duplicated: Vec<String>,
    /// Changes to tables that no event in the log tells of.
    pub untold: Vec<String>,
    /// Changes that several events tell of.
    pub told_twice: Vec<String>,
    /// Messages that wait in the consumers' queues.
    pub waiting: BTreeMap<String, u64>,
    /// Dead letters that do not say why.
    pub without_reason: Vec<String>,
    /// Payments that were kept though their order is cancelled.
    pub kept: Vec<String>,
    /// The dashboard's figures, and those of a recount, where they differ.
    pub figures: Option<(Value, Value)>,
}

impl Findings {
    /// Whether everything is as it should be.
    pub fn are_sound(&self) -> bool {
        let none = [
            &self.missing,
            &self.lost,
            &self.duplicated,
            &self.untold,
            &self.told_twice,
            &self.without_reason,
            &self.kept,
        ];
        none.iter().all(|all| all.is_empty())
            && self.waiting.is_empty()
            && self.figures.is_none()
            && self.counted == self.logged as u64
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |all: &[String]| format!("{} {}", all.len(), all[..all.len().min(NAMED)].join(", "));
        let waiting: Vec<_> = self.waiting.iter().map(|(queue, depth)| format!("{queue} {depth}")).collect();
        writeln!(f, "requests accepted        {}", self.accepted)?;
        writeln!(f, "  and in no table        {}", named(&self.missing))?;
        writeln!(f, "events published         {}", self.changes)?;
        writeln!(f, "  not in the log         {}", named(&self.lost))?;
        writeln!(f, "  in it more than once   {}", named(&self.duplicated))?;
        writeln!(f, "changes without an event {}", named(&self.untold))?;
        writeln!(f, "  with several           {}", named(&self.told_twice))?;
        writeln!(f, "events in the log        {}, counted by it {}", self.logged, self.counted)?;
        writeln!(f, "waiting in queues        {}", if waiting.is_empty() { "0".into() } else { waiting.join(", ") })?;
        writeln!(f, "dead letters             {}", self.dead_letters)?;
        writeln!(f, "  without a reason       {}", named(&self.without_reason))?;
        writeln!(f, "kept of cancelled orders {}", named(&self.kept))?;
        match &self.figures {
            None => writeln!(f, "dashboard                equal to a recount"),
            Some((shown, counted)) => writeln!(f, "dashboard                {shown}, but a recount {counted}"),
        }
    }
}

/// Checks until everything is as it should be, or nothing has become less in the queues for as long as
/// events may take.
pub async fn check(stack: &Stack, accepted: &[Accepted], patience: Duration) -> Result<Findings> {
    let checker = Checker::new(stack).await?;
    let (mut least, mut progress) = (u64::MAX, Instant::now());
    loop {
        let findings = checker.check(accepted).await?;
        let waiting = findings.waiting.values().sum();
        if waiting < least {
            (least, progress) = (waiting, Instant::now());
        }
        if findings.are_sound() || progress.elapsed() > patience || patience.is_zero() {
            return Ok(findings);
        }
        sleep(Duration::from_secs(2)).await;
    }
}

struct Checker {
    database: Client,
    sqs: aws_sdk_sqs::Client,
    admin: Session,
}

/// An item of a table, as it is stored.
pub type Attributes = HashMap<String, AttributeValue>;
pub type Items = Vec<Attributes>;

impl Checker {
    async fn new(stack: &Stack) -> Result<Self> {
        let config = aws::sdk_config()?;
        let admin = stack.demo("admin").await?;
        Ok(Self { database: Client::new(&config), sqs: aws_sdk_sqs::Client::new(&config), admin })
    }

    async fn check(&self, accepted: &[Accepted]) -> Result<Findings> {
        let mut findings = Findings { accepted: accepted.len(), ..Findings::default() };
        let mut tables = BTreeMap::new();
        for service in PUBLISHERS {
            tables.insert(service, self.scan(service).await?);
        }
        findings.missing = missing(&tables, accepted);
        self.compare_log(&tables, &mut findings).await?;
        self.look_at_queues(&mut findings).await?;
        findings.kept = kept(&tables);
        let (shown, counted) = (self.admin.get("/api/dashboard").await?.body["data"].clone(), recount(&tables)?);
        findings.figures = (shown != counted).then_some((shown, counted));
        Ok(findings)
    }

    async fn scan(&self, table: &str) -> Result<Items> {
        let pages = self.database.scan().table_name(format!("local-{table}")).consistent_read(true);
        let mut pages = pages.into_paginator().items().send();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            items.push(item?);
        }
        Ok(items)
    }

    async fn compare_log(&self, tables: &BTreeMap<&str, Items>, findings: &mut Findings) -> Result<()> {
        let log = self.scan("events").await?;
        let published: BTreeSet<&str> =
            tables.values().flat_map(|items| of_type(items, "outbox", "event_id")).collect();
        let (events, listings) = (times(&log, "event"), times(&log, "event_listing"));
        let logged =
            |id: &str, at: fn(&usize) -> bool| [&events, &listings].iter().any(|log| at(log.get(id).unwrap_or(&0)));
        findings.changes = published.len();
        findings.logged = events.values().sum();
        findings.lost =
            published.iter().filter(|id| logged(id, |times| *times == 0)).map(ToString::to_string).collect();
        let all: BTreeSet<&str> = events.keys().chain(listings.keys()).copied().collect();
        findings.duplicated = all.into_iter().filter(|id| logged(id, |times| *times > 1)).map(str::to_owned).collect();
        findings.untold = changes::untold(tables, &log);
        findings.told_twice = changes::told_twice(&log);
        let totals = log.iter().filter(|item| text(item, "type") == "event_count" && item.contains_key("event_type"));
        findings.counted = totals.map(|item| number(item, "count") as u64).sum();
        Ok(())
    }

    async fn look_at_queues(&self, findings: &mut Findings) -> Result<()> {
        let failures = self.scan("platform").await?;
        for url in self.sqs.list_queues().queue_name_prefix("local-").send().await?.queue_urls.unwrap_or_default() {
            let name = url.rsplit('/').next().unwrap_or_default().trim_start_matches("local-").to_owned();
            let asked = self.sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All);
            let depth: u64 = asked
                .send()
                .await?
                .attributes
                .unwrap_or_default()
                .iter()
                .map(|(name, value)| {
                    if name.as_str().starts_with("ApproximateNumberOfMessages") {
                        value.parse().unwrap_or(0)
                    } else {
                        0
                    }
                })
                .sum();
            match name.strip_suffix("-dlq") {
                Some(queue) if depth > 0 => self.look_at_dead_letters(queue, &url, depth, &failures, findings).await?,
                None if depth > 0 => {
                    findings.waiting.insert(name, depth);
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn look_at_dead_letters(
        &self,
        queue: &str,
        url: &str,
        depth: u64,
        failures: &Items,
        findings: &mut Findings,
    ) -> Result<()> {
        let letters = dead_letters::all(&self.sqs, url).await?;
        let full_name = format!("local-{queue}");
        let explained =
            failures.iter().filter(|item| text(item, "queue") == full_name && !text(item, "reason").is_empty());
        let explained = explained.map(|item| text(item, "message_id")).collect();
        findings.dead_letters += depth;
        if (letters.len() as u64) < depth {
            findings.without_reason.push(format!("{} of {queue}, which others hold", depth - letters.len() as u64));
        }
        let silent = dead_letters::without_reason(&letters, &explained);
        findings.without_reason.extend(silent.into_iter().map(|id| format!("{queue} {id}")));
        Ok(())
    }
}

pub(crate) fn text<'a>(item: &'a Attributes, name: &str) -> &'a str {
    item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

pub(crate) fn number(item: &Attributes, name: &str) -> f64 {
    item.get(name).and_then(|value| value.as_n().ok()).and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

fn of_type<'a>(items: &'a Items, kind: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    items.iter().filter(move |item| text(item, "type") == kind).map(move |item| text(item, name))
}

/// How often each event is there as an item of this type.
fn times<'a>(log: &'a Items, kind: &'a str) -> HashMap<&'a str, usize> {
    of_type(log, kind, "event_id").fold(HashMap::new(), |mut times, id| {
        *times.entry(id).or_default() += 1;
        times
    })
}

fn missing(tables: &BTreeMap<&str, Items>, accepted: &[Accepted]) -> Vec<String> {
    let stored = tables.iter().flat_map(|(table, items)| items.iter().map(|item| (*table, item)));
    let stored: HashMap<(&str, &str, String), &str> = stored
        .map(|(table, item)| {
            let id = (number(item, "id") as u64).to_string();
            ((table, text(item, "type"), id), text(item, "status"))
        })
        .collect();
    let is_there = |accepted: &&Accepted| {
        let status = stored.get(&(accepted.table, accepted.kind, accepted.id.clone()));
        status.is_some_and(|status| accepted.status.is_none_or(|due| due == *status))
    };
    accepted.iter().filter(|accepted| !is_there(accepted)).map(ToString::to_string).collect()
}

/// Whether the money of a payment was taken and not given back.
fn is_held(payment: &Attributes) -> bool {
    ["COMPLETED", "REFUNDING"].contains(&text(payment, "status"))
}

/// Payments that are kept of orders that are cancelled.
fn kept(tables: &BTreeMap<&str, Items>) -> Vec<String> {
    let cancelled: BTreeSet<u64> = of(tables, "orders", "order")
        .filter(|order| text(order, "status") == "CANCELLED")
        .map(|order| number(order, "id") as u64)
        .collect();
    let kept = of(tables, "payments", "payment")
        .filter(|payment| is_held(payment))
        .filter(|payment| cancelled.contains(&(number(payment, "order_id") as u64)));
    kept.map(|payment| format!("payment {}", number(payment, "id"))).collect()
}

fn of<'a>(tables: &'a BTreeMap<&str, Items>, table: &str, kind: &'a str) -> impl Iterator<Item = &'a Attributes> {
    tables.get(table).into_iter().flatten().filter(move |item| text(item, "type") == kind)
}

/// The dashboard's figures, from the tables of the services.
fn recount(tables: &BTreeMap<&str, Items>) -> Result<Value> {
    let with_status =
        |status: &str| of(tables, "orders", "order").filter(|order| text(order, "status") == status).count();
    let taken = of(tables, "payments", "payment").filter(|payment| is_held(payment));
    let cents: f64 = taken.map(|payment| (number(payment, "amount") * 100.0).round()).sum();
    Ok(json!({
        "total_users": of(tables, "users", "user").count(),
        "total_orders": of(tables, "orders", "order").count(),
        "pending_orders": with_status("PENDING"),
        "completed_orders": with_status("COMPLETED"),
        "total_revenue": serde_json::from_str::<Value>(&format!("{:.2}", cents / 100.0))?,
    }))
}
