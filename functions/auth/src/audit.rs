//! The audit log: what happened to accounts, sessions and keys, who did it, and from where.
//!
//! An entry is stored in the transaction of what it tells of, and nothing changes or removes it but the
//! end of its retention. It holds no password, token, code or key, and no name that somebody typed who is
//! not known: people type passwords there.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::{
    auth::Caller,
    aws,
    context::Context,
    event::Role,
    id::Id,
    table::{IndexKey, Indexes, Item, Key, Listing, Page, PageError, PageRequest, Shard, Table},
    time::Timestamp,
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

const AUDIT: &str = "AUDIT";
const DEFAULT_RETENTION_DAYS: u64 = 400;
const SECONDS_PER_DAY: u64 = 24 * 3600;

/// What an entry tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum AuditEvent {
    #[serde(rename = "account.registered")]
    Registered,
    #[serde(rename = "account.updated")]
    Updated,
    #[serde(rename = "account.disabled")]
    Disabled,
    /// A password was right, and a second factor was asked for.
    #[serde(rename = "login.challenged")]
    Challenged,
    #[serde(rename = "login.succeeded")]
    SignedIn,
    #[serde(rename = "login.failed")]
    SignInFailed,
    /// So many attempts have failed that the next ones have to wait: once for each wait, whose counter is the
    /// subject.
    #[serde(rename = "login.throttled")]
    Throttled,
    #[serde(rename = "session.refreshed")]
    Refreshed,
    /// A refresh token was none, or of a session that has ended.
    #[serde(rename = "session.refused")]
    RefreshRefused,
    /// A refresh token was used again, and its session ended.
    #[serde(rename = "session.reused")]
    Reused,
    #[serde(rename = "session.ended")]
    SignedOut,
    #[serde(rename = "password.changed")]
    PasswordChanged,
    /// The present password was not known to whoever wanted to change something.
    #[serde(rename = "password.refused")]
    PasswordRefused,
    #[serde(rename = "mfa.enrolled")]
    MfaEnrolled,
    #[serde(rename = "mfa.confirmed")]
    MfaConfirmed,
    #[serde(rename = "mfa.disabled")]
    MfaDisabled,
    #[serde(rename = "mfa.refused")]
    MfaRefused,
    /// A token to go on with a second factor was none, or too old, or was used before.
    #[serde(rename = "mfa.token_refused")]
    MfaTokenRefused,
    #[serde(rename = "mfa.recovery_code_used")]
    RecoveryCodeUsed,
    #[serde(rename = "role.changed")]
    RoleChanged,
    #[serde(rename = "api_key.created")]
    ApiKeyCreated,
    /// The first use of a key in an hour from its address.
    #[serde(rename = "api_key.used")]
    ApiKeyUsed,
    /// The first time in an hour that a key was refused: it was revoked, or expired, or its secret was wrong.
    #[serde(rename = "api_key.refused")]
    ApiKeyRefused,
    #[serde(rename = "api_key.revoked")]
    ApiKeyRevoked,
}

/// Who does something, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    actor: String,
    address: String,
}

impl Origin {
    /// Somebody who is not signed in, at this source address.
    pub fn anybody(address: &str) -> Self {
        Self { actor: "anybody".to_owned(), address: address.to_owned() }
    }

    /// A caller at this source address.
    pub fn of(caller: &Caller, address: &str) -> Self {
        Self { actor: caller.subject(), address: address.to_owned() }
    }

    /// The holder of an API key at this source address.
    pub fn api_key(id: Id, address: &str) -> Self {
        Self { actor: format!("api_key:{id}"), address: address.to_owned() }
    }

    /// Whoever a service told of, or the service itself.
    pub fn told_by(service: &str, actor: Option<String>) -> Self {
        Self { actor: actor.unwrap_or(format!("service:{service}")), address: "internal".to_owned() }
    }

    /// Whoever runs the operator's commands.
    pub fn operator() -> Self {
        Self { actor: "operator".to_owned(), address: "internal".to_owned() }
    }

    pub fn address(&self) -> &str {
        &self.address
    }
}

/// A role as the audit log names it.
pub fn role_subject(role: Role) -> String {
    format!("role:{}", serde_json::json!(role).as_str().unwrap_or_default())
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    pub id: Uuid,
    pub event: AuditEvent,
    pub occurred_at: Timestamp,
    /// The account that it happened to; none for keys, and for a name that no account has.
    pub user_id: Option<Id>,
    /// `user:42`, `api_key:42`, `service:users`, `operator`, `anybody`.
    pub actor: String,
    /// The source address, as API Gateway saw it.
    pub address: String,
    pub correlation_id: String,
    /// What else it happened to: `session:…`, `api_key:42`, `role:admin`, `throttle:address`.
    pub subject: Option<String>,
}

impl AuditEntry {
    /// Something that happens now, in the context of the running request or event.
    pub fn new(event: AuditEvent, origin: &Origin) -> Self {
        Self {
            id: Uuid::now_v7(),
            event,
            occurred_at: Timestamp::now(),
            user_id: None,
            actor: origin.actor.clone(),
            address: origin.address.clone(),
            correlation_id: Context::current().correlation_id,
            subject: None,
        }
    }

    #[must_use]
    pub fn user(self, id: Id) -> Self {
        Self { user_id: Some(id), ..self }
    }

    #[must_use]
    pub fn subject(self, subject: String) -> Self {
        Self { subject: Some(subject), ..self }
    }

    fn sort_key(&self) -> String {
        format!("{}#{}", self.occurred_at, self.id)
    }
}

impl Item for AuditEntry {
    const TYPE: &'static str = "audit";

    /// A partition of its own, so that none grows hot or without bound.
    fn key(&self) -> Key {
        Key::new(format!("AUDIT#{}", self.id), "AUDIT")
    }

    fn indexes(&self) -> Indexes {
        Indexes {
            gsi1: Some(IndexKey::new(Shard::of_uuid(AUDIT, self.id), self.sort_key())),
            gsi2: self.user_id.map(|id| IndexKey::new(user_partition(id), self.sort_key())),
        }
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.occurred_at.plus(retention(aws::optional("AUDIT_RETENTION_DAYS").as_deref())))
    }
}

fn user_partition(id: Id) -> String {
    format!("AUDIT_USER#{id}")
}

/// How long entries are kept: so many days, 400 unless it says.
fn retention(days: Option<&str>) -> Duration {
    let days = days.and_then(|text| text.parse().ok()).filter(|days| *days > 0).unwrap_or(DEFAULT_RETENTION_DAYS);
    Duration::from_secs(days.saturating_mul(SECONDS_PER_DAY))
}

/// Which entries are asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    pub user_id: Option<Id>,
    /// Not before this moment.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
}

/// The entries of one user or of all, newest first.
pub async fn page(table: &Table, query: &AuditQuery, request: &PageRequest) -> Result<Page<AuditEntry>, PageError> {
    let listing = match query.user_id {
        Some(id) => Listing::partition("gsi2", user_partition(id)),
        None => Listing::sharded("gsi1", AUDIT),
    };
    let bound = |moment: Option<Timestamp>| moment.map(|moment| moment.to_string());
    table.page(&listing.between(bound(query.from), bound(query.to)), request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_a_number_of_days_and_never_nothing() {
        let days = |text| retention(text).as_secs() / SECONDS_PER_DAY;
        assert_eq!(days(Some("30")), 30);
        assert_eq!([None, Some("0"), Some("-1"), Some("soon")].map(days), [DEFAULT_RETENTION_DAYS; 4]);
    }

    #[test]
    fn an_entry_expires_when_its_retention_ends() {
        let entry = AuditEntry::new(AuditEvent::SignedIn, &Origin::anybody("203.0.113.7"));
        let kept = entry.expires_at().unwrap().since(entry.occurred_at);
        assert_eq!(kept.as_secs(), DEFAULT_RETENTION_DAYS * SECONDS_PER_DAY);
    }
}
