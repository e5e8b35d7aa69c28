//! Making the read model anew from the log of events, beside the one that answers, and letting the new
//! one answer when it has everything that the old one has.
//!
//! From the moment at which a new version is begun, the consumer counts every event in both. What came
//! before is in the log; what was being handled just then, by a function that did not know of the new
//! version yet, is in the log before long. Each fact counts once in a version, so that the log can be
//! read over and over until the versions agree.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::{join_all, try_join_all};
use shared::{
    event::{Envelope, PayloadError},
    id::Id,
    retry::{Race, deciding_anew},
    table::{Item, Table, TableError},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    bucket::{Figures, Span},
    fact::Fact,
    model::{InUse, Model, Models},
    store::{self, Counted, Scope, USER_SHARDS},
};

/// Facts that are counted at the same time.
const AT_ONCE: usize = 16;
/// How often the log is read again while the versions differ.
const CATCH_UPS: u32 = 5;
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
    /// The versions still differ after everything in the log was counted.
    #[error("version {built} differs from version {active}, which goes on answering:\n  {}", .differences.join("\n  "))]
    Different { active: Model, built: Model, differences: Vec<String> },
}

impl Race for RebuildError {
    fn is_race(&self) -> bool {
        matches!(self, Self::Table(error) if error.is_race())
    }
}

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
    /// When the versions differ, unless that is accepted; the old one then goes on answering, and both
    /// are kept up to date.
    pub async fn run(&self) -> Result<Rebuilt, RebuildError> {
        let (model, before) = self.change(|models| (models.begin(), models.active)).await?;
        let begun_at = Timestamp::now();
        let mut rebuilt = Rebuilt { model, before, counted: 0, unreadable: BTreeSet::new() };
        self.fill(&mut rebuilt, Timestamp::from_unix_millis(0), begun_at).await?;
        let mut differences = Vec::new();
        for _ in 0..CATCH_UPS {
            tokio::time::sleep(self.settled_after).await;
            self.fill(&mut rebuilt, begun_at.minus(OVERLAP), Timestamp::now()).await?;
            differences = differences_between(self.table, before, model).await?;
            if differences.is_empty() {
                break;
            }
        }
        if !differences.is_empty() && !self.accept_differences {
            return Err(RebuildError::Different { active: before, built: model, differences });
        }
        self.change(|models| models.switch()).await?;
        Ok(rebuilt)
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

    async fn change<T>(&self, change: impl Fn(&mut Models) -> T) -> Result<T, RebuildError> {
        deciding_anew(async || {
            let mut models = Models::read(self.table).await?;
            let outcome = change(&mut models);
            models.save(self.table).await?;
            Ok(outcome)
        })
        .await
    }
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

/// Where two versions differ, in words: in the business's months and categories, and in the numbers of
/// payments and refunds of each user.
pub async fn differences_between(table: &Table, one: Model, other: Model) -> Result<Vec<String>, TableError> {
    let months = async |model| months(table, model).await;
    let users = async |model| users(table, model).await;
    let (one_months, other_months) = futures::try_join!(months(one), months(other))?;
    let (one_users, other_users) = futures::try_join!(users(one), users(other))?;
    let mut differences = different(&one_months, &other_months);
    differences.extend(different(&one_users, &other_users));
    Ok(differences)
}

fn different<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    one: &BTreeMap<K, V>,
    other: &BTreeMap<K, V>,
) -> Vec<String> {
    let keys: BTreeSet<&K> = one.keys().chain(other.keys()).collect();
    let pairs = keys.into_iter().map(|key| (key, one.get(key), other.get(key)));
    pairs
        .filter(|(_, one, other)| one != other)
        .map(|(key, one, other)| format!("{key:?}: {one:?}, {other:?}"))
        .collect()
}

async fn months(table: &Table, model: Model) -> Result<BTreeMap<(String, String), Figures>, TableError> {
    let parts = Scope::Business.parts();
    let reads = parts.iter().map(|part| store::all_buckets(table, model, *part, Span::Month));
    let mut months: BTreeMap<_, Figures> = BTreeMap::new();
    for bucket in try_join_all(reads).await?.into_iter().flatten() {
        let total = bucket.total();
        *months.entry((bucket.start.to_string(), bucket.category)).or_default() += total;
    }
    Ok(months)
}

async fn users(table: &Table, model: Model) -> Result<BTreeMap<Id, u64>, TableError> {
    let users = try_join_all((0..USER_SHARDS).map(|shard| store::users(table, model, shard))).await?;
    Ok(users.into_iter().flatten().filter_map(|user| Some((user.user_id?, user.facts))).collect())
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
