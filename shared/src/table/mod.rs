//! A service's DynamoDB table: typed items, pages, conditional writes and transactions.
//!
//! Every table has the keys `pk` and `sk`, the indexes `gsi1` and `gsi2` (`gsi1pk`, `gsi1sk`, …)
//! and the TTL attribute `ttl`. An item is a serde type that implements [`Item`]; its fields are
//! stored beside the keys, with its type's name in `type`.

mod error;
mod item;
mod page;
mod read;
mod transaction;
mod update;

use std::sync::Arc;

use aws_sdk_dynamodb::Client;

pub use self::{
    error::{FailedCheck, TableError},
    item::{IndexKey, Indexes, Item, Key},
    page::{Cursor, InvalidCursor, Listing, Page, PageError, PageRequest, Shard},
    read::Position,
    transaction::{NEW_ID, Transaction},
    update::Update,
};
use crate::aws::{self, ConfigError};

/// A handle on one table. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    name: Arc<str>,
}

impl Table {
    pub fn new(client: Client, name: &str) -> Self {
        Self { client, name: name.into() }
    }

    /// The table named by `TABLE_NAME`, reached with the function's own credentials.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_env_variable("TABLE_NAME")
    }

    /// The table named by another environment variable.
    pub fn from_env_variable(variable: &'static str) -> Result<Self, ConfigError> {
        Ok(Self::new(Client::new(&aws::sdk_config()?), &aws::required(variable)?))
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}
