//! Making the read model anew from the log of events, beside the one that answers, and letting the new
//! one answer when it has everything that the old one has.
//!
//! From the moment at which a new version is begun, the consumer counts every event in both. What came
//! before is in the log; what was being handled just then, by a function that did not know of the new
//! version yet, is in the log before long. Each fact counts once in a version, so that the log can be
//! read over and over until the versions agree.
//!
//! They are compared while events come. What a version has only grows, so it is known to lie between what
//! was read before and what was read after: a version that is read in between must not be outside. One
//! that is, is short of events that are on their way, or lacks them for good: the former is over by the
//! next comparison or differs by something else, the latter stays the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::{join_all, try_join_all};
use shared::{
    event::{Envelope, PayloadError},
    retry::{Race, deciding_anew},
    table::{Item, Table, TableError},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    bucket::Span,
    fact::Fact,
    model::{InUse, Model, Models, NotBuilding},
    store::{self, Counted, Scope, USER_SHARDS},
};

/// Facts that are counted at the same time.
const AT_ONCE: usize = 16;
/// How often the log is read again while the versions differ by the same.
const CATCH_UPS: u32 = 5;
/// How often it is while what they differ by changes, until that is taken for the events on their way that it
/// must be.
const MOST_CATCH_UPS: u32 = 10;
/// Events that occurred so long before a rebuild began may have come to the log after it.
const OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// How long functions that do not know of a new version yet may be at work, and events on their way to
/// the log.
const SETTLED_AFTER: Duration = Duration::from_secs(15);

/// Some events of the log.
#[derive(Debug)]
pub struct LogPage {
    pub events: Vec<Envelope>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

/// The log could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the log of events: {0}")]
pub struct LogError(pub String);

/// The log of events.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Payments and refunds that occurred from `from` up to but not including `to`.
    async fn page(&self, from: Timestamp, to: Timestamp, cursor: Option<&str>) -> Result<LogPage, LogError>;
}

/// Why a rebuild ended without letting the new version answer. It can be gone on with by another.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    InUse(#[from] InUse),
    #[error(transparent)]
    NotBuilding(#[from] NotBuilding),
    /// The versions still differ after everything in the log was counted.
    #[error("version {built} differs from version {active}, which goes on answering:\n  {}", .differences.join("\n  "))]
    Different { active: Model, built: Model, differences: Vec<String> },
}

impl Race for RebuildError {
    fn is_race(&self) -> bool {
        matches!(self, Self::Table(error) if error.is_race())
    }
}

/// What a version has, by what it is of.
type Content = BTreeMap<String, Amounts>;
/// Where a version is outside of what another had before and after, and by how much.
pub type Differences = BTreeMap<String, Amounts>;
/// By what they are: `paid` in minor units, how many `payments`. Those that are 0 are left out.
type Amounts = BTreeMap<&'static str, i128>;

/// What a rebuild came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Rebuilt {
    pub model: Model,
    /// The version that answered before.
    pub before: Model,
    /// Facts that were counted from the log.
    pub counted: usize,
    /// Events in the log that no version of the consumer can have counted, by their ids.
    pub unreadable: BTreeSet<Uuid>,
}

/// A rebuild of the read model in one table from one log.
pub struct Rebuild<'a> {
    pub table: &'a Table,
    pub log: &'a dyn EventLog,
    pub settled_after: Duration,
    /// Lets the new version answer though it differs: the old one is known to be wrong.
    pub accept_differences: bool,
}

impl<'a> Rebuild<'a> {
    pub fn new(table: &'a Table, log: &'a dyn EventLog) -> Self {
        Self { table, log, settled_after: SETTLED_AFTER, accept_differences: false }
    }

    /// Fills a new version, or goes on with one that was begun, and lets it answer.
    ///
    /// # Errors
    /// When the versions differ for good, unless that is accepted; the old one then goes on answering, and
    /// both are kept up to date.
    pub async fn run(&self) -> Result<Rebuilt, RebuildError> {
        let (model, before) = change(self.table, |models| Ok((models.begin(), models.active))).await?;
        let begun_at = Timestamp::now();
        let mut rebuilt = Rebuilt { model, before, counted: 0, unreadable: BTreeSet::new() };
        self.fill(&mut rebuilt, Timestamp::from_unix_millis(0), begun_at).await?;
        let lasting = self.catch_up(&mut rebuilt, begun_at).await?;
        if !lasting.is_empty() && !self.accept_differences {
            let differences = lasting.iter().map(in_words).collect();
            return Err(RebuildError::Different { active: before, built: model, differences });
        }
        change(self.table, |models| Ok(models.switch(model)?)).await?;
        Ok(rebuilt)
    }

    /// Reads the end of the log until the versions agree or the same differences last; answers with those.
    async fn catch_up(&self, rebuilt: &mut Rebuilt, begun_at: Timestamp) -> Result<Differences, RebuildError> {
        let mut known = Differences::new();
        for catch_up in 1..=MOST_CATCH_UPS {
            tokio::time::sleep(self.settled_after).await;
            self.fill(rebuilt, begun_at.minus(OVERLAP), Timestamp::now()).await?;
            let found = differences_between(self.table, rebuilt.before, rebuilt.model).await?;
            let lasting: Differences =
                found.iter().filter(|(place, by)| known.get(*place) == Some(by)).map(owned).collect();
            if found.is_empty() || (catch_up >= CATCH_UPS && !lasting.is_empty()) {
                return Ok(lasting);
            }
            known = found;
        }
        Ok(Differences::new())
    }

    /// Counts what the log has of a range.
    async fn fill(&self, rebuilt: &mut Rebuilt, from: Timestamp, to: Timestamp) -> Result<(), RebuildError> {
        let mut cursor = None;
        loop {
            let page = self.log.page(from, to, cursor.as_deref()).await?;
            let facts = facts(&page.events, &mut rebuilt.unreadable);
            for facts in facts.chunks(AT_ONCE) {
                let counts = facts.iter().map(|fact| count_if_new(self.table, rebuilt.model, fact));
                for counted in join_all(counts).await {
                    rebuilt.counted += usize::from(counted?);
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}

fn owned((place, by): (&String, &Amounts)) -> (String, Amounts) {
    (place.clone(), by.clone())
}

fn in_words((place, by): (&String, &Amounts)) -> String {
    let by: Vec<String> = by.iter().map(|(what, amount)| format!("{amount:+} {what}")).collect();
    format!("{place}: {}", by.join(", "))
}

async fn change<T>(table: &Table, change: impl Fn(&mut Models) -> Result<T, RebuildError>) -> Result<T, RebuildError> {
    deciding_anew(async || {
        let mut models = Models::read(table).await?;
        let outcome = change(&mut models)?;
        models.save(table).await?;
        Ok(outcome)
    })
    .await
}

/// Gives up a version that is being built, which events do not go to any more; it can be removed then.
///
/// # Errors
/// When it is not the one being built.
pub async fn abandon(table: &Table, model: Model) -> Result<(), RebuildError> {
    change(table, |models| Ok(models.abandon(model)?)).await
}

/// The facts that events tell, as the consumer reads them.
fn facts(events: &[Envelope], unreadable: &mut BTreeSet<Uuid>) -> Vec<Fact> {
    let mut fact = |event: &Envelope| match Fact::of(event) {
        Ok(fact) => fact,
        Err(PayloadError::NewerVersion { .. } | PayloadError::OtherType { .. } | PayloadError::Malformed { .. }) => {
            unreadable.insert(event.id);
            None
        }
    };
    events.iter().filter_map(&mut fact).collect()
}

/// Counts a fact unless it is counted already; says whether it did.
async fn count_if_new(table: &Table, model: Model, fact: &Fact) -> Result<bool, TableError> {
    deciding_anew(async || match store::count(table, model, fact).await {
        Err(error) if error.failed(Counted::TYPE) => Ok(false),
        result => result.map(|()| true),
    })
    .await
}

/// Where another version is outside of what the one that answers has, just before and just after: in the
/// business's months and categories by shard, and in how many payments and refunds each user has.
pub async fn differences_between(table: &Table, active: Model, other: Model) -> Result<Differences, TableError> {
    let before = content(table, active).await?;
    let between = content(table, other).await?;
    let after = content(table, active).await?;
    let places: BTreeSet<&String> = before.keys().chain(between.keys()).chain(after.keys()).collect();
    let compared = places.into_iter().map(|place| {
        let of = |content: &'_ Content| content.get(place).cloned().unwrap_or_default();
        (place.clone(), outside(&of(&between), (&of(&before), &of(&after))))
    });
    Ok(compared.filter(|(_, by)| !by.is_empty()).collect())
}

/// By how much amounts are below the lower or above the upper of two.
fn outside(amounts: &Amounts, (before, after): (&Amounts, &Amounts)) -> Amounts {
    let names: BTreeSet<&'static str> = amounts.keys().chain(before.keys()).chain(after.keys()).copied().collect();
    let by = names.into_iter().map(|name| {
        let of = |amounts: &Amounts| amounts.get(name).copied().unwrap_or_default();
        let (amount, lowest, highest) = (of(amounts), of(before).min(of(after)), of(before).max(of(after)));
        (name, amount - amount.clamp(lowest, highest))
    });
    by.filter(|(_, by)| *by != 0).collect()
}

async fn content(table: &Table, model: Model) -> Result<Content, TableError> {
    let (mut content, users) = futures::try_join!(months(table, model), users(table, model))?;
    content.extend(users);
    Ok(content)
}

async fn months(table: &Table, model: Model) -> Result<Content, TableError> {
    let parts = Scope::Business.parts();
    let reads = parts.iter().map(|part| store::all_buckets(table, model, *part, Span::Month));
    let mut months = Content::new();
    for (shard, buckets) in try_join_all(reads).await?.into_iter().enumerate() {
        for bucket in buckets {
            let total = bucket.total();
            let place = format!("the business, {}, {}, shard {shard}", bucket.start, bucket.category);
            let amounts = [
                ("paid", total.paid),
                ("payments", total.payments.into()),
                ("refunded", total.refunded),
                ("refunds", total.refunds.into()),
            ];
            months.insert(place, amounts.into());
        }
    }
    Ok(months)
}

async fn users(table: &Table, model: Model) -> Result<Content, TableError> {
    let users = try_join_all((0..USER_SHARDS).map(|shard| store::users(table, model, shard))).await?;
    let facts = users.into_iter().flatten().filter_map(|user| Some((user.user_id?, user.facts)));
    Ok(facts.map(|(id, facts)| (format!("user {id}"), [("facts", facts.into())].into())).collect())
}

/// Removes a version that answers no more, and says how many items that were. What is left when this
/// ends early, another call removes.
///
/// # Errors
/// When the version is in use, or there is none of this number.
pub async fn remove(table: &Table, model: Model) -> Result<usize, RebuildError> {
    let mut models = Models::read(table).await?;
    models.forget(model)?;
    let mut removed = store::remove_business(table, model).await?;
    for shard in 0..USER_SHARDS {
        for user in store::users(table, model, shard).await? {
            if let Some(user_id) = user.user_id {
                removed += store::remove_user(table, model, user_id).await?;
            }
        }
    }
    models.save(table).await?;
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(paid: i128, payments: i128) -> Amounts {
        [("paid", paid), ("payments", payments)].into()
    }

    #[test]
    fn what_came_between_two_readings_is_no_difference_and_what_is_outside_of_them_is() {
        let (before, after, none) = (amounts(1_000, 2), amounts(1_500, 3), Amounts::new());
        for alike in [&before, &after, &amounts(1_200, 2)] {
            assert_eq!(outside(alike, (&before, &after)), none);
        }
        assert_eq!(outside(&amounts(500, 1), (&before, &after)), amounts(-500, -1));
        assert_eq!(outside(&amounts(1_500, 4), (&before, &after)), [("payments", 1)].into());
        assert_eq!(outside(&none, (&before, &before)), amounts(-1_000, -2));
        assert_eq!(outside(&before, (&none, &none)), before);
    }
}
