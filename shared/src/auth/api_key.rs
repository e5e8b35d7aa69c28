use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::{
    event::Role,
    id::Id,
    table::{IndexKey, Indexes, Item, Key, Listing, Page, PageError, PageRequest, Shard, Table, TableError, Update},
    time::Timestamp,
};

const PREFIX: &str = "qsk";
const SECRET_BYTES: usize = 32;
const API_KEYS: &str = "API_KEYS";
/// A key's requests are counted over so many seconds.
const RATE_WINDOW_SECONDS: i64 = 10;
const RATE: &str = "rate";
/// Requests a second that a key may be given at most: each updates one item, which DynamoDB lets change some
/// thousand times a second.
pub const MAX_REQUESTS_PER_SECOND: u32 = 500;

/// What an API key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Scope {
    #[serde(rename = "registry:read")]
    RegistryRead,
    #[serde(rename = "sensors:write")]
    SensorsWrite,
    #[serde(rename = "notifications:send")]
    NotificationsSend,
    #[serde(rename = "analytics:read")]
    AnalyticsRead,
}

impl Scope {
    pub const ALL: [Self; 4] = [Self::RegistryRead, Self::SensorsWrite, Self::NotificationsSend, Self::AnalyticsRead];
}

/// What is kept of an API key: everything but the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyRecord {
    pub id: Id,
    /// Whom it was given to.
    pub name: String,
    /// The client or service that holds it, where the name does not say.
    #[serde(default)]
    pub client: Option<String>,
    pub scopes: Vec<Scope>,
    /// Requests that the key may make on average over ten seconds.
    pub requests_per_second: u32,
    /// SHA-256 of the key's secret part, in hexadecimal.
    secret_sha256: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// The last use of a key from when uses were noted down here; [`KeyUse`](super::KeyUse) knows of all later ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    pub version: u64,
}

/// What a key's text leads to.
pub(super) enum Found {
    Good(ApiKeyRecord),
    /// There is such a key, but it is not good now, or the secret is another.
    Refused(ApiKeyRecord),
    Unknown,
}

/// The secret part of a new API key: 256 random bits, to hand out once.
pub struct ApiKeySecret(String);

impl ApiKeySecret {
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The whole key, as its holder sends it: `qsk_<id>_<secret>`.
    pub fn key_text(&self, id: Id) -> String {
        format!("{PREFIX}_{id}_{}", self.0)
    }
}

impl Item for ApiKeyRecord {
    const TYPE: &'static str = "api_key";

    fn key(&self) -> Key {
        Self::key_of(self.id)
    }

    fn indexes(&self) -> Indexes {
        Indexes { gsi1: Some(IndexKey::new(Shard::of(API_KEYS, self.id), self.id.sortable())), gsi2: None }
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

impl ApiKeyRecord {
    fn key_of(id: Id) -> Key {
        Key::new(format!("API_KEY#{id}"), "API_KEY")
    }

    /// The record of a new key with this secret.
    pub fn new(
        id: Id,
        secret: &ApiKeySecret,
        name: &str,
        scopes: &[Scope],
        requests_per_second: u32,
        expires_at: Option<Timestamp>,
    ) -> Self {
        Self {
            id,
            name: name.to_owned(),
            client: None,
            scopes: scopes.to_vec(),
            requests_per_second,
            secret_sha256: hash(&secret.0),
            created_at: Timestamp::now(),
            expires_at,
            revoked_at: None,
            last_used_at: None,
            version: 1,
        }
    }

    /// The record, with who holds the key.
    #[must_use]
    pub fn held_by(self, client: Option<String>) -> Self {
        Self { client, ..self }
    }

    /// A device if the key is good for sending readings and nothing else; a service otherwise.
    pub fn role(&self) -> Role {
        if self.scopes.iter().all(|scope| *scope == Scope::SensorsWrite) { Role::Device } else { Role::Service }
    }

    /// The record of a key, and whether it is good now: one GetItem.
    pub(super) async fn find(table: &Table, text: &str) -> Result<Found, TableError> {
        let Some((id, secret)) = split(text) else { return Ok(Found::Unknown) };
        Ok(match Self::with_id(table, id).await? {
            Some(record) if record.is_good(Timestamp::now()) && record.matches(secret) => Found::Good(record),
            Some(record) => Found::Refused(record),
            None => Found::Unknown,
        })
    }

    /// The record of a key, good or not: one GetItem.
    pub async fn with_id(table: &Table, id: Id) -> Result<Option<Self>, TableError> {
        table.get(&Self::key_of(id)).await
    }

    /// All keys, newest first.
    pub async fn page(table: &Table, request: &PageRequest) -> Result<Page<Self>, PageError> {
        table.page(&Listing::sharded("gsi1", API_KEYS), request).await
    }

    /// Whether the key is neither revoked nor expired.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// The record of the key that is good no more.
    #[must_use]
    pub fn revoked(&self) -> Self {
        Self { revoked_at: Some(Timestamp::now()), version: self.version + 1, ..self.clone() }
    }

    /// Counts a request of this key; false when it made too many in the present ten seconds.
    pub(super) async fn count_request(&self, table: &Table) -> Result<bool, TableError> {
        match table.apply(self.request_count()).await {
            Ok(()) => Ok(true),
            Err(error) if error.failed(RATE) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How long the requests of now are counted together.
    pub(super) fn seconds_to_next_window() -> u32 {
        let passed = Timestamp::now().unix_seconds().rem_euclid(RATE_WINDOW_SECONDS);
        u32::try_from(RATE_WINDOW_SECONDS - passed).unwrap_or(1)
    }

    fn request_count(&self) -> Update {
        let window = Timestamp::now().unix_seconds() / RATE_WINDOW_SECONDS;
        let limit = u64::from(self.requests_per_second) * RATE_WINDOW_SECONDS.unsigned_abs();
        let ttl = AttributeValue::N(((window + 2) * RATE_WINDOW_SECONDS).to_string());
        Update::anyway(RATE, Key::new(format!("RATE#{}#{window}", self.id), "RATE"))
            .require_below("requests", limit)
            .add("requests", 1)
            .set("ttl", ttl)
    }

    fn matches(&self, secret: &str) -> bool {
        bool::from(hash(secret).as_bytes().ct_eq(self.secret_sha256.as_bytes()))
    }
}

fn split(text: &str) -> Option<(Id, &str)> {
    let rest = text.strip_prefix(PREFIX)?.strip_prefix('_')?;
    let (id, secret) = rest.split_once('_')?;
    let id = id.parse().ok()?;
    (secret.len() == (SECRET_BYTES * 4).div_ceil(3)).then_some((id, secret))
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(expires_at: Option<Timestamp>) -> (ApiKeyRecord, String) {
        let (id, secret) = (Id::new(42).unwrap(), ApiKeySecret::generate().unwrap());
        (ApiKeyRecord::new(id, &secret, "test", &[Scope::RegistryRead], 5, expires_at), secret.key_text(id))
    }

    #[test]
    fn a_key_is_found_by_its_id_and_matches_only_its_own_secret() {
        let (record, text) = key(None);
        let (found, secret) = split(&text).unwrap();
        assert_eq!(found, record.id);
        assert!(record.matches(secret));
        assert!(!record.matches(&secret.replace(secret.chars().next().unwrap(), "~")));
        assert!(!serde_json::to_string(&record).unwrap().contains(secret));
    }

    #[test]
    fn an_expired_or_revoked_key_is_not_good() {
        let now = Timestamp::now();
        assert!(!key(Some(now)).0.is_good(now));
        let (lasting, _) = key(None);
        assert!(lasting.is_good(now) && !lasting.revoked().is_good(now));
    }
}
