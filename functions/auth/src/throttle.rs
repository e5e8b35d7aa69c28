//! Slowing down whoever guesses passwords: per account name and per source address.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::{
    http::Problem,
    table::{Item, Key, Table, TableError, Transaction, Update},
    time::Timestamp,
};

use crate::account::normalized;

/// Failures without a delay, for one account name and for one address.
const FREE_FOR_ACCOUNT: u32 = 5;
const FREE_FOR_ADDRESS: u32 = 30;
const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);
/// Failures are forgotten after this time without another.
const MEMORY: Duration = Duration::from_secs(60 * 60);

/// The failed attempts at one account name or from one address.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Failures {
    #[serde(default)]
    key: String,
    failures: u32,
    /// Milliseconds since the Unix epoch.
    last_failed_at: i64,
}

impl Item for Failures {
    const TYPE: &'static str = "login_failures";

    fn key(&self) -> Key {
        Key::new(self.key.clone(), "THROTTLE")
    }
}

impl Failures {
    fn elapsed(&self, now: Timestamp) -> Duration {
        now.since(Timestamp::from_unix_millis(self.last_failed_at))
    }
}

/// The two counters that an attempt is held against.
pub struct Throttle {
    counters: [(Key, u32); 2],
}

impl Throttle {
    pub fn new(username: &str, address: &str) -> Self {
        let key = |kind: &str, value: &str| {
            let hash: String = Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect();
            Key::new(format!("THROTTLE#{kind}#{hash}"), "THROTTLE")
        };
        Self {
            counters: [
                (key("account", &normalized(username)), FREE_FOR_ACCOUNT),
                (key("address", address), FREE_FOR_ADDRESS),
            ],
        }
    }

    /// 429 while either counter asks for patience, whether or not there is such an account.
    pub async fn check(&self, table: &Table) -> Result<(), Problem> {
        let now = Timestamp::now();
        let [account, address] = &self.counters;
        let (account, address) = tokio::try_join!(wait(table, account, now), wait(table, address, now))?;
        match account.max(address).as_secs_f64().ceil() as u32 {
            0 => Ok(()),
            seconds => Err(Problem::too_many_requests(seconds)),
        }
    }

    /// Counts a failed attempt.
    pub async fn failed(&self, table: &Table) -> Result<(), TableError> {
        let now = Timestamp::now();
        let number = |value: i64| AttributeValue::N(value.to_string());
        let mut transaction = Transaction::new();
        for (key, _) in &self.counters {
            let update = Update::anyway(Failures::TYPE, key.clone())
                .set("key", AttributeValue::S(key.pk.clone()))
                .set("last_failed_at", number(now.unix_millis()))
                .set("ttl", number(now.plus(MEMORY).unix_seconds()));
            // DynamoDB may remove what has outlived its TTL days later.
            let update = match remembered(table, key, now).await? {
                Some(_) => update.add("failures", 1),
                None => update.set("failures", number(1)),
            };
            transaction = transaction.update(update);
        }
        table.commit(transaction).await
    }

    /// Forgets the account's failures after its owner has signed in.
    pub async fn succeeded(&self, table: &Table) -> Result<(), TableError> {
        let (key, _) = &self.counters[0];
        let failures: Option<Failures> = table.get(key).await?;
        if failures.is_none() {
            return Ok(());
        }
        match table.commit(Transaction::new().delete(Failures::TYPE, key.clone())).await {
            Err(error) if error.is_race() => Ok(()),
            result => result,
        }
    }
}

async fn wait(table: &Table, (key, free): &(Key, u32), now: Timestamp) -> Result<Duration, TableError> {
    let failures = remembered(table, key, now).await?;
    Ok(failures.map_or(Duration::ZERO, |past| delay(past.failures, *free).saturating_sub(past.elapsed(now))))
}

async fn remembered(table: &Table, key: &Key, now: Timestamp) -> Result<Option<Failures>, TableError> {
    let failures: Option<Failures> = table.get(key).await?;
    Ok(failures.filter(|past| past.elapsed(now) <= MEMORY))
}

/// Nothing for the free failures, then 1 s, doubling with each further one, up to a quarter of an hour.
fn delay(failures: u32, free: u32) -> Duration {
    match failures.checked_sub(free) {
        None => Duration::ZERO,
        Some(excess) => Duration::from_secs(1 << excess.min(20)).min(LONGEST_DELAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_and_is_bounded() {
        let seconds = |failures| delay(failures, FREE_FOR_ACCOUNT).as_secs();
        assert_eq!([4, 5, 6, 7, 8].map(seconds), [0, 1, 2, 4, 8]);
        assert_eq!(seconds(u32::MAX), LONGEST_DELAY.as_secs());
    }
}
