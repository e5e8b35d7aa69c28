//! Slowing down whoever guesses passwords and codes: per account and per source address.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use shared::{
    http::Problem,
    id::Id,
    table::{Item, Key, Table, TableError, Transaction, Update},
    time::Timestamp,
};

use crate::{account::normalized, ticket::sha256};

/// The label of the check that there were not too many failures meanwhile.
pub const THROTTLED: &str = "throttled";

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

/// The two counters that an attempt is held against: its account's and its source address's.
pub struct Throttle {
    counters: [(Key, u32); 2],
}

/// An attempt that may be made, and what is to be written when it is known how it went.
pub struct Admission {
    counters: [Counter; 2],
}

struct Counter {
    key: Key,
    free: u32,
    stored: Option<Failures>,
}

impl Throttle {
    /// For passwords, whether or not there is such an account.
    pub fn of_passwords(username: &str, address: &str) -> Self {
        Self::new("account", &normalized(username), address)
    }

    /// For the codes of an account's second factor, which whoever knows the password might guess.
    pub fn of_codes(account_id: Id, address: &str) -> Self {
        Self::new("codes", &account_id.to_string(), address)
    }

    fn new(kind: &str, account: &str, address: &str) -> Self {
        let key = |kind: &str, value: &str| Key::new(format!("THROTTLE#{kind}#{}", sha256(value)), "THROTTLE");
        Self { counters: [(key(kind, account), FREE_FOR_ACCOUNT), (key("address", address), FREE_FOR_ADDRESS)] }
    }

    /// 429 while either counter asks for patience.
    pub async fn admit(self, table: &Table) -> Result<Admission, Problem> {
        let [account, address] = self.counters;
        let (account, address) = tokio::try_join!(Counter::read(table, account), Counter::read(table, address))?;
        let now = Timestamp::now();
        match account.wait(now).max(address.wait(now)).as_secs_f64().ceil() as u32 {
            0 => Ok(Admission { counters: [account, address] }),
            seconds => Err(Problem::too_many_requests(seconds)),
        }
    }
}

impl Admission {
    /// Counts the attempt as a failure.
    pub fn failed(&self) -> Transaction {
        let now = Timestamp::now();
        self.counters.iter().fold(Transaction::new(), |transaction, counter| transaction.update(counter.failed(now)))
    }

    /// Forgets the account's failures, unless there were more meanwhile than may go without a delay: then
    /// the check [`THROTTLED`] fails. So of many guesses made at once not one more counts than one by one.
    pub fn succeeded(&self) -> Transaction {
        let [Counter { key, free, stored }, _] = &self.counters;
        let seen = stored.as_ref().map_or(0, |failures| failures.failures);
        let limit = u64::from(seen.max(free.saturating_sub(1)));
        Transaction::new().delete_unless_above(THROTTLED, key.clone(), "failures", limit)
    }
}

/// The answer to an attempt that was right, but one of too many at once.
pub fn throttled(error: TableError) -> Problem {
    if error.failed(THROTTLED) { Problem::too_many_requests(1) } else { error.into() }
}

impl Counter {
    async fn read(table: &Table, (key, free): (Key, u32)) -> Result<Self, TableError> {
        let stored = table.get(&key).await?;
        Ok(Self { key, free, stored })
    }

    /// The failures that are not too old to count. DynamoDB may remove those days later.
    fn remembered(&self, now: Timestamp) -> Option<&Failures> {
        self.stored.as_ref().filter(|past| past.elapsed(now) <= MEMORY)
    }

    fn wait(&self, now: Timestamp) -> Duration {
        let wait = |past: &Failures| delay(past.failures, self.free).saturating_sub(past.elapsed(now));
        self.remembered(now).map_or(Duration::ZERO, wait)
    }

    fn failed(&self, now: Timestamp) -> Update {
        let number = |value: i64| AttributeValue::N(value.to_string());
        let update = Update::anyway(Failures::TYPE, self.key.clone())
            .set("key", AttributeValue::S(self.key.pk.clone()))
            .set("last_failed_at", number(now.unix_millis()))
            .set("ttl", number(now.plus(MEMORY).unix_seconds()));
        let forgotten = self.stored.is_some() && self.remembered(now).is_none();
        if forgotten { update.set("failures", number(1)) } else { update.add("failures", 1) }
    }
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
