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
use utoipa::ToSchema;

use crate::{
    table::{Item, Key, Table, TableError, Update},
    time::Timestamp,
};

/// Consecutive failures that open a breaker.
const FAILURE_THRESHOLD: u64 = 3;
/// How long an open breaker refuses calls before it lets a probe pass, and how long a probe may take
/// before another is let pass.
const OPEN_FOR: Duration = Duration::from_secs(30);
/// How long an instance goes by the state it last read.
const CACHED_FOR: Duration = Duration::from_millis(1000);
/// How long its table may take to be read or written: with more, the breaker would be what it guards against.
const TABLE_DEADLINE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// The call was answered: closes the breaker, unless it was opened after this call was admitted.
    pub async fn succeeded(self) {
        if self.seen.failures > 0 || self.seen.retry_at.is_some() {
            let close = self.breaker.closing();
            self.breaker.write(self.breaker.unchanged(close, self.seen.retry_at)).await;
        }
    }

    /// The call was not answered: opens the breaker at the third in a row.
    pub async fn failed(self) {
        let counted = self.breaker.update().add("failures", 1);
        if self.breaker.write(counted).await.is_some_and(|record| record.failures >= FAILURE_THRESHOLD) {
            let retry_at = AttributeValue::N(Timestamp::now().plus(OPEN_FOR).unix_millis().to_string());
            let open = self.breaker.update().set("retry_at", retry_at);
            let threshold = AttributeValue::N(FAILURE_THRESHOLD.to_string());
            self.breaker.write(open.require("failures", ">=", threshold)).await;
        }
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

    /// Passes when a call may be made now. In half-open, exactly one caller passes, or all of them while
    /// the table refuses writes.
    pub async fn admit(&self) -> Result<Permit<'_>, BreakerOpen> {
        let refusal = BreakerOpen { service: self.service };
        let Some(seen) = self.read().await else { return Ok(Permit { breaker: self, seen: BreakerRecord::default() }) };
        match seen.state(Timestamp::now()) {
            BreakerState::Closed => Ok(Permit { breaker: self, seen }),
            BreakerState::Open => Err(refusal),
            BreakerState::HalfOpen => match self.claim_probe(&seen).await {
                Ok(seen) => Ok(Permit { breaker: self, seen }),
                Err(error) if error.is_race() => Err(refusal),
                Err(_) => Ok(Permit { breaker: self, seen }),
            },
        }
    }

    /// Closes the breaker, whatever it was.
    pub async fn reset(&self) -> Result<(), TableError> {
        self.forget();
        self.table.update::<BreakerRecord>(self.closing()).await?;
        Ok(())
    }

    fn update(&self) -> Update {
        Update::anyway(BreakerRecord::TYPE, Self::key(self.service))
    }

    fn closing(&self) -> Update {
        self.update().set("failures", AttributeValue::N("0".into())).remove("retry_at")
    }

    /// The update, if nobody has opened or closed the breaker or taken the probe since.
    fn unchanged(&self, update: Update, retry_at: Option<i64>) -> Update {
        match retry_at {
            Some(retry_at) => update.require("retry_at", "=", AttributeValue::N(retry_at.to_string())),
            None => update.require_absent("retry_at"),
        }
    }

    /// Takes the probe by moving the moment of the next one, which only one caller can; answers with the
    /// breaker as it then is.
    ///
    /// # Errors
    /// A race when another caller has taken it; otherwise the table is away.
    async fn claim_probe(&self, seen: &BreakerRecord) -> Result<BreakerRecord, TableError> {
        let next = Timestamp::now().plus(OPEN_FOR).unix_millis();
        let claim = self.update().set("retry_at", AttributeValue::N(next.to_string()));
        self.try_to_write(self.unchanged(claim, seen.retry_at)).await
    }

    async fn read(&self) -> Option<BreakerRecord> {
        if let Some(record) = self.cached() {
            return Some(record);
        }
        let key = Self::key(self.service);
        let record = within_deadline(self.table.get::<BreakerRecord>(&key)).await;
        let record = record.inspect_err(|error| warn(self.service, "read", error)).ok()?.unwrap_or_default();
        if let Ok(mut cache) = self.cache.lock() {
            *cache = Some((Instant::now(), record.clone()));
        }
        Some(record)
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

    /// The breaker as it is after this update; `None` when somebody else was first or its table is away.
    async fn write(&self, update: Update) -> Option<BreakerRecord> {
        self.try_to_write(update).await.ok()
    }

    async fn try_to_write(&self, update: Update) -> Result<BreakerRecord, TableError> {
        self.forget();
        let written = within_deadline(self.table.update(update)).await;
        self.forget();
        written.inspect_err(|error| {
            if !error.is_race() {
                warn(self.service, "written", error);
            }
        })
    }
}

async fn within_deadline<T>(access: impl Future<Output = Result<T, TableError>>) -> Result<T, TableError> {
    let late = || TableError::Unavailable(format!("no answer within {TABLE_DEADLINE:?}"));
    tokio::time::timeout(TABLE_DEADLINE, access).await.unwrap_or_else(|_| Err(late()))
}

fn warn(service: &str, what: &str, error: &TableError) {
    tracing::warn!(service, %error, "the breaker's state cannot be {what}");
}
