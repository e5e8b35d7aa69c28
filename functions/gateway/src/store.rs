//! The gateway's table: the dashboard's figures, and what they were summed up from.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use shared::{
    id::Id,
    table::{Item, Key, Table, TableError, Transaction, Update},
    time::Timestamp,
};

use crate::figures::{Facts, Figures, UserFacts};

const DASHBOARD: &str = "dashboard";

/// Facts as they are stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Known<F> {
    pub id: Id,
    version: u64,
    #[serde(flatten)]
    pub facts: F,
}

impl<F: Facts> Known<F> {
    /// Nothing yet.
    pub fn nothing(id: Id) -> Self {
        Self { id, version: 0, facts: F::default() }
    }
}

impl<F: Facts> Item for Known<F> {
    const TYPE: &'static str = F::TYPE;

    fn key(&self) -> Key {
        key::<F>(self.id)
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

fn key<F: Facts>(id: Id) -> Key {
    Key::new(format!("{}#{id}", F::TYPE.to_uppercase()), F::TYPE.to_uppercase())
}

/// What is known of these, in no order; nothing of those that are not known.
pub async fn known<F: Facts>(table: &Table, ids: impl Iterator<Item = Id>) -> Result<Vec<Known<F>>, TableError> {
    let keys: Vec<Key> = ids.map(key::<F>).collect();
    table.get_many(&keys).await
}

/// How many orders a user has placed: one GetItem.
pub async fn orders_of(table: &Table, user_id: Id) -> Result<u64, TableError> {
    let known: Option<Known<UserFacts>> = table.get(&key::<UserFacts>(user_id)).await?;
    Ok(known.map_or(0, |known| known.facts.orders))
}

/// Stores these facts in place of what was known, which nobody may have changed meanwhile.
pub fn save<F: Facts>(transaction: Transaction, known: &Known<F>, facts: &F) -> Transaction {
    let saved = Known { id: known.id, version: known.version + 1, facts: facts.clone() };
    if known.version == 0 { transaction.insert(&saved) } else { transaction.replace(&saved) }
}

impl Item for Figures {
    const TYPE: &'static str = DASHBOARD;

    fn key(&self) -> Key {
        dashboard_key()
    }
}

fn dashboard_key() -> Key {
    Key::new("DASHBOARD", "DASHBOARD")
}

/// The figures: one GetItem.
pub async fn figures(table: &Table) -> Result<Figures, TableError> {
    Ok(table.get(&dashboard_key()).await?.unwrap_or_default())
}

/// Moves the stored figures by these.
pub fn move_figures(transaction: Transaction, by: &Figures) -> Transaction {
    if by.is_zero() {
        return transaction;
    }
    let Figures { users, orders, pending, completed, revenue } = *by;
    let update = Update::anyway(DASHBOARD, dashboard_key())
        .set("type", AttributeValue::S(DASHBOARD.to_owned()))
        .set("updated_at", AttributeValue::S(Timestamp::now().to_string()));
    let moved =
        [("users", users), ("orders", orders), ("pending", pending), ("completed", completed), ("revenue", revenue)];
    transaction.update(moved.into_iter().fold(update, |update, (figure, amount)| update.add(figure, amount)))
}
