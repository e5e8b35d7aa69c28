//! A session: what a refresh token keeps alive, and what signing out ends.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::{id::Id, time::Timestamp};
use subtle::ConstantTimeEq;

use crate::account::Account;

/// How long a session lives after its last refresh.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
const SECRET_BYTES: usize = 32;
const ID_BYTES: usize = 16;

/// A family of refresh tokens, of which only the last is good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub session_id: String,
    pub account_id: Id,
    /// SHA-256 of the present refresh token's secret, in hexadecimal.
    secret_sha256: String,
    pub revoked: bool,
    /// The account's `sessions_since` when the password was checked: once that changes, the session
    /// is over, even one that was being started meanwhile.
    account_since: Timestamp,
    pub started_at: Timestamp,
    pub expires_at: Timestamp,
    pub version: u64,
}

/// A refresh token as it was sent: `<account>.<session>.<secret>`.
pub struct RefreshToken<'a> {
    pub account_id: Id,
    pub session_id: &'a str,
    secret: &'a str,
}

impl<'a> RefreshToken<'a> {
    pub fn parse(text: &'a str) -> Option<Self> {
        let (account, rest) = text.split_once('.')?;
        let (session_id, secret) = rest.split_once('.')?;
        let well_formed = session_id.len() == ID_BYTES * 2 && session_id.bytes().all(|b| b.is_ascii_hexdigit());
        well_formed.then_some(Self { account_id: account.parse().ok()?, session_id, secret })
    }
}

impl Session {
    /// A new session and its first refresh token.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn start(account: &Account) -> Result<(Self, String), getrandom::Error> {
        let mut id = [0; ID_BYTES];
        getrandom::fill(&mut id)?;
        let session_id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let secret = secret()?;
        let now = Timestamp::now();
        let session = Self {
            session_id,
            account_id: account.profile.id,
            secret_sha256: hash(&secret),
            revoked: false,
            account_since: account.sessions_since,
            started_at: now,
            expires_at: now.plus(LIFETIME),
            version: 1,
        };
        let token = session.token(&secret);
        Ok((session, token))
    }

    /// The session with a new refresh token in place of the one before.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn rotate(&self) -> Result<(Self, String), getrandom::Error> {
        let secret = secret()?;
        let session = Self {
            secret_sha256: hash(&secret),
            expires_at: Timestamp::now().plus(LIFETIME),
            version: self.version + 1,
            ..self.clone()
        };
        let token = session.token(&secret);
        Ok((session, token))
    }

    /// Whether this is the present refresh token of the session. Any other of its tokens was used
    /// before, by its owner or by a thief.
    pub fn matches(&self, token: &RefreshToken<'_>) -> bool {
        bool::from(hash(token.secret).as_bytes().ct_eq(self.secret_sha256.as_bytes()))
    }

    /// Whether the session, and its account, are good now.
    pub fn is_live(&self, account: &Account) -> bool {
        let kept = account.kept_session.as_deref() == Some(&self.session_id);
        !self.revoked
            && !account.disabled
            && Timestamp::now() < self.expires_at
            && (kept || self.account_since == account.sessions_since)
    }

    fn token(&self, secret: &str) -> String {
        format!("{}.{}.{secret}", self.account_id, self.session_id)
    }
}

fn secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

fn hash(secret: &str) -> String {
    Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect()
}
