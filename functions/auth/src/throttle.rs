//! Slowing down whoever guesses passwords, codes and taken names: per account and per source address.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use shared::{
    http::{Problem, network},
    id::Id,
    table::{Item, Key, Table, TableError, Transaction, Update},
    text::normalized,
    time::Timestamp,
};

use crate::{
    audit::{AuditEntry, AuditEvent, Origin},
    ticket::sha256,
};

/// Failures without a delay, for one account name and for one address.
const FREE_FOR_ACCOUNT: u32 = 5;
const FREE_FOR_ADDRESS: u32 = 30;
const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);
/// Failures are forgotten after this time without another.
const MEMORY: Duration = Duration::from_secs(60 * 60);
/// How often an attempt is counted anew that met others at the same counter.
const ROUNDS: usize = 4;

/// The attempts at one account name or from one address that failed, or are not known to have succeeded.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Failures {
    key: String,
    failures: u32,
    /// Milliseconds since the Unix epoch.
    last_failed_at: i64,
}

impl Item for Failures {
    const TYPE: &'static str = "login_failures";

    fn key(&self) -> Key {
        counter_key(&self.key)
    }
}

fn counter_key(name: &str) -> Key {
    Key::new(name, "THROTTLE")
}

impl Failures {
    fn elapsed(&self, now: Timestamp) -> Duration {
        now.since(Timestamp::from_unix_millis(self.last_failed_at))
    }

    /// Whether they are too old to count. DynamoDB may remove them days later.
    fn are_forgotten(&self, now: Timestamp) -> bool {
        self.elapsed(now) >= MEMORY
    }
}

/// The counters that an attempt is held against: its source address's and, where it is known, its account's.
pub struct Throttle {
    address: Counter,
    account: Option<Counter>,
}

/// An attempt that may be made. It counts as a failure from now on, before anybody knows whether it is one:
/// so of many attempts made at once not one more is made than one by one, and none of those that are not
/// learns whether it was right.
#[must_use = "an attempt that is not known to have succeeded has failed"]
pub struct Admission {
    table: Table,
    address: Attempt,
    account: Option<Attempt>,
}

/// One counter.
#[derive(Clone)]
struct Counter {
    kind: &'static str,
    name: String,
    free: u32,
}

/// An attempt as it was counted.
struct Attempt {
    counter: Counter,
    counted: Failures,
}

/// Why an attempt was not counted.
enum Refusal {
    Wait(Duration),
    Table(TableError),
}

impl From<TableError> for Refusal {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Wait(wait) => Self::too_many_requests(wait.as_secs_f64().ceil() as u32),
            Refusal::Table(error) => error.into(),
        }
    }
}

impl Throttle {
    /// For passwords, whether or not there is such an account.
    pub fn of_passwords(username: &str, address: &str) -> Self {
        Self::new("address", address, Some(("account", &normalized(username))))
    }

    /// For the codes of an account's second factor, which whoever knows the password might guess.
    pub fn of_codes(account_id: Id, address: &str) -> Self {
        Self::new("address", address, Some(("codes", &account_id.to_string())))
    }

    /// For tokens that are not good. Nobody guesses those: this keeps the audit log from being filled.
    pub fn of_tokens(address: &str) -> Self {
        Self::new("tokens", address, None)
    }

    /// For registrations, which tell what names and addresses are taken.
    pub fn of_registrations(address: &str) -> Self {
        Self::new("registrations", address, None)
    }

    fn new(kind: &'static str, address: &str, account: Option<(&'static str, &str)>) -> Self {
        Self {
            address: Counter::new(kind, &network(address), FREE_FOR_ADDRESS),
            account: account.map(|(kind, value)| Counter::new(kind, value, FREE_FOR_ACCOUNT)),
        }
    }

    /// 429 while either counter asks for patience: then neither has counted anything.
    pub async fn admit(self, table: &Table) -> Result<Admission, Problem> {
        let address = self.address.count(table).await?;
        // The address first: one that has to wait is not to keep an account's owner waiting.
        let account = match self.account {
            None => Ok(None),
            Some(account) => account.count(table).await.map(Some),
        };
        match account {
            Ok(account) => Ok(Admission { table: table.clone(), address, account }),
            Err(refusal) => {
                address.take_back(table).await;
                Err(refusal.into())
            }
        }
    }
}

impl Admission {
    /// What goes into the audit log with the attempt's failure: an entry for each of its counters that makes the next
    /// attempts wait. So there is one for each wait, however many attempts have to.
    pub fn throttled(&self, origin: &Origin, user: Option<Id>) -> Transaction {
        let entry = |attempt: &Attempt| {
            let subject = format!("throttle:{}", attempt.counter.kind);
            AuditEntry::new(AuditEvent::Throttled, origin).subject(subject)
        };
        let mut transaction = Transaction::new();
        if self.address.begins_a_wait() {
            transaction = transaction.insert(&entry(&self.address));
        }
        if let Some(account) = self.account.as_ref().filter(|account| account.begins_a_wait()) {
            transaction = transaction.insert(&user.into_iter().fold(entry(account), AuditEntry::user));
        }
        transaction
    }

    /// The attempt was right: it is no failure, and its account's are forgotten if there was none after it.
    pub async fn succeeded(self) {
        let Self { table, address, account } = self;
        let account = async {
            if let Some(account) = &account {
                account.forgive(&table).await;
            }
        };
        tokio::join!(address.take_back(&table), account);
    }
}

impl Counter {
    fn new(kind: &'static str, value: &str, free: u32) -> Self {
        Self { kind, name: format!("THROTTLE#{kind}#{}", sha256(value)), free }
    }

    /// Counts an attempt, unless it has to wait: one UpdateItem while attempts are free of delay.
    async fn count(&self, table: &Table) -> Result<Attempt, Refusal> {
        let now = Timestamp::now();
        let mut update = self.free_attempt(now);
        for _ in 0..ROUNDS {
            let error = match table.update(update).await {
                Ok(counted) => return Ok(Attempt { counter: self.clone(), counted }),
                Err(error) => error,
            };
            let Some(check) = error.failed_checks().first() else { return Err(error.into()) };
            update = match check.existing::<Failures>()? {
                Some(past) if past.are_forgotten(now) => self.first_attempt(&past, now),
                Some(past) if past.failures >= self.free => {
                    let wait = delay(past.failures, self.free).saturating_sub(past.elapsed(now));
                    if !wait.is_zero() {
                        return Err(Refusal::Wait(wait));
                    }
                    self.next_attempt(&past, now)
                }
                _ => self.free_attempt(now),
            };
        }
        // Others came first each time, and it is their attempts that this one waits for.
        Err(Refusal::Wait(Duration::from_secs(1)))
    }

    /// Made while failures are free of delay, and none is old enough to be forgotten.
    fn free_attempt(&self, now: Timestamp) -> Update {
        let forgotten = now.minus(MEMORY).unix_millis().unsigned_abs();
        self.attempt(now)
            .require_below("failures", self.free.into())
            .require_above("last_failed_at", forgotten)
            .add("failures", 1)
    }

    /// Made when all the failures before it are forgotten.
    fn first_attempt(&self, past: &Failures, now: Timestamp) -> Update {
        self.attempt(now).require("last_failed_at", "=", number(past.last_failed_at)).set("failures", number(1))
    }

    /// Made when the delay after the failures before it is over, by one of those who waited for it.
    fn next_attempt(&self, past: &Failures, now: Timestamp) -> Update {
        self.attempt(now)
            .require("failures", "=", number(past.failures.into()))
            .require("last_failed_at", "=", number(past.last_failed_at))
            .add("failures", 1)
    }

    fn attempt(&self, now: Timestamp) -> Update {
        Update::anyway(Failures::TYPE, counter_key(&self.name))
            .set("key", AttributeValue::S(self.name.clone()))
            .set("last_failed_at", number(now.unix_millis()))
            .set("ttl", number(now.plus(MEMORY).unix_seconds()))
    }
}

impl Attempt {
    /// Whether the next attempts have to wait, unless this one turns out to be right.
    fn begins_a_wait(&self) -> bool {
        !delay(self.counted.failures, self.counter.free).is_zero()
    }

    /// The attempt was none, as far as this counter goes.
    async fn take_back(&self, table: &Table) {
        let update = self.update().require("failures", ">", number(0)).add("failures", -1);
        report(table.apply(update).await);
    }

    /// Forgets the failures up to this attempt; only the attempt itself if there was another after it.
    async fn forgive(&self, table: &Table) {
        let last = self
            .update()
            .require("failures", "=", number(self.counted.failures.into()))
            .require("last_failed_at", "=", number(self.counted.last_failed_at))
            .set("failures", number(0));
        match table.apply(last).await {
            Err(error) if error.failed(Failures::TYPE) => self.take_back(table).await,
            result => report(result),
        }
    }

    fn update(&self) -> Update {
        Update::existing(Failures::TYPE, counter_key(&self.counter.name))
    }
}

/// A failure too many is forgotten within the hour, and no reason to refuse whoever has succeeded.
fn report(result: Result<(), TableError>) {
    match result {
        Err(error) if error.failed(Failures::TYPE) => {}
        Err(error) => tracing::warn!(%error, "an attempt that was no failure stays counted as one"),
        Ok(()) => {}
    }
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
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
