//! Keeping small secrets unreadable in the table: AES-256-GCM under a key that is in a secret of auth's.
//!
//! A sealed text is bound to its account, so that it opens nothing when it is copied to another.

use std::sync::Arc;

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use aws_sdk_secretsmanager::{Client, error::DisplayErrorContext};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use shared::{
    aws::{self, ConfigError},
    http::Problem,
    id::Id,
};
use tokio::sync::OnceCell;

const NONCE_BYTES: usize = 12;

/// Why nothing could be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    #[error("the sealing key cannot be read: {0}")]
    Unavailable(String),
    #[error("no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
    /// Sealed with another key, for another account, or damaged.
    #[error("what was sealed cannot be opened")]
    Broken,
}

impl From<SealingError> for Problem {
    fn from(error: SealingError) -> Self {
        tracing::error!(%error, "a second factor cannot be checked");
        Self::unavailable("the second factor cannot be checked at the moment")
    }
}

/// Seals and opens. Reads its key on first use, not at the cold start.
#[derive(Clone)]
pub struct Sealer {
    source: Source,
    cipher: Arc<OnceCell<Aes256Gcm>>,
}

#[derive(Clone)]
enum Source {
    Secret { client: Client, secret_id: String },
    Given(String),
}

impl Sealer {
    /// A sealer whose key is made from the text of the secret named by `SEALING_KEY_SECRET`.
    pub fn from_env() -> Result<Self, ConfigError> {
        let client = Client::new(&aws::sdk_config()?);
        let secret_id = aws::required("SEALING_KEY_SECRET")?;
        Ok(Self { source: Source::Secret { client, secret_id }, cipher: Arc::default() })
    }

    /// A sealer whose key is made from this text, of at least 256 random bits.
    pub fn with_text(text: &str) -> Self {
        Self { source: Source::Given(text.to_owned()), cipher: Arc::default() }
    }

    /// The secret, unreadable, in base64.
    pub async fn seal(&self, account_id: Id, secret: &[u8]) -> Result<String, SealingError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)?;
        let account = account_id.to_string();
        let payload = Payload { msg: secret, aad: account.as_bytes() };
        let sealed = self.cipher().await?.encrypt(&Nonce::from(nonce), payload).map_err(|_| SealingError::Broken)?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// The secret that was sealed for this account.
    pub async fn open(&self, account_id: Id, sealed: &str) -> Result<Vec<u8>, SealingError> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(sealed).map_err(|_| SealingError::Broken)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(SealingError::Broken)?;
        let account = account_id.to_string();
        let payload = Payload { msg: sealed, aad: account.as_bytes() };
        self.cipher().await?.decrypt(&Nonce::from(*nonce), payload).map_err(|_| SealingError::Broken)
    }

    async fn cipher(&self) -> Result<&Aes256Gcm, SealingError> {
        let read = async || {
            let text = match &self.source {
                Source::Given(text) => text.clone(),
                Source::Secret { client, secret_id } => fetch(client, secret_id).await?,
            };
            let key: [u8; 32] = Sha256::digest(text).into();
            Ok(Aes256Gcm::new(&key.into()))
        };
        self.cipher.get_or_try_init(read).await
    }
}

async fn fetch(client: &Client, secret_id: &str) -> Result<String, SealingError> {
    let answer = client.get_secret_value().secret_id(secret_id).send().await;
    let answer = answer.map_err(|error| SealingError::Unavailable(DisplayErrorContext(error).to_string()))?;
    answer.secret_string.filter(|text| text.len() >= 32).ok_or_else(|| SealingError::Unavailable("no key".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a text with two hundred and fifty-six random bits, say";

    #[tokio::test]
    async fn what_is_sealed_opens_with_the_same_key_for_the_same_account_only() {
        let [alice, bob] = [1, 2].map(|id| Id::new(id).unwrap());
        let sealer = Sealer::with_text(TEXT);
        let sealed = sealer.seal(alice, b"secret").await.unwrap();
        assert_eq!(sealer.open(alice, &sealed).await.unwrap(), b"secret");
        assert_ne!(sealer.seal(alice, b"secret").await.unwrap(), sealed, "a nonce is used once");
        assert!(sealer.open(bob, &sealed).await.is_err());
        assert!(Sealer::with_text("another").open(alice, &sealed).await.is_err());
        for damaged in ["", "AAAA", &sealed[1..], &sealed[..sealed.len() - 2]] {
            assert!(sealer.open(alice, damaged).await.is_err());
        }
    }
}
