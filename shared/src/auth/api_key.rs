use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    table::{Item, Key, Table, TableError},
    time::Timestamp,
};

const PREFIX: &str = "qsk";
const ID_BYTES: usize = 9;
const SECRET_BYTES: usize = 32;

/// What is kept of an API key: everything but the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyRecord {
    pub key_id: String,
    /// Whom it was given to.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// SHA-256 of the key's secret part, in hexadecimal.
    secret_sha256: String,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

/// A new API key: its record to store, its text to hand out once.
pub struct NewApiKey {
    pub record: ApiKeyRecord,
    /// `qsk_<id>_<secret>`.
    pub text: String,
}

impl Item for ApiKeyRecord {
    const TYPE: &'static str = "api_key";

    fn key(&self) -> Key {
        ApiKeyRecord::key_of(&self.key_id)
    }
}

impl ApiKeyRecord {
    fn key_of(key_id: &str) -> Key {
        Key::new(format!("API_KEY#{key_id}"), "API_KEY")
    }

    /// A key with 256 random bits.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn generate(name: &str, scopes: &[&str]) -> Result<NewApiKey, getrandom::Error> {
        let key_id = random_text::<ID_BYTES>()?;
        let secret = random_text::<SECRET_BYTES>()?;
        let record = Self {
            key_id: key_id.clone(),
            name: name.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            secret_sha256: hash(&secret),
            created_at: Timestamp::now(),
            revoked_at: None,
        };
        Ok(NewApiKey { record, text: format!("{PREFIX}_{key_id}_{secret}") })
    }

    /// The record of a key that is good now: one GetItem.
    pub(super) async fn find(table: &Table, text: &str) -> Result<Option<Self>, TableError> {
        let Some((key_id, secret)) = split(text) else { return Ok(None) };
        let record: Option<Self> = table.get(&Self::key_of(key_id)).await?;
        Ok(record.filter(|record| record.revoked_at.is_none() && record.matches(secret)))
    }

    fn matches(&self, secret: &str) -> bool {
        bool::from(hash(secret).as_bytes().ct_eq(self.secret_sha256.as_bytes()))
    }
}

fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix(PREFIX)?.strip_prefix('_')?;
    // Hexadecimal holds no underscore, so the first one ends the id.
    let (key_id, secret) = rest.split_once('_')?;
    (key_id.len() == ID_BYTES * 2 && secret.len() == SECRET_BYTES * 4 / 3 + 1).then_some((key_id, secret))
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

fn random_text<const N: usize>() -> Result<String, getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(if N == ID_BYTES { hex::encode(bytes) } else { BASE64_URL_SAFE_NO_PAD.encode(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_is_found_by_its_id_and_matches_only_its_own_secret() {
        let NewApiKey { record, text } = ApiKeyRecord::generate("test", &["registry"]).unwrap();
        let (key_id, secret) = split(&text).unwrap();
        assert_eq!(key_id, record.key_id);
        assert!(record.matches(secret));
        assert!(!record.matches(&secret.replace(secret.chars().next().unwrap(), "~")));
        assert!(!serde_json::to_string(&record).unwrap().contains(secret));
    }
}
