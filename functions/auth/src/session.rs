//! A session: what a refresh token keeps alive, and what signing out ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::{id::Id, time::Timestamp};

use crate::{
    account::Account,
    ticket::{self, SecretHash, Ticket},
};

/// How long a session lives after its last refresh.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// A family of refresh tokens, of which only the last is good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub session_id: String,
    pub account_id: Id,
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
        let (secret_sha256, token) = ticket::issue(account.profile.id, &session_id)?;
        let now = Timestamp::now();
        let session = Self {
            session_id,
            account_id: account.profile.id,
            secret_sha256,
            revoked: false,
            account_since: account.sessions_since,
            started_at: now,
            expires_at: now.plus(LIFETIME),
            version: 1,
        };
        Ok((session, token))
    }

    /// The session with a new refresh token in place of the one before.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn rotate(&self) -> Result<(Self, String), getrandom::Error> {
        let (secret_sha256, token) = ticket::issue(self.account_id, &self.session_id)?;
        let session = Self {
            secret_sha256,
            expires_at: Timestamp::now().plus(LIFETIME),
            version: self.version + 1,
            ..self.clone()
        };
        Ok((session, token))
    }

    /// Whether this is the present refresh token of the session. Any other of its tokens was used
    /// before, by its owner or by a thief.
    pub fn matches(&self, token: &Ticket<'_>) -> bool {
        self.secret_sha256.matches(token)
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
