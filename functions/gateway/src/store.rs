//! The gateway's table: the dashboard's figures, and what they were summed up from.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shared::{
    id::Id,
    table::{Item, Key, Table, TableError, Transaction, Update},
    time::Timestamp,
};

use crate::figures::{Figures, OrderFacts, PaymentFacts, UserFacts};

const DASHBOARD: &str = "dashboard";

/// What is known of one user, order or payment.
pub trait Facts: Clone + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync {
    /// Stored as the item's type, and in its key: `order`.
    const TYPE: &'static str;

    /// What it adds to the figures.
    fn figures(&self) -> Figures;
}

impl Facts for UserFacts {
    const TYPE: &'static str = "user";

    fn figures(&self) -> Figures {
        Self::figures(self)
    }
}

impl Facts for OrderFacts {
    const TYPE: &'static str = "order";

    fn figures(&self) -> Figures {
        Self::figures(self)
    }
}

impl Facts for PaymentFacts {
    const TYPE: &'static str = "payment";

    fn figures(&self) -> Figures {
        Self::figures(self)
    }
}

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

/// The stored figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Dashboard {
    users: i64,
    orders: i64,
    pending: i64,
    completed: i64,
    revenue: i64,
}

impl Item for Dashboard {
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
    let Dashboard { users, orders, pending, completed, revenue } =
        table.get(&dashboard_key()).await?.unwrap_or_default();
    Ok(Figures { users, orders, pending, completed, revenue })
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
