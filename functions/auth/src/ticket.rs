//! What somebody shows to go on with something that was begun: `<account>.<id>.<secret>`.
//!
//! The secret has 256 random bits and is stored as its SHA-256 only. The tickets of a family, which follow
//! one another, have `<family>.<secret>` in its place, of which the family's part stays the same.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::id::Id;
use subtle::ConstantTimeEq;

const SECRET_BYTES: usize = 32;
const ID_BYTES: usize = 16;

/// A ticket as it was sent.
pub struct Ticket<'a> {
    pub account_id: Id,
    /// What it belongs to: 32 hexadecimal digits.
    pub id: &'a str,
    secret: &'a str,
}

impl<'a> Ticket<'a> {
    pub fn parse(text: &'a str) -> Option<Self> {
        let (account, rest) = text.split_once('.')?;
        let (id, secret) = rest.split_once('.')?;
        let well_formed = id.len() == ID_BYTES * 2 && id.bytes().all(|b| b.is_ascii_hexdigit());
        well_formed.then_some(Self { account_id: account.parse().ok()?, id, secret })
    }

    /// What it has in common with the tickets before and after it, if it is of a family.
    pub fn family(&self) -> Option<&'a str> {
        self.secret.split_once('.').map(|(family, _)| family)
    }
}

/// SHA-256 of a ticket's secret, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretHash(String);

impl SecretHash {
    fn of(secret: &str) -> Self {
        Self(sha256(secret))
    }

    /// Whether the ticket has this secret, compared in constant time.
    pub fn matches(&self, ticket: &Ticket<'_>) -> bool {
        self.is_of(ticket.secret)
    }

    /// Whether the ticket is of the family with this secret, compared in constant time.
    pub fn matches_family(&self, ticket: &Ticket<'_>) -> bool {
        ticket.family().is_some_and(|family| self.is_of(family))
    }

    fn is_of(&self, secret: &str) -> bool {
        bool::from(sha256(secret).as_bytes().ct_eq(self.0.as_bytes()))
    }
}

/// A new secret: its hash, and the text of the ticket that holds it.
///
/// # Errors
/// When the operating system has no randomness to give.
pub fn issue(account_id: Id, id: &str) -> Result<(SecretHash, String), getrandom::Error> {
    let secret = new_secret()?;
    Ok((SecretHash::of(&secret), format!("{account_id}.{id}.{secret}")))
}

/// The next ticket of a family.
pub struct Successor {
    pub family_sha256: SecretHash,
    pub secret_sha256: SecretHash,
    pub text: String,
}

/// The ticket that comes after one of the same family; the first of a new family without one.
///
/// # Errors
/// When the operating system has no randomness to give.
pub fn succeed(account_id: Id, id: &str, before: Option<&Ticket<'_>>) -> Result<Successor, getrandom::Error> {
    let family = match before.and_then(Ticket::family) {
        Some(family) => family.to_owned(),
        None => new_secret()?,
    };
    let secret = format!("{family}.{}", new_secret()?);
    Ok(Successor {
        family_sha256: SecretHash::of(&family),
        secret_sha256: SecretHash::of(&secret),
        text: format!("{account_id}.{id}.{secret}"),
    })
}

fn new_secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// The id of what a new ticket belongs to.
///
/// # Errors
/// When the operating system has no randomness to give.
pub fn new_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; ID_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(hexadecimal(&bytes))
}

/// SHA-256 in hexadecimal.
pub fn sha256(text: &str) -> String {
    hexadecimal(&Sha256::digest(text))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
