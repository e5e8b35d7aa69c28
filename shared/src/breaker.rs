//! A circuit breaker whose state all instances share, in the platform's table.
//!
//! Closed, calls pass; three consecutive failures open it; open, calls are refused at once; after
//! 30 s one call passes as a probe, and its outcome closes the breaker or opens it again. A breaker
//! whose table is away lets calls pass: it must not be a new way to fail.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use crate::{
    table::{Item, Key, Table, TableError, Transaction, Update},
    time::Timestamp,
};

/// Consecutive failures that open a breaker.
const FAILURE_THRESHOLD: u64 = 3;
/// How long an open breaker refuses calls before it lets a probe pass, and how long a probe may take
/// before another is let pass.
const OPEN_FOR: Duration = Duration::from_secs(30);
/// How long an instance goes by the state it last read.
const CACHED_FOR: Duration = Duration::from_millis(1000);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    Closed,
    Open,
    HalfOpen,
}

/// The stored state of the breaker in front of one service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BreakerRecord {
    #[serde(default)]
    failures: u64,
    /// In milliseconds since the Unix epoch; absent while closed.
    retry_at: Option<i64>,
}

impl Item for BreakerRecord {
    const TYPE: &'static str = "breaker";

    fn key(&self) -> Key {
        Key::new("BREAKER", "BREAKER")
    }
}

impl BreakerRecord {
    pub fn state(&self, now: Timestamp) -> BreakerState {
        match self.retry_at {
            Some(retry_at) if now.unix_millis() < retry_at => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
            None => BreakerState::Closed,
        }
    }
}

/// The breaker in front of one service.
#[derive(Clone, Debug)]
pub struct Breaker {
    table: Table,
    service: &'static str,
    cache: Arc<Mutex<Option<(Instant, BreakerRecord)>>>,
}

/// The breaker is open; the call was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker of {service} is open")]
pub struct BreakerOpen {
    pub service: &'static str,
}

/// Leave to make one call, whose outcome is to be told.
#[derive(Debug)]
#[must_use]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    /// What this call was admitted by.
    seen: BreakerRecord,
}

impl Permit<'_> {
    /// The call was answered: closes the breaker, if it was not.
    pub async fn succeeded(self) {
        if self.seen.failures > 0 || self.seen.retry_at.is_some() {
            self.breaker.close().await;
        }
    }

    /// The call was not answered: opens the breaker at the third in a row.
    pub async fn failed(self) {
        self.breaker.count_failure().await;
    }
}

impl Breaker {
    pub fn new(table: Table, service: &'static str) -> Self {
        Self { table, service, cache: Arc::default() }
    }

    fn key(service: &str) -> Key {
        Key::new(format!("BREAKER#{service}"), "BREAKER")
    }

    /// The stored record of every breaker among these services, in their order.
    pub async fn records(table: &Table, services: &[&str]) -> Result<Vec<BreakerRecord>, TableError> {
        let reads = services.iter().map(|service| async move {
            Ok(table.get::<BreakerRecord>(&Self::key(service)).await?.unwrap_or_default())
        });
        futures::future::try_join_all(reads).await
    }

    /// Passes when a call may be made now. In half-open, exactly one caller passes.
    pub async fn admit(&self) -> Result<Permit<'_>, BreakerOpen> {
        let refusal = BreakerOpen { service: self.service };
        let Some(seen) = self.read().await else { return Ok(Permit { breaker: self, seen: BreakerRecord::default() }) };
        match seen.state(Timestamp::now()) {
            BreakerState::Closed => Ok(Permit { breaker: self, seen }),
            BreakerState::Open => Err(refusal),
            BreakerState::HalfOpen if self.claim_probe(&seen).await => Ok(Permit { breaker: self, seen }),
            BreakerState::HalfOpen => Err(refusal),
        }
    }

    async fn count_failure(&self) {
        self.write(Update::anyway("breaker", Self::key(self.service)).add("failures", 1)).await;
        if self.read().await.is_some_and(|record| record.failures >= FAILURE_THRESHOLD) {
            let retry_at = AttributeValue::N(Timestamp::now().plus(OPEN_FOR).unix_millis().to_string());
            self.write(Update::anyway("breaker", Self::key(self.service)).set("retry_at", retry_at)).await;
        }
    }

    async fn close(&self) {
        self.write(self.closing()).await;
    }

    /// Closes the breaker, whatever it was.
    pub async fn reset(&self) -> Result<(), TableError> {
        self.forget();
        self.table.commit(Transaction::new().update(self.closing())).await
    }

    fn closing(&self) -> Update {
        let none = AttributeValue::N("0".into());
        Update::anyway("breaker", Self::key(self.service)).set("failures", none).remove("retry_at")
    }

    /// Takes the probe by moving the moment of the next one, which only one caller can.
    async fn claim_probe(&self, seen: &BreakerRecord) -> bool {
        let next = Timestamp::now().plus(OPEN_FOR).unix_millis();
        let seen = seen.retry_at.unwrap_or_default();
        let update = Update::existing("breaker", Self::key(self.service))
            .set("retry_at", AttributeValue::N(next.to_string()))
            .require("retry_at", "=", AttributeValue::N(seen.to_string()));
        let claimed = self.table.commit(Transaction::new().update(update)).await;
        if claimed.is_err() {
            self.forget();
        }
        claimed.is_ok()
    }

    async fn read(&self) -> Option<BreakerRecord> {
        if let Some(record) = self.cached() {
            return Some(record);
        }
        match self.table.get::<BreakerRecord>(&Self::key(self.service)).await {
            Ok(record) => {
                let record = record.unwrap_or_default();
                if let Ok(mut cache) = self.cache.lock() {
                    *cache = Some((Instant::now(), record.clone()));
                }
                Some(record)
            }
            Err(error) => {
                tracing::warn!(service = self.service, %error, "the breaker's state cannot be read");
                None
            }
        }
    }

    fn cached(&self) -> Option<BreakerRecord> {
        let cache = self.cache.lock().ok()?;
        cache.as_ref().filter(|(read_at, _)| read_at.elapsed() < CACHED_FOR).map(|(_, record)| record.clone())
    }

    fn forget(&self) {
        if let Ok(mut cache) = self.cache.lock() {
            *cache = None;
        }
    }

    async fn write(&self, update: Update) {
        self.forget();
        if let Err(error) = self.table.commit(Transaction::new().update(update)).await {
            tracing::warn!(service = self.service, %error, "the breaker's state cannot be written");
        }
        self.forget();
    }
}
