//! The users table.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::{
    event::{UserDeleted, UserUpdated},
    id::Id,
    table::{
        IndexKey, Indexes, Item, Key, Listing, Page, PageError, PageRequest, Shard, Table, TableError, Transaction,
    },
    text::normalized,
    time::Timestamp,
};

use crate::user::User;

const USERS: &str = "USERS";
/// The label of the check that no other profile has the e-mail address.
pub const EMAIL: &str = "email";
/// How long a deleted profile is remembered: longer than any queue or dead-letter queue keeps news
/// of its account.
const DELETED_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

impl Item for User {
    const TYPE: &'static str = "user";

    fn key(&self) -> Key {
        user_key(self.id)
    }

    fn indexes(&self) -> Indexes {
        Indexes { gsi1: Some(IndexKey::new(Shard::of(USERS, self.id), self.id.sortable())), gsi2: None }
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

impl shared::http::Resource for User {
    const COLLECTION: &'static str = "/api/users";

    fn id(&self) -> Id {
        self.id
    }
}

fn user_key(id: Id) -> Key {
    Key::new(format!("USER#{id}"), "USER")
}

/// Holds an e-mail address for one profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct EmailGuard {
    address: String,
    user_id: Id,
}

impl EmailGuard {
    fn of(user: &User) -> Self {
        Self { address: normalized(&user.email), user_id: user.id }
    }
}

impl Item for EmailGuard {
    const TYPE: &'static str = EMAIL;

    fn key(&self) -> Key {
        Key::new(format!("EMAIL#{}", self.address), "EMAIL")
    }
}

/// Tells a profile that was deleted from one that is still to come. Nothing personal is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct DeletedUser {
    user_id: Id,
    deleted_at: Timestamp,
}

impl Item for DeletedUser {
    const TYPE: &'static str = "deleted_user";

    fn key(&self) -> Key {
        deleted_key(self.user_id)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.deleted_at.plus(DELETED_RETENTION))
    }
}

fn deleted_key(id: Id) -> Key {
    Key::new(format!("USER#{id}"), "DELETED")
}

/// Stores a new profile and publishes that there is one; a taken e-mail fails the check [`EMAIL`].
pub fn insertion(user: &User) -> Transaction {
    unguarded_insertion(user).insert(&EmailGuard::of(user))
}

/// [`insertion`] for a profile whose e-mail another one holds.
pub fn unguarded_insertion(user: &User) -> Transaction {
    Transaction::new().insert_new(user).publish(&user.created_event())
}

/// Stores a changed profile and publishes it; a taken e-mail fails the check [`EMAIL`].
///
/// `holds_email` says whether the stored profile holds its address, `by` who changes it, if it is not the account.
pub fn update(stored: &User, updated: &User, holds_email: bool, by: Option<String>) -> Transaction {
    let event = UserUpdated { by, ..updated.updated_event() };
    let transaction = Transaction::new().replace(updated).publish(&event);
    let (old, new) = (EmailGuard::of(stored), EmailGuard::of(updated));
    match (old.address == new.address, holds_email) {
        (true, _) => transaction,
        (false, true) => transaction.delete("old_email", old.key()).insert(&new),
        (false, false) => transaction.insert(&new),
    }
}

/// Stores a profile that differs from the stored one only in how new it is; publishes nothing.
pub fn confirmation(confirmed: &User) -> Transaction {
    Transaction::new().replace(confirmed)
}

/// Removes a profile, gives its e-mail free and publishes that it is gone, and `by` whom.
pub fn deletion(user: &User, holds_email: bool, by: String) -> Transaction {
    let event = UserDeleted { by: Some(by), ..user.deleted_event() };
    let deleted = DeletedUser { user_id: user.id, deleted_at: Timestamp::now() };
    let transaction = Transaction::new().delete_version(user).upsert(&deleted).publish(&event);
    if holds_email { transaction.delete("old_email", EmailGuard::of(user).key()) } else { transaction }
}

/// The profile with this id.
pub async fn get(table: &Table, id: Id) -> Result<Option<User>, TableError> {
    table.get(&user_key(id)).await
}

/// Whether there was a profile with this id, until it was deleted lately.
pub async fn was_deleted(table: &Table, id: Id) -> Result<bool, TableError> {
    let deleted: Option<DeletedUser> = table.get(&deleted_key(id)).await?;
    Ok(deleted.is_some())
}

/// Whether the profile holds its e-mail address, rather than another profile.
pub async fn holds_email(table: &Table, user: &User) -> Result<bool, TableError> {
    let guard: Option<EmailGuard> = table.get(&EmailGuard::of(user).key()).await?;
    Ok(guard.is_some_and(|guard| guard.user_id == user.id))
}

/// All profiles, newest first.
pub async fn page(table: &Table, request: &PageRequest) -> Result<Page<User>, PageError> {
    table.page(&Listing::sharded("gsi1", USERS), request).await
}
