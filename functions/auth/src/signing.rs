//! Issuing access tokens. The private key is in auth's secret and nowhere else.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_secretsmanager::{Client, error::DisplayErrorContext};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};
use shared::{
    auth::{AUDIENCE, Claims, ISSUER},
    aws::{self, ConfigError},
    http::Problem,
    time::Timestamp,
};
use tokio::sync::Mutex;

use crate::account::Profile;

/// How long an access token is good, in seconds.
pub const LIFETIME_SECONDS: i64 = 15 * 60;

/// A signing key as its secret holds it.
#[derive(Clone, Serialize, Deserialize)]
pub struct SigningKey {
    /// The key's id, by which it is found among the public keys.
    pub kid: String,
    /// PKCS #8, PEM.
    pub private_key_pem: String,
    /// The public key in unpadded base64url, as in a JWK.
    pub x: String,
}

/// Why no token could be issued.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("the signing key cannot be read: {0}")]
    Unavailable(String),
    #[error("the signing key is malformed: {0}")]
    Malformed(String),
}

impl From<SigningError> for Problem {
    fn from(error: SigningError) -> Self {
        tracing::error!(%error, "no token can be issued");
        Self::unavailable("no token can be issued at the moment")
    }
}

/// How long a key is used before it is read again: so long after a rotation the old one signs on.
const KEY_USED_FOR: Duration = Duration::from_secs(60);

/// Signs access tokens. Reads its key on first use, not at the cold start, and now and then again, so
/// that it notices a rotation.
#[derive(Clone)]
pub struct Signer {
    source: Source,
    key: Arc<Mutex<Option<ReadKey>>>,
}

#[derive(Clone)]
struct ReadKey {
    kid: String,
    key: EncodingKey,
    read_at: Instant,
}

#[derive(Clone)]
enum Source {
    Secret { client: Client, secret_id: String },
    Given(SigningKey),
}

impl Signer {
    /// A signer whose key is in the secret named by `SIGNING_KEY_SECRET`.
    pub fn from_env() -> Result<Self, ConfigError> {
        let client = Client::new(&aws::sdk_config()?);
        let secret_id = aws::required("SIGNING_KEY_SECRET")?;
        Ok(Self { source: Source::Secret { client, secret_id }, key: Arc::default() })
    }

    /// A signer with this key.
    pub fn with_key(key: SigningKey) -> Self {
        Self { source: Source::Given(key), key: Arc::default() }
    }

    /// An access token for a session, good for [`LIFETIME_SECONDS`].
    pub async fn sign(&self, profile: &Profile, session_id: &str) -> Result<String, SigningError> {
        let ReadKey { kid, key, .. } = self.key().await?;
        let now = Timestamp::now();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: profile.id.to_string(),
            username: profile.username.clone(),
            role: profile.role,
            sid: session_id.to_owned(),
            jti: shared::id::Id::generate().to_string(),
            iat: now.unix_seconds(),
            exp: now.unix_seconds() + LIFETIME_SECONDS,
        };
        let header = Header { kid: Some(kid), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &claims, &key).map_err(|error| SigningError::Malformed(error.to_string()))
    }

    /// The key that was read last, or read anew; an old one rather than none while the secret is away.
    async fn key(&self) -> Result<ReadKey, SigningError> {
        let mut cached = self.key.lock().await;
        if let Some(key) = cached.as_ref().filter(|key| key.read_at.elapsed() < KEY_USED_FOR) {
            return Ok(key.clone());
        }
        match (self.read().await, cached.clone()) {
            (Ok(key), _) => Ok(cached.insert(key).clone()),
            (Err(error), Some(key)) => {
                tracing::warn!(%error, "the key that was read before signs on");
                Ok(key)
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn read(&self) -> Result<ReadKey, SigningError> {
        let key = match &self.source {
            Source::Given(key) => key.clone(),
            Source::Secret { client, secret_id } => fetch(client, secret_id).await?,
        };
        let encoding = EncodingKey::from_ed_pem(key.private_key_pem.as_bytes());
        let encoding = encoding.map_err(|error| SigningError::Malformed(error.to_string()))?;
        Ok(ReadKey { kid: key.kid, key: encoding, read_at: Instant::now() })
    }
}

async fn fetch(client: &Client, secret_id: &str) -> Result<SigningKey, SigningError> {
    let answer = client.get_secret_value().secret_id(secret_id).send().await;
    let answer = answer.map_err(|error| SigningError::Unavailable(DisplayErrorContext(error).to_string()))?;
    let text = answer.secret_string.ok_or_else(|| SigningError::Malformed("no text".into()))?;
    // The parser's message could quote the key.
    serde_json::from_str(&text).map_err(|_| SigningError::Malformed("not a signing key".into()))
}
