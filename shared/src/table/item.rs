use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Serialize, de::DeserializeOwned};

use super::TableError;
use crate::time::Timestamp;

/// The primary key of an item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub pk: String,
    pub sk: String,
}

impl Key {
    pub fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    pub(super) fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            ("pk".to_owned(), AttributeValue::S(self.pk.clone())),
            ("sk".to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }
}

/// An item's place in a secondary index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexKey {
    pub pk: String,
    pub sk: String,
}

impl IndexKey {
    pub fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }
}

/// An item's places in the table's two secondary indexes; `None` keeps it out of that index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indexes {
    pub gsi1: Option<IndexKey>,
    pub gsi2: Option<IndexKey>,
}

/// A type that is stored in a table.
///
/// The fields must not be named `pk`, `sk`, `gsi1pk`, `gsi1sk`, `gsi2pk`, `gsi2sk`, `ttl`, `type`
/// or `schema`: those are the table's own.
pub trait Item: Serialize + DeserializeOwned + Send + Sync {
    /// Stored as `type`, and named in errors: `order`.
    const TYPE: &'static str;

    /// Stored as `schema`: raised when the stored shape changes in a way that a migration must know.
    const SCHEMA: u32 = 1;

    fn key(&self) -> Key;

    fn indexes(&self) -> Indexes {
        Indexes::default()
    }

    /// When DynamoDB may remove the item.
    fn expires_at(&self) -> Option<Timestamp> {
        None
    }

    /// The item's version for [`Transaction::replace`](super::Transaction::replace): a field
    /// `version` that every change raises by one. `None` for items that are never replaced.
    fn version(&self) -> Option<u64> {
        None
    }
}

pub(super) type Attributes = HashMap<String, AttributeValue>;

pub(super) fn to_attributes<T: Item>(item: &T) -> Result<Attributes, TableError> {
    let mut attributes: Attributes =
        serde_dynamo::to_item(item).map_err(|error| TableError::malformed(T::TYPE, error))?;
    attributes.retain(|_, value| !value.is_null());
    attributes.extend(item.key().attributes());
    attributes.insert("type".to_owned(), AttributeValue::S(T::TYPE.to_owned()));
    attributes.insert("schema".to_owned(), AttributeValue::N(T::SCHEMA.to_string()));
    let indexes = item.indexes();
    for (name, key) in [("gsi1", indexes.gsi1), ("gsi2", indexes.gsi2)] {
        if let Some(key) = key {
            attributes.insert(format!("{name}pk"), AttributeValue::S(key.pk));
            attributes.insert(format!("{name}sk"), AttributeValue::S(key.sk));
        }
    }
    if let Some(moment) = item.expires_at() {
        attributes.insert("ttl".to_owned(), AttributeValue::N(moment.unix_seconds().to_string()));
    }
    Ok(attributes)
}

pub(super) fn from_attributes<T: Item>(attributes: Attributes) -> Result<T, TableError> {
    serde_dynamo::from_item(attributes).map_err(|error| TableError::malformed(T::TYPE, error))
}
