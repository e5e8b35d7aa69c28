use std::{fmt, sync::Arc, time::Duration};

use aws_sdk_dynamodb::{
    error::{DisplayErrorContext, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        AttributeValue, CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
        Update as UpdateItem,
    },
};

use crate::retry::backoff;

use super::{
    FailedCheck, Item, Key, Table, TableError, Update,
    item::{Attributes, to_attributes},
    update::Expressions,
};

/// The label of the check that a generated id is free.
pub const NEW_ID: &str = "new_id";

/// Attempts at a transaction that meets another one at the same items.
const CONFLICT_ATTEMPTS: u32 = 6;
const CONFLICT_BACKOFF: Duration = Duration::from_millis(20);

/// Writes that happen all or not at all: one TransactWriteItems.
///
/// Building never fails; what could not be built is reported by [`Table::commit`].
#[derive(Debug, Default)]
pub struct Transaction {
    writes: Vec<Write>,
    error: Option<TableError>,
}

#[derive(Clone, Debug)]
struct Write {
    label: &'static str,
    kind: WriteKind,
    condition: Option<Condition>,
    /// Another table than the one that commits.
    table: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
enum WriteKind {
    Put(Attributes),
    Delete(Key),
    Update { key: Key, expression: String },
}

#[derive(Clone, Debug, Default)]
struct Condition {
    expression: String,
    names: Vec<(String, String)>,
    values: Vec<(String, AttributeValue)>,
}

impl Condition {
    fn absent() -> Self {
        Self { expression: "attribute_not_exists(pk)".to_owned(), ..Self::default() }
    }

    /// The stored item has exactly this version.
    fn version(version: u64) -> Self {
        Self {
            expression: "#version = :version".to_owned(),
            names: vec![("#version".to_owned(), "version".to_owned())],
            values: vec![(":version".to_owned(), AttributeValue::N(version.to_string()))],
        }
    }
}

impl Transaction {
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores an item that must not exist yet; a check labelled with the item's type fails if it does.
    #[must_use]
    pub fn insert<T: Item>(self, item: &T) -> Self {
        self.put(T::TYPE, item, Some(Condition::absent()))
    }

    /// Stores an item under a generated id, which must be free; the check [`NEW_ID`] fails if not.
    #[must_use]
    pub fn insert_new<T: Item>(self, item: &T) -> Self {
        self.put(NEW_ID, item, Some(Condition::absent()))
    }

    /// Stores an item that must not exist yet, unless it has outlived its TTL at `now_seconds`.
    #[must_use]
    pub(crate) fn insert_over_expired<T: Item>(self, item: &T, now_seconds: i64) -> Self {
        let condition = Condition {
            expression: "attribute_not_exists(pk) OR #ttl < :now".into(),
            names: vec![("#ttl".into(), "ttl".into())],
            values: vec![(":now".into(), AttributeValue::N(now_seconds.to_string()))],
        };
        self.put(T::TYPE, item, Some(condition))
    }

    /// Stores an item in place of the stored version just before it; a check labelled with the
    /// item's type fails if another version is stored, or none.
    ///
    /// The item's [`Item::version`] must be the stored one plus one.
    #[must_use]
    pub fn replace<T: Item>(mut self, item: &T) -> Self {
        let Some(before) = item.version().and_then(|version| version.checked_sub(1)) else {
            self.error = Some(TableError::malformed(T::TYPE, "replaced without a version"));
            return self;
        };
        self.overwrite(item, before)
    }

    /// Stores an item in place of one whose `version` is exactly `before`, for replicas whose
    /// versions are given by another service; a check labelled with the item's type fails otherwise.
    #[must_use]
    pub fn overwrite<T: Item>(self, item: &T, before: u64) -> Self {
        let condition = Condition::version(before);
        self.put(T::TYPE, item, Some(condition))
    }

    /// Stores an item whether or not it exists.
    #[must_use]
    pub fn upsert<T: Item>(self, item: &T) -> Self {
        self.put(T::TYPE, item, None)
    }

    /// Removes an item that must exist; a check labelled `label` fails if it does not.
    #[must_use]
    pub fn delete(self, label: &'static str, key: Key) -> Self {
        let condition = Condition { expression: "attribute_exists(pk)".into(), ..Condition::default() };
        self.write(label, WriteKind::Delete(key), Some(condition))
    }

    /// Removes an item, if it exists.
    #[must_use]
    pub fn delete_if_there(self, key: Key) -> Self {
        self.write("delete", WriteKind::Delete(key), None)
    }

    /// Removes an item of this version; a check labelled with its type fails if another is stored.
    #[must_use]
    pub fn delete_version<T: Item>(mut self, item: &T) -> Self {
        let Some(version) = item.version() else {
            self.error = Some(TableError::malformed(T::TYPE, "deleted without a version"));
            return self;
        };
        let condition = Condition::version(version);
        self.write(T::TYPE, WriteKind::Delete(item.key()), Some(condition))
    }

    /// Changes single attributes of an item.
    #[must_use]
    pub fn update(self, update: Update) -> Self {
        let Expressions { label, key, change: expression, condition, names, values } = update.expressions();
        let condition = Condition { expression: condition, names, values };
        let kind = WriteKind::Update { key, expression };
        self.write(label, kind, Some(condition))
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.error.is_none()
    }

    /// The writes of this transaction, and of another.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.writes.extend(other.writes);
        self.error = self.error.or(other.error);
        self
    }

    /// The same writes, to this table, whichever table [commits](Table::commit) them.
    #[must_use]
    pub fn to(mut self, table: &Table) -> Self {
        for write in &mut self.writes {
            write.table = Some(table.name.clone());
        }
        self
    }

    fn write(mut self, label: &'static str, kind: WriteKind, condition: Option<Condition>) -> Self {
        self.writes.push(Write { label, kind, condition, table: None });
        self
    }

    fn put<T: Item>(mut self, label: &'static str, item: &T, condition: Option<Condition>) -> Self {
        match to_attributes(item) {
            Ok(attributes) => self.write(label, WriteKind::Put(attributes), condition),
            Err(error) => {
                self.error = Some(error);
                self
            }
        }
    }

    pub(crate) fn fail(mut self, item: &'static str, reason: impl fmt::Display) -> Self {
        self.error = Some(TableError::malformed(item, reason));
        self
    }
}

impl Write {
    fn into_item(self, table: &str) -> Result<TransactWriteItem, TableError> {
        let on_failure = ReturnValuesOnConditionCheckFailure::AllOld;
        let label = self.label;
        let table = self.table.as_deref().unwrap_or(table);
        let malformed = |error: aws_sdk_dynamodb::error::BuildError| TableError::malformed(label, error);
        let condition = self.condition.unwrap_or_default();
        let expression = Some(condition.expression).filter(|text| !text.is_empty());
        let names =
            Some(condition.names.into_iter().collect()).filter(|map: &std::collections::HashMap<_, _>| !map.is_empty());
        let values = Some(condition.values.into_iter().collect()).filter(|map: &Attributes| !map.is_empty());
        let item = TransactWriteItem::builder();
        Ok(match self.kind {
            WriteKind::Put(attributes) => item.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(attributes))
                    .set_condition_expression(expression)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(on_failure)
                    .build()
                    .map_err(malformed)?,
            ),
            WriteKind::Delete(key) => item.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(key.attributes()))
                    .set_condition_expression(expression)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()
                    .map_err(malformed)?,
            ),
            WriteKind::Update { key, expression: update } => item.update(
                UpdateItem::builder()
                    .table_name(table)
                    .set_key(Some(key.attributes()))
                    .update_expression(update)
                    .set_condition_expression(expression)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(on_failure)
                    .build()
                    .map_err(malformed)?,
            ),
        }
        .build())
    }
}

enum Attempt {
    Conflict,
    Error(TableError),
}

impl Table {
    /// Writes everything in the transaction, or nothing: one TransactWriteItems, repeated only when
    /// another transaction is at the same items.
    pub async fn commit(&self, transaction: Transaction) -> Result<(), TableError> {
        if let Some(error) = transaction.error {
            return Err(error);
        }
        let labels: Vec<&'static str> = transaction.writes.iter().map(|write| write.label).collect();
        let items =
            transaction.writes.into_iter().map(|write| write.into_item(&self.name)).collect::<Result<Vec<_>, _>>()?;
        for attempt in 0..CONFLICT_ATTEMPTS {
            match self.attempt(&labels, items.clone()).await {
                Ok(()) => return Ok(()),
                Err(Attempt::Error(error)) => return Err(error),
                Err(Attempt::Conflict) => tokio::time::sleep(backoff(CONFLICT_BACKOFF, attempt)).await,
            }
        }
        Err(TableError::Contended)
    }

    async fn attempt(&self, labels: &[&'static str], items: Vec<TransactWriteItem>) -> Result<(), Attempt> {
        match self.client.transact_write_items().set_transact_items(Some(items)).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(explain(labels, error)),
        }
    }
}

fn explain<R: fmt::Debug + 'static>(labels: &[&'static str], error: SdkError<TransactWriteItemsError, R>) -> Attempt {
    let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = error.as_service_error() else {
        return match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => Attempt::Conflict,
            _ => Attempt::Error(TableError::unavailable(error)),
        };
    };
    let reasons = canceled.cancellation_reasons();
    let has = |code: &str| reasons.iter().any(|reason| reason.code() == Some(code));
    if has("ConditionalCheckFailed") {
        return Attempt::Error(TableError::Failed(failed_checks(labels, reasons)));
    }
    if has("TransactionConflict") {
        return Attempt::Conflict;
    }
    if has("ValidationError") || has("ItemCollectionSizeLimitExceeded") {
        let reason = reasons.iter().find_map(|reason| reason.message()).unwrap_or("refused by the table");
        return Attempt::Error(TableError::malformed("transaction", reason));
    }
    Attempt::Error(TableError::Unavailable(DisplayErrorContext(error).to_string()))
}

fn failed_checks(labels: &[&'static str], reasons: &[CancellationReason]) -> Vec<FailedCheck> {
    labels
        .iter()
        .zip(reasons)
        .filter(|(_, reason)| reason.code() == Some("ConditionalCheckFailed"))
        .map(|(label, reason)| FailedCheck { label, existing: reason.item().cloned() })
        .collect()
}
