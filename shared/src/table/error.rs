use std::{error::Error, fmt};

use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use super::{
    Item, Key,
    item::{Attributes, from_attributes},
};
use crate::retry::Race;

/// Why a table did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// At least one condition of the write did not hold; nothing was written.
    #[error("a condition did not hold: {}", labels(.0))]
    Failed(Vec<FailedCheck>),
    /// Other writers were at the same items at the same time, through every attempt; nothing was
    /// written.
    #[error("other writers were at the same items")]
    Contended,
    /// The table could not be reached, is throttled, or does not exist.
    #[error("the table is unavailable: {0}")]
    Unavailable(String),
    /// An item could not be written as, or read into, its type: a defect or a missed migration.
    #[error("malformed {item}: {reason}")]
    Malformed { item: &'static str, reason: String },
}

/// One condition that did not hold.
#[derive(Clone, Debug)]
pub struct FailedCheck {
    /// The label that the write was given: the item's type unless the writer chose another.
    pub label: &'static str,
    pub(crate) existing: Option<Attributes>,
}

impl FailedCheck {
    /// Whether the stored item that the condition did not hold for has this key.
    pub(crate) fn is_of(&self, key: &Key) -> bool {
        let has = |name: &str, text: &String| {
            let stored = self.existing.as_ref().and_then(|attributes| attributes.get(name));
            stored.and_then(|value| value.as_s().ok()) == Some(text)
        };
        has("pk", &key.pk) && has("sk", &key.sk)
    }

    /// The stored item that the condition did not hold for; `None` when there is none.
    ///
    /// # Errors
    /// When what is stored is not a `T`.
    pub fn existing<T: Item>(&self) -> Result<Option<T>, TableError> {
        self.existing.clone().map(from_attributes).transpose()
    }
}

fn labels(checks: &[FailedCheck]) -> String {
    checks.iter().map(|check| check.label).collect::<Vec<_>>().join(", ")
}

impl TableError {
    pub(super) fn malformed(item: &'static str, reason: impl fmt::Display) -> Self {
        Self::Malformed { item, reason: reason.to_string() }
    }

    pub(super) fn unavailable<E, R>(error: SdkError<E, R>) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
        R: fmt::Debug + 'static,
    {
        match error.code() {
            Some("ValidationException") => Self::Malformed {
                item: "request",
                reason: error.message().unwrap_or("refused by the table").to_owned(),
            },
            _ => Self::Unavailable(DisplayErrorContext(error).to_string()),
        }
    }

    /// Whether the condition with this label did not hold.
    pub fn failed(&self, label: &str) -> bool {
        self.check(label).is_some()
    }

    /// Every condition that did not hold.
    pub fn failed_checks(&self) -> &[FailedCheck] {
        match self {
            Self::Failed(checks) => checks,
            _ => &[],
        }
    }

    pub(crate) fn check(&self, label: &str) -> Option<&FailedCheck> {
        self.failed_checks().iter().find(|check| check.label == label)
    }

    /// Whether reading again and deciding anew may succeed: another writer was first.
    pub fn is_race(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Contended)
    }
}

impl Race for TableError {
    fn is_race(&self) -> bool {
        self.is_race()
    }
}
