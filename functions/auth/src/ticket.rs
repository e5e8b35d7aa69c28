//! What somebody shows to go on with something that was begun: `<account>.<id>.<secret>`.
//!
//! The secret has 256 random bits and is stored as its SHA-256 only.

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
}

/// SHA-256 of a ticket's secret, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretHash(String);

impl SecretHash {
    /// Whether the ticket has this secret, compared in constant time.
    pub fn matches(&self, ticket: &Ticket<'_>) -> bool {
        bool::from(sha256(ticket.secret).as_bytes().ct_eq(self.0.as_bytes()))
    }
}

/// A new secret: its hash, and the text of the ticket that holds it.
///
/// # Errors
/// When the operating system has no randomness to give.
pub fn issue(account_id: Id, id: &str) -> Result<(SecretHash, String), getrandom::Error> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    let secret = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    Ok((SecretHash(sha256(&secret)), format!("{account_id}.{id}.{secret}")))
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
