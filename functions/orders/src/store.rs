//! The orders table.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::{
    id::Id,
    retry::{Race, deciding_anew},
    table::{
        IndexKey, Indexes, Item, Key, Listing, Page, PageError, PageRequest, Shard, Table, TableError, Transaction,
    },
    time::Timestamp,
};

use crate::order::{IllegalTransition, Order, OrderEvent};

const ORDERS: &str = "ORDERS";
/// The list of orders whose payment is due, by the moment it is.
pub(crate) const UNPAID: &str = "UNPAID";

impl Item for Order {
    const TYPE: &'static str = "order";

    fn key(&self) -> Key {
        order_key(self.id)
    }

    fn indexes(&self) -> Indexes {
        Indexes {
            gsi1: Some(IndexKey::new(Shard::of(ORDERS, self.id), self.id.sortable())),
            gsi2: Some(IndexKey::new(orders_of(self.user_id), self.id.sortable())),
        }
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

impl shared::http::Resource for Order {
    const COLLECTION: &'static str = "/api/orders";

    fn id(&self) -> Id {
        self.id
    }
}

fn order_key(id: Id) -> Key {
    Key::new(format!("ORDER#{id}"), "ORDER")
}

fn orders_of(user_id: Id) -> String {
    format!("USER_ORDERS#{user_id}")
}

/// Says when an order must be looked at again, in case it is still unpaid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PaymentDeadline {
    pub order_id: Id,
    pub due_at: Timestamp,
}

impl PaymentDeadline {
    const KEPT_AFTER: Duration = Duration::from_secs(30 * 24 * 3600);

    pub(crate) fn of(order: &Order) -> Self {
        Self { order_id: order.id, due_at: order.payment_due_at }
    }
}

impl Item for PaymentDeadline {
    const TYPE: &'static str = "payment_deadline";

    fn key(&self) -> Key {
        Key::new(format!("ORDER#{}", self.order_id), "PAYMENT_DEADLINE")
    }

    fn indexes(&self) -> Indexes {
        Indexes { gsi1: Some(IndexKey::new(Shard::of(UNPAID, self.order_id), self.due_at.to_string())), gsi2: None }
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.due_at.plus(Self::KEPT_AFTER))
    }
}

/// Stores a new order, with its payment deadline and the event that tells of it.
pub fn insertion(order: &Order) -> Transaction {
    Transaction::new().insert_new(order).insert(&PaymentDeadline::of(order)).publish(&order.created())
}

/// Changes a stored order and publishes what the change tells; writes nothing when `change` leaves
/// the order as it is and tells nothing.
pub fn update(order: &Order, change: impl FnOnce(&mut Order) -> Vec<OrderEvent>) -> Transaction {
    let mut changed = order.clone();
    let events = change(&mut changed);
    if changed == *order && events.is_empty() { Transaction::new() } else { replacement(&mut changed, &events) }
}

/// Why an order was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("no such order")]
    Unknown,
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    #[error(transparent)]
    Table(#[from] TableError),
}

impl Race for ChangeError {
    fn is_race(&self) -> bool {
        matches!(self, Self::Table(error) if error.is_race())
    }
}

/// Changes a stored order if its status allows it, and answers with the order as it is then.
pub async fn change(
    table: &Table,
    id: Id,
    change: impl Fn(&mut Order) -> Result<Vec<OrderEvent>, IllegalTransition>,
) -> Result<Order, ChangeError> {
    deciding_anew(|| async {
        let mut changed = get(table, id).await?.ok_or(ChangeError::Unknown)?;
        let events = change(&mut changed)?;
        table.commit(replacement(&mut changed, &events)).await?;
        Ok(changed)
    })
    .await
}

fn replacement(changed: &mut Order, events: &[OrderEvent]) -> Transaction {
    changed.version += 1;
    changed.updated_at = Timestamp::now();
    events.iter().fold(Transaction::new().replace(changed), |transaction, event| match event {
        OrderEvent::Cancelled(event) => transaction.publish(event),
        OrderEvent::StatusChanged(event) => transaction.publish(event),
        OrderEvent::Confirmed(event) => transaction.publish(event),
        OrderEvent::RefundRequested(event) => transaction.publish(event),
    })
}

/// The order with this id.
pub async fn get(table: &Table, id: Id) -> Result<Option<Order>, TableError> {
    table.get(&order_key(id)).await
}

/// All orders, newest first.
pub async fn page(table: &Table, request: &PageRequest) -> Result<Page<Order>, PageError> {
    table.page(&Listing::sharded("gsi1", ORDERS), request).await
}

/// One user's orders, newest first.
pub async fn page_of(table: &Table, user_id: Id, request: &PageRequest) -> Result<Page<Order>, PageError> {
    table.page(&Listing::partition("gsi2", orders_of(user_id)), request).await
}

/// What orders knows of a user: a replica fed by events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownUser {
    pub user_id: Id,
    /// `None` once the user is deleted.
    pub name: Option<String>,
    /// Of the user's profile.
    pub version: u64,
}

impl Item for KnownUser {
    const TYPE: &'static str = "known_user";

    fn key(&self) -> Key {
        known_user_key(self.user_id)
    }
}

fn known_user_key(user_id: Id) -> Key {
    Key::new(format!("USER#{user_id}"), "USER")
}

/// What is known of one user.
pub async fn known_user(table: &Table, user_id: Id) -> Result<Option<KnownUser>, TableError> {
    table.get(&known_user_key(user_id)).await
}

/// What is known of the users who placed these orders: one BatchGetItem.
pub async fn known_users(table: &Table, orders: &[Order]) -> Result<Vec<KnownUser>, TableError> {
    let mut ids: Vec<Id> = orders.iter().map(|order| order.user_id).collect();
    ids.sort();
    ids.dedup();
    let keys: Vec<Key> = ids.into_iter().map(known_user_key).collect();
    table.get_many(&keys).await
}
