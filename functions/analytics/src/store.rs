//! The analytics table, and how its writes spread.
//!
//! | item | `pk` | `sk` |
//! |---|---|---|
//! | a bucket | model, scope, `DAYS` or `MONTHS` | its first day or month, its category |
//! | a fact that was counted | model, user, `COUNTED` | the payment, `payment` or `refund` |
//! | how many facts a user's figures are of | model, `USERS`, one of 16 shards | the user |
//! | how many facts a shard of the business's figures are of | model, shard, `VERSION` | |
//!
//! Every fact is one transaction: its record, which is there once, two buckets and a count for its user,
//! and the same for the business. The business's figures are spread over [`BUSINESS_SHARDS`] shards by
//! the payment's id, and each kind of item of a shard is in a partition of its own, so that none takes
//! more than two write units a fact of an eighth of all facts.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use shared::{
    id::Id,
    table::{Item, Key, Table, TableError, Transaction, Update},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    bucket::{Bucket, Figures, Span, addition},
    fact::{Fact, Kind},
    model::Model,
};

/// Shards that the business's figures are spread over.
pub const BUSINESS_SHARDS: u64 = 8;
/// Shards that the users of a model are spread over.
pub const USER_SHARDS: u64 = 16;

/// Whose figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    User(Id),
    Business,
}

/// Whose figures, in as far as they are in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    User(Id),
    /// Of the business's figures, those of one shard.
    Business(u64),
}

impl Part {
    /// The parts that a fact counts in.
    pub fn of(fact: &Fact) -> [Self; 2] {
        // The lowest bit tells who gave the id, see `Id::even`.
        [Self::User(fact.user_id), Self::Business((fact.payment_id.value() >> 1) % BUSINESS_SHARDS)]
    }

    fn name(self) -> String {
        match self {
            Self::User(id) => format!("USER#{id}"),
            Self::Business(shard) => format!("BUSINESS#{shard}"),
        }
    }

    fn partition(self, model: Model, span: Span) -> String {
        let kind = match span {
            Span::Day => "DAYS",
            Span::Month => "MONTHS",
        };
        format!("MODEL#{model}#{}#{kind}", self.name())
    }

    /// The key of a bucket of this part.
    pub fn bucket_key(self, model: Model, span: Span, start: Date, category: &str) -> Key {
        Key::new(self.partition(model, span), format!("{}#{category}", span.sort_key(start)))
    }

    fn version_key(self, model: Model) -> Key {
        match self {
            Self::User(id) => Key::new(users_of(model, id.value() % USER_SHARDS), id.sortable()),
            Self::Business(shard) => Key::new(format!("MODEL#{model}#BUSINESS#{shard}#VERSION"), "VERSION"),
        }
    }
}

impl Scope {
    /// Where its figures are.
    pub fn parts(self) -> Vec<Part> {
        match self {
            Self::User(id) => vec![Part::User(id)],
            Self::Business => (0..BUSINESS_SHARDS).map(Part::Business).collect(),
        }
    }
}

fn users_of(model: Model, shard: u64) -> String {
    format!("MODEL#{model}#USERS#{shard}")
}

fn counted_by(model: Model, user_id: Id) -> String {
    format!("MODEL#{model}#USER#{user_id}#COUNTED")
}

/// The record that a fact was counted: what makes it count once, however often, in whatever order and
/// by whatever replay its event comes. It is kept as long as the model is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    model: Model,
    user_id: Id,
    payment_id: Id,
    kind: Kind,
    event_id: Uuid,
}

impl Item for Counted {
    const TYPE: &'static str = "counted";

    fn key(&self) -> Key {
        let kind = match self.kind {
            Kind::Payment => "payment",
            Kind::Refund => "refund",
        };
        Key::new(counted_by(self.model, self.user_id), format!("{}#{kind}", self.payment_id.sortable()))
    }
}

/// How many facts the figures of a part are of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartVersion {
    /// `None` for a shard of the business.
    pub user_id: Option<Id>,
    pub facts: u64,
    /// When it last changed.
    pub changed_at: Timestamp,
}

impl PartVersion {
    fn raised(part: Part, model: Model) -> Update {
        let update = Update::anyway(Self::TYPE, part.version_key(model))
            .set("type", AttributeValue::S(Self::TYPE.to_owned()))
            .set("schema", AttributeValue::N(Self::SCHEMA.to_string()))
            .set("changed_at", AttributeValue::S(Timestamp::now().to_string()))
            .add("facts", 1);
        match part {
            Part::User(id) => update.set("user_id", AttributeValue::N(id.to_string())),
            Part::Business(_) => update,
        }
    }
}

impl Item for PartVersion {
    const TYPE: &'static str = "part_version";

    /// It is stored by updates, which are told its key; this one is of no part.
    fn key(&self) -> Key {
        Key::new("PART_VERSION", "PART_VERSION")
    }
}

/// How many facts the figures of a scope are of. It grows with every fact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version {
    pub facts: u64,
    /// When it last changed; `None` when there were no facts yet.
    pub changed_at: Option<Timestamp>,
}

/// The version of a scope's figures, read consistently: one GetItem for a user, one BatchGetItem for
/// the business.
pub async fn version(table: &Table, model: Model, scope: Scope) -> Result<Version, TableError> {
    let parts: Vec<PartVersion> = match scope {
        Scope::User(id) => table.get(&Part::User(id).version_key(model)).await?.into_iter().collect(),
        Scope::Business => {
            let keys: Vec<Key> = scope.parts().into_iter().map(|part| part.version_key(model)).collect();
            table.get_many_consistently(&keys).await?
        }
    };
    Ok(Version {
        facts: parts.iter().map(|part| part.facts).sum(),
        changed_at: parts.iter().map(|part| part.changed_at).max(),
    })
}

/// What counting a fact writes: seven items.
fn counting(model: Model, fact: &Fact) -> Transaction {
    let Fact { kind, payment_id, user_id, event_id, .. } = *fact;
    let mut transaction = Transaction::new().insert(&Counted { model, user_id, payment_id, kind, event_id });
    for part in Part::of(fact) {
        for span in Span::ALL {
            let start = span.start(fact.at);
            let key = part.bucket_key(model, span, start, &fact.category);
            let slots = [(span.slot(fact.at), Figures::of(fact))];
            transaction = transaction.update(addition(key, start, &fact.category, &slots));
        }
        transaction = transaction.update(PartVersion::raised(part, model));
    }
    transaction
}

/// Counts a fact in a model, unless it was counted there before; then the check labelled with the type
/// of [`Counted`] fails: one TransactWriteItems.
pub async fn count(table: &Table, model: Model, fact: &Fact) -> Result<(), TableError> {
    table.commit(counting(model, fact)).await
}

/// The buckets of a part that begin on days from `first` to `last`, inclusively: one Query for each
/// megabyte.
pub async fn buckets(
    table: &Table,
    model: Model,
    part: Part,
    span: Span,
    (first, last): (Date, Date),
) -> Result<Vec<Bucket>, TableError> {
    // A bucket's sort key goes on behind its time, so that it comes before the next time itself.
    let behind = match span {
        Span::Day => last.tomorrow(),
        Span::Month => last.last_of_month().tomorrow(),
    };
    let (lowest, highest) = (span.sort_key(first), span.sort_key(behind.unwrap_or(Date::MAX)));
    table.range(&part.partition(model, span), &lowest, &highest).await
}

/// Every bucket of a part, read consistently.
pub async fn all_buckets(table: &Table, model: Model, part: Part, span: Span) -> Result<Vec<Bucket>, TableError> {
    table.range(&part.partition(model, span), LOWEST, HIGHEST).await
}

/// How many facts each user's figures are of, for the users of one shard of a model; read consistently.
pub async fn users(table: &Table, model: Model, shard: u64) -> Result<Vec<PartVersion>, TableError> {
    table.range(&users_of(model, shard), LOWEST, HIGHEST).await
}

/// All sort keys of a model begin with a digit.
const LOWEST: &str = "0";
const HIGHEST: &str = ":";

/// Removes what a model has of one user: what is left when this ends early is found again.
pub async fn remove_user(table: &Table, model: Model, user_id: Id) -> Result<usize, TableError> {
    let counted: Vec<Counted> = table.range(&counted_by(model, user_id), LOWEST, HIGHEST).await?;
    let mut keys: Vec<Key> = counted.iter().map(Item::key).collect();
    keys.extend(bucket_keys(table, model, Part::User(user_id)).await?);
    remove(table, &keys).await?;
    remove(table, &[Part::User(user_id).version_key(model)]).await?;
    Ok(keys.len() + 1)
}

/// Removes what a model has of the business.
pub async fn remove_business(table: &Table, model: Model) -> Result<usize, TableError> {
    let mut removed = 0;
    for part in Scope::Business.parts() {
        let mut keys = bucket_keys(table, model, part).await?;
        keys.push(part.version_key(model));
        remove(table, &keys).await?;
        removed += keys.len();
    }
    Ok(removed)
}

async fn bucket_keys(table: &Table, model: Model, part: Part) -> Result<Vec<Key>, TableError> {
    let reads = Span::ALL.map(|span| async move {
        let buckets = all_buckets(table, model, part, span).await?;
        Ok(buckets.into_iter().map(move |bucket| part.bucket_key(model, span, bucket.start, &bucket.category)))
    });
    Ok(try_join_all(reads).await?.into_iter().flatten().collect())
}

/// DynamoDB's limit on writes in one transaction.
const WRITES_AT_ONCE: usize = 100;

async fn remove(table: &Table, keys: &[Key]) -> Result<(), TableError> {
    for keys in keys.chunks(WRITES_AT_ONCE) {
        let removal = keys.iter().cloned().fold(Transaction::new(), Transaction::delete_if_there);
        table.commit(removal).await?;
    }
    Ok(())
}
