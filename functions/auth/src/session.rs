//! A session: what a refresh token keeps alive, and what signing out ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::{id::Id, time::Timestamp};

use crate::{
    account::Account,
    ticket::{self, SecretHash, Successor, Ticket},
};

/// How long a session lives after its last refresh.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// A family of refresh tokens, of which only the last is good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub session_id: String,
    pub account_id: Id,
    /// Of what the session's refresh tokens have in common. None while its last was issued without.
    #[serde(default)]
    family_sha256: Option<SecretHash>,
    /// Of the present refresh token.
    secret_sha256: SecretHash,
    pub revoked: bool,
    /// The account's `sessions_since` when the password was checked: once that changes, the session
    /// is over, even one that was being started meanwhile.
    account_since: Timestamp,
    pub started_at: Timestamp,
    pub expires_at: Timestamp,
    pub version: u64,
}

impl Session {
    /// A new session and its first refresh token.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn start(account: &Account) -> Result<(Self, String), getrandom::Error> {
        let session_id = ticket::new_id()?;
        let Successor { family_sha256, secret_sha256, text } = ticket::succeed(account.profile.id, &session_id, None)?;
        let now = Timestamp::now();
        let session = Self {
            session_id,
            account_id: account.profile.id,
            family_sha256: Some(family_sha256),
            secret_sha256,
            revoked: false,
            account_since: account.sessions_since,
            started_at: now,
            expires_at: now.plus(LIFETIME),
            version: 1,
        };
        Ok((session, text))
    }

    /// The session with a new refresh token in place of this one.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn rotate(&self, token: &Ticket<'_>) -> Result<(Self, String), getrandom::Error> {
        let next = ticket::succeed(self.account_id, &self.session_id, Some(token))?;
        let session = Self {
            family_sha256: Some(next.family_sha256),
            secret_sha256: next.secret_sha256,
            expires_at: Timestamp::now().plus(LIFETIME),
            version: self.version + 1,
            ..self.clone()
        };
        Ok((session, next.text))
    }

    /// Whether this is the present refresh token of the session.
    pub fn matches(&self, token: &Ticket<'_>) -> bool {
        self.secret_sha256.matches(token)
    }

    /// Whether this was the session's refresh token some time ago, or was made up by somebody who held one.
    pub fn had(&self, token: &Ticket<'_>) -> bool {
        self.family_sha256.as_ref().is_some_and(|family| family.matches_family(token))
    }

    /// Whether the session, and its account, are good now.
    pub fn is_live(&self, account: &Account) -> bool {
        let kept = account.kept_session.as_deref() == Some(&self.session_id);
        !self.revoked
            && !account.disabled
            && Timestamp::now() < self.expires_at
            && (kept || self.account_since == account.sessions_since)
    }

    /// The session as the audit log names it. Its id alone opens nothing.
    pub fn subject(&self) -> String {
        format!("session:{}", self.session_id)
    }
}
