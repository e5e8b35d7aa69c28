//! Issuing access tokens. The private key is in auth's secret and nowhere else.

use std::sync::Arc;

use aws_sdk_secretsmanager::{Client, error::DisplayErrorContext};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};
use shared::{
    auth::{AUDIENCE, Claims, ISSUER},
    aws::{self, ConfigError},
    http::Problem,
    time::Timestamp,
};
use tokio::sync::OnceCell;

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

/// Signs access tokens. Reads its key on first use, not at the cold start.
#[derive(Clone)]
pub struct Signer {
    source: Source,
    key: Arc<OnceCell<(String, EncodingKey)>>,
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
        let (kid, key) = self.key.get_or_try_init(|| self.read()).await?;
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
        let header = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &claims, key).map_err(|error| SigningError::Malformed(error.to_string()))
    }

    async fn read(&self) -> Result<(String, EncodingKey), SigningError> {
        let key = match &self.source {
            Source::Given(key) => key.clone(),
            Source::Secret { client, secret_id } => fetch(client, secret_id).await?,
        };
        let encoding = EncodingKey::from_ed_pem(key.private_key_pem.as_bytes());
        Ok((key.kid, encoding.map_err(|error| SigningError::Malformed(error.to_string()))?))
    }
}

async fn fetch(client: &Client, secret_id: &str) -> Result<SigningKey, SigningError> {
    let answer = client.get_secret_value().secret_id(secret_id).send().await;
    let answer = answer.map_err(|error| SigningError::Unavailable(DisplayErrorContext(error).to_string()))?;
    let text = answer.secret_string.ok_or_else(|| SigningError::Malformed("no text".into()))?;
    // The parser's message could quote the key.
    serde_json::from_str(&text).map_err(|_| SigningError::Malformed("not a signing key".into()))
}
