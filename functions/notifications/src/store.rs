//! The notifications table.

use serde::{Deserialize, Serialize};
use shared::{
    id::Id,
    table::{
        IndexKey, Indexes, Item, Key, Listing, Page, PageError, PageRequest, Shard, Table, TableError, Transaction,
    },
    time::Timestamp,
};

use crate::{
    notification::{EndEvent, Notification, RETENTION},
    recipient::Recipient,
};

/// The list of notifications that quiet hours hold back, by the moment they end.
pub(crate) const HELD: &str = "HELD";
const ADMINS: &str = "ADMINS";

impl Item for Notification {
    const TYPE: &'static str = "notification";

    fn key(&self) -> Key {
        notification_key(self.id)
    }

    fn indexes(&self) -> Indexes {
        let held = self.held_until.map(|until| IndexKey::new(Shard::of(HELD, self.id), format!("{until}#{}", self.id)));
        Indexes { gsi1: held, gsi2: Some(IndexKey::new(notifications_of(self.user_id), self.id.sortable())) }
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.requested_at.plus(RETENTION))
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

fn notification_key(id: Id) -> Key {
    Key::new(format!("NOTIFICATION#{id}"), "NOTIFICATION")
}

fn notifications_of(user_id: Id) -> String {
    format!("USER_NOTIFICATIONS#{user_id}")
}

impl Item for Recipient {
    const TYPE: &'static str = "recipient";

    fn key(&self) -> Key {
        recipient_key(self.user_id)
    }

    fn indexes(&self) -> Indexes {
        Indexes { gsi1: self.is_admin().then(|| IndexKey::new(ADMINS, self.user_id.sortable())), gsi2: None }
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

fn recipient_key(user_id: Id) -> Key {
    Key::new(format!("USER#{user_id}"), "RECIPIENT")
}

/// What a notification is there for: no two have the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub name: String,
    pub notification_id: Id,
    /// SHA-256 of what was asked for, in hexadecimal; `None` when it was asked for by an event.
    pub fingerprint: Option<String>,
    pub requested_at: Timestamp,
}

impl Item for Origin {
    const TYPE: &'static str = "origin";

    fn key(&self) -> Key {
        origin_key(&self.name)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.requested_at.plus(RETENTION))
    }
}

fn origin_key(name: &str) -> Key {
    Key::new(format!("ORIGIN#{name}"), "ORIGIN")
}

/// Stores a new notification, and asks for its delivery unless quiet hours hold it back.
pub fn insertion(notification: &Notification) -> Transaction {
    let transaction = Transaction::new().insert_new(notification);
    match notification.held_until {
        Some(_) => transaction,
        None => transaction.publish(&notification.requested_event()),
    }
}

/// Stores a changed notification, and publishes its end if this is it.
pub fn update(changed: &Notification) -> Transaction {
    let transaction = Transaction::new().replace(changed);
    match changed.end_event() {
        Some(EndEvent::Sent(event)) => transaction.publish(&event),
        Some(EndEvent::Failed(event)) => transaction.publish(&event),
        None => transaction,
    }
}

/// Stores a notification that quiet hours do not hold back any more, and asks for its delivery.
pub fn release(woken: &Notification) -> Transaction {
    Transaction::new().replace(woken).publish(&woken.requested_event())
}

/// Stores a user, who was unknown if this is the first version.
pub fn save(recipient: &Recipient) -> Transaction {
    let transaction = Transaction::new();
    if recipient.version <= 1 { transaction.insert(recipient) } else { transaction.replace(recipient) }
}

/// The notification with this id.
pub async fn get(table: &Table, id: Id) -> Result<Option<Notification>, TableError> {
    table.get(&notification_key(id)).await
}

/// One user's notifications, newest first.
pub async fn page_of(table: &Table, user_id: Id, request: &PageRequest) -> Result<Page<Notification>, PageError> {
    table.page(&Listing::partition("gsi2", notifications_of(user_id)), request).await
}

/// What is known of a user.
pub async fn recipient(table: &Table, user_id: Id) -> Result<Option<Recipient>, TableError> {
    table.get(&recipient_key(user_id)).await
}

/// What there is under these names, in no order, read consistently: one BatchGetItem for each hundred, and
/// none without a name.
pub async fn origins(table: &Table, names: impl Iterator<Item = &str>) -> Result<Vec<Origin>, TableError> {
    let keys: Vec<Key> = names.map(origin_key).collect();
    table.get_many_consistently(&keys).await
}

/// What is known of these users, in no order, read consistently: one BatchGetItem for each hundred.
pub async fn recipients(table: &Table, user_ids: impl Iterator<Item = Id>) -> Result<Vec<Recipient>, TableError> {
    let mut ids: Vec<Id> = user_ids.collect();
    ids.sort();
    ids.dedup();
    let keys: Vec<Key> = ids.into_iter().map(recipient_key).collect();
    table.get_many_consistently(&keys).await
}

/// Some of the admins, by when they became users: one Query.
pub async fn admins(table: &Table, request: &PageRequest) -> Result<Page<Recipient>, PageError> {
    table.page(&Listing::partition("gsi1", ADMINS).ascending(), request).await
}
