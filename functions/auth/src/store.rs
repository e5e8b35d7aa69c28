//! The auth table.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use shared::{
    auth::Admins,
    event::{AccountUpdated, Role},
    id::Id,
    table::{Item, Key, Table, TableError, Transaction, Update},
    text::normalized,
    time::Timestamp,
};

use crate::{
    account::{Account, Profile, appearance},
    audit::{AuditEntry, AuditEvent, Origin, role_subject},
    mfa::{Challenge, Proof, SecondFactor},
    session::Session,
};

/// The labels of the checks that no other account has the name, a name that looks like it, or the address.
pub const USERNAME: &str = "username";
pub const APPEARANCE: &str = "appearance";
pub const EMAIL: &str = "email";

impl Item for Account {
    const TYPE: &'static str = "account";

    fn key(&self) -> Key {
        account_key(self.profile.id)
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

impl shared::http::Resource for Profile {
    const COLLECTION: &'static str = "/api/users";

    fn id(&self) -> Id {
        self.id
    }
}

impl Item for Session {
    const TYPE: &'static str = "session";

    fn key(&self) -> Key {
        session_key(self.account_id, &self.session_id)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.expires_at)
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

impl Item for SecondFactor {
    const TYPE: &'static str = "second_factor";

    fn key(&self) -> Key {
        second_factor_key(self.account_id)
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

impl Item for Challenge {
    const TYPE: &'static str = "challenge";

    fn key(&self) -> Key {
        challenge_key(self.account_id, &self.challenge_id)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.expires_at)
    }
}

fn second_factor_key(account_id: Id) -> Key {
    Key::new(format!("ACCOUNT#{account_id}"), "SECOND_FACTOR")
}

fn challenge_key(account_id: Id, challenge_id: &str) -> Key {
    Key::new(format!("ACCOUNT#{account_id}"), format!("CHALLENGE#{challenge_id}"))
}

fn account_key(id: Id) -> Key {
    Key::new(format!("ACCOUNT#{id}"), "ACCOUNT")
}

fn session_key(account_id: Id, session_id: &str) -> Key {
    Key::new(format!("ACCOUNT#{account_id}"), format!("SESSION#{session_id}"))
}

/// An account's password hash, apart from everything that is ever shown.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credentials {
    pub account_id: Id,
    pub password_hash: String,
    pub changed_at: Timestamp,
}

impl Item for Credentials {
    const TYPE: &'static str = "credentials";

    fn key(&self) -> Key {
        credentials_key(self.account_id)
    }
}

fn credentials_key(account_id: Id) -> Key {
    Key::new(format!("ACCOUNT#{account_id}"), "CREDENTIALS")
}

/// Holds a user name for one account.
#[derive(Clone, Serialize, Deserialize)]
struct UsernameGuard {
    username: String,
    account_id: Id,
}

impl Item for UsernameGuard {
    const TYPE: &'static str = USERNAME;

    fn key(&self) -> Key {
        username_key(&self.username)
    }
}

/// Longer than any user name: what is typed at a sign-in may grow beyond a key's 2048 bytes when it is
/// normalized, and is looked up all the same.
const COMPARED_CHARS: usize = 128;

fn username_key(normalized: &str) -> Key {
    let compared: String = normalized.chars().take(COMPARED_CHARS).collect();
    Key::new(format!("USERNAME#{compared}"), "USERNAME")
}

/// Holds what a user name looks like for one account.
#[derive(Clone, Serialize, Deserialize)]
struct AppearanceGuard {
    appearance: String,
    account_id: Id,
}

impl Item for AppearanceGuard {
    const TYPE: &'static str = APPEARANCE;

    fn key(&self) -> Key {
        Key::new(format!("APPEARANCE#{}", self.appearance), "APPEARANCE")
    }
}

/// Holds an e-mail address for one account.
#[derive(Clone, Serialize, Deserialize)]
struct EmailGuard {
    email: String,
    account_id: Id,
}

impl EmailGuard {
    fn of(profile: &Profile) -> Self {
        Self { email: normalized(&profile.email), account_id: profile.id }
    }
}

impl Item for EmailGuard {
    const TYPE: &'static str = EMAIL;

    fn key(&self) -> Key {
        Key::new(format!("EMAIL#{}", self.email), "EMAIL")
    }
}

/// Stores a new account and publishes that somebody signed up; a taken name or address fails the
/// check [`USERNAME`], [`APPEARANCE`] or [`EMAIL`].
pub fn insertion(account: &Account, password_hash: &str) -> Transaction {
    let profile = &account.profile;
    Transaction::new()
        .insert_new(account)
        .insert(&credentials(profile.id, password_hash))
        .insert(&UsernameGuard { username: normalized(&profile.username), account_id: profile.id })
        .insert(&AppearanceGuard { appearance: appearance(&profile.username), account_id: profile.id })
        .insert(&EmailGuard::of(profile))
        .publish(&account.registered_event())
}

/// Stores an account with another name or e-mail; a taken address fails the check [`EMAIL`].
pub fn renaming(stored: &Account, renamed: &Account) -> Transaction {
    let transaction = Transaction::new().replace(renamed);
    let (old, new) = (EmailGuard::of(&stored.profile), EmailGuard::of(&renamed.profile));
    if old.email == new.email { transaction } else { transaction.delete("old_email", old.key()).insert(&new) }
}

/// Stores a new password.
pub fn password_change(account: &Account, password_hash: &str) -> Transaction {
    Transaction::new().replace(account).upsert(&credentials(account.profile.id, password_hash))
}

/// Nobody else is an admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is the last admin; make somebody else one first")]
pub struct LastAdmin;

/// Gives an account another role, ends its sessions, and tells of it. The last admin stays one.
pub fn role_change(account: &Account, admins: &Admins, role: Role, origin: &Origin) -> Result<Transaction, LastAdmin> {
    let id = account.profile.id;
    let admins = match (account.profile.role, role) {
        (_, Role::Admin) => admins.joined_by(id),
        (Role::Admin, _) if admins.has_none_but(id) => return Err(LastAdmin),
        (Role::Admin, _) => admins.left_by(id),
        _ => Transaction::new(),
    };
    let changed = account.with_role(role, Timestamp::now());
    let entry = AuditEntry::new(AuditEvent::RoleChanged, origin).user(account.profile.id).subject(role_subject(role));
    let event = AccountUpdated { role: Some(role), ..changed.updated_event() };
    Ok(admins.and(Transaction::new().replace(&changed)).insert(&entry).publish(&event))
}

/// Ends a session, whoever else changes it meanwhile.
pub fn session_end(session: &Session) -> Transaction {
    let end = Update::existing(Session::TYPE, session.key()).set("revoked", AttributeValue::Bool(true));
    Transaction::new().update(end.add("version", 1))
}

/// Stores a second factor that is still to be confirmed, in place of one that never was.
pub fn enrolment(factor: &SecondFactor) -> Transaction {
    if factor.version == 1 { Transaction::new().insert(factor) } else { Transaction::new().replace(factor) }
}

/// Stores a second factor after a proof was used; that a recovery code was, goes into the audit log.
pub fn factor_use(used: &SecondFactor, proof: Proof<'_>, origin: &Origin) -> Transaction {
    let transaction = Transaction::new().replace(used);
    match proof {
        Proof::Otp(_) => transaction,
        Proof::RecoveryCode(_) => {
            let entry = AuditEntry::new(AuditEvent::RecoveryCodeUsed, origin).user(used.account_id);
            transaction.insert(&entry)
        }
    }
}

fn credentials(account_id: Id, password_hash: &str) -> Credentials {
    Credentials { account_id, password_hash: password_hash.to_owned(), changed_at: Timestamp::now() }
}

/// The account with this id.
pub async fn account(table: &Table, id: Id) -> Result<Option<Account>, TableError> {
    table.get(&account_key(id)).await
}

/// The id of the account with this user name, whatever its case.
pub async fn account_id(table: &Table, username: &str) -> Result<Option<Id>, TableError> {
    let guard: Option<UsernameGuard> = table.get(&username_key(&normalized(username))).await?;
    Ok(guard.map(|guard| guard.account_id))
}

/// The password hash of the account with this id.
pub async fn password_hash(table: &Table, id: Id) -> Result<Option<String>, TableError> {
    let credentials: Option<Credentials> = table.get(&credentials_key(id)).await?;
    Ok(credentials.map(|credentials| credentials.password_hash))
}

/// A session, live or not.
pub async fn session(table: &Table, account_id: Id, session_id: &str) -> Result<Option<Session>, TableError> {
    table.get(&session_key(account_id, session_id)).await
}

/// An account's second factor, confirmed or not.
pub async fn second_factor(table: &Table, account_id: Id) -> Result<Option<SecondFactor>, TableError> {
    table.get(&second_factor_key(account_id)).await
}

/// What a sign-in waits for, expired or not.
pub async fn challenge(table: &Table, account_id: Id, challenge_id: &str) -> Result<Option<Challenge>, TableError> {
    table.get(&challenge_key(account_id, challenge_id)).await
}
