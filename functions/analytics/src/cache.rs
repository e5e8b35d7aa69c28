//! Answers that were given before, and how often they could be given again.
//!
//! An answer is kept with the number of facts that the figures of its scope were of. That number is read
//! before the figures are, and grows with every fact, so a kept answer whose number is still the same has
//! everything in it that was applied.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use shared::{
    table::{Item, Key, Table, TableError, Transaction, Update},
    time::Timestamp,
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::store::Version;

const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// An item of DynamoDB has at most 400 KB.
const LARGEST: usize = 300_000;
/// Items that a count is spread over.
const PARTS: u8 = 4;
/// What the rate is told for.
pub const RATE_HOURS: u64 = 24;

/// An answer as it was given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// [`Question::fingerprint`](crate::question::Question::fingerprint).
    question: String,
    /// How many facts the figures of its scope were of.
    pub facts: u64,
    /// The answer as JSON text.
    pub body: String,
    answered_at: Timestamp,
}

impl Item for KeptAnswer {
    const TYPE: &'static str = "answer";

    fn key(&self) -> Key {
        Self::key_of(&self.question)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.answered_at.plus(RETENTION))
    }
}

impl KeptAnswer {
    fn key_of(question: &str) -> Key {
        Key::new(format!("ANSWER#{question}"), "ANSWER")
    }

    /// The answer kept for a question, whatever it was of: one GetItem.
    pub async fn of(table: &Table, question: &str) -> Result<Option<Self>, TableError> {
        table.get(&Self::key_of(question)).await
    }
}

/// How kept answers were used in one hour, or a part of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CacheUse {
    /// Questions answered with a kept answer.
    pub hits: u64,
    /// Those that figures were read for.
    pub misses: u64,
}

impl Item for CacheUse {
    const TYPE: &'static str = "cache_use";

    /// It is stored by updates, which are told its key; this one is of no hour.
    fn key(&self) -> Key {
        Key::new("CACHE", "CACHE")
    }
}

fn partition(part: u8) -> String {
    format!("CACHE#{part}")
}

fn hour(moment: Timestamp) -> String {
    moment.to_string().chars().take("2026-01-15T10".len()).collect()
}

fn counted(what: &str) -> Update {
    let (now, part) = (Timestamp::now(), Uuid::new_v4().as_bytes()[0] % PARTS);
    let expires = now.plus(2 * RETENTION).unix_seconds();
    Update::anyway(CacheUse::TYPE, Key::new(partition(part), hour(now)))
        .set("type", AttributeValue::S(CacheUse::TYPE.to_owned()))
        .set("schema", AttributeValue::N(CacheUse::SCHEMA.to_string()))
        .set("ttl", AttributeValue::N(expires.to_string()))
        .add(what, 1)
}

/// Counts that a kept answer was given: one transaction.
pub async fn hit(table: &Table) -> Result<(), TableError> {
    table.commit(Transaction::new().update(counted("hits"))).await
}

/// Counts that figures were read, and keeps the answer made of them, if it is to be kept and not too
/// large: one transaction.
pub async fn miss(table: &Table, question: &str, kept: Option<(Version, &str)>) -> Result<(), TableError> {
    let transaction = Transaction::new().update(counted("misses"));
    let kept = kept.filter(|(_, body)| body.len() <= LARGEST).map(|(version, body)| KeptAnswer {
        question: question.to_owned(),
        facts: version.facts,
        body: body.to_owned(),
        answered_at: Timestamp::now(),
    });
    table.commit(kept.iter().fold(transaction, Transaction::upsert)).await
}

/// How kept answers were used in the last [`RATE_HOURS`] hours: one Query for each part.
pub async fn recent_use(table: &Table, now: Timestamp) -> Result<CacheUse, TableError> {
    let from = hour(now.minus(Duration::from_secs(RATE_HOURS * 3600)));
    let partitions: Vec<String> = (0..PARTS).map(partition).collect();
    let uses: Vec<Vec<CacheUse>> =
        try_join_all(partitions.iter().map(|partition| table.partition(partition, &from))).await?;
    let add = |sum: CacheUse, one: CacheUse| CacheUse { hits: sum.hits + one.hits, misses: sum.misses + one.misses };
    Ok(uses.into_iter().flatten().fold(CacheUse::default(), add))
}
