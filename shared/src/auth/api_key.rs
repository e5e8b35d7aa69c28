use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::{
    context::Context,
    event::Role,
    http::network,
    id::Id,
    table::{
        FailedCheck, IndexKey, Indexes, Item, Key, Listing, Page, PageError, PageRequest, Shard, Table, TableError,
        Update,
    },
    time::Timestamp,
};

const PREFIX: &str = "qsk";
const SECRET_BYTES: usize = 32;
const API_KEYS: &str = "API_KEYS";
/// A key's requests are counted over so many seconds.
const RATE_WINDOW_SECONDS: i64 = 10;
/// A key's use from one address is noted down at most so often, as is that it was refused.
const NOTED_EVERY: Duration = Duration::from_secs(3600);
/// From how many addresses uses are noted down within that time.
const NOTED_ADDRESSES: usize = 16;
const RATE: &str = "rate";
const LAST_USE: &str = "last_use";
const LAST_REFUSAL: &str = "last_refusal";

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
    /// The last use that was noted down: the first from its address in an hour.
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
    /// The source address and the correlation id of that use.
    #[serde(default)]
    pub last_used_from: Option<String>,
    #[serde(default)]
    pub last_used_in: Option<String>,
    /// The networks that uses of the last hour were noted down from, and when.
    #[serde(default)]
    recent_uses: BTreeMap<String, Timestamp>,
    /// When it was refused, to the hour: it was revoked, or expired, or its secret was wrong.
    #[serde(default)]
    pub last_refused_at: Option<Timestamp>,
    /// The source address and the correlation id of that refusal.
    #[serde(default)]
    pub last_refused_from: Option<String>,
    #[serde(default)]
    pub last_refused_in: Option<String>,
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
            last_used_from: None,
            last_used_in: None,
            recent_uses: BTreeMap::new(),
            last_refused_at: None,
            last_refused_from: None,
            last_refused_in: None,
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

    /// Notes down that the key is used from this address, unless that was done within the hour.
    pub(super) async fn note_use(&self, table: &Table, address: &str) -> Result<(), TableError> {
        let mut known = self.clone();
        // Each round that fails has seen another address noted down, of which there are so many in an hour.
        while let Some(update) = known.use_to_note(address) {
            match table.apply(update).await {
                Err(error) if error.failed(LAST_USE) => {
                    let stored = error.check(LAST_USE).map(FailedCheck::existing).transpose()?.flatten();
                    let Some(stored) = stored else { return Err(error) };
                    known = stored;
                }
                result => return result,
            }
        }
        Ok(())
    }

    /// Notes down that the key was refused, unless that was done within the hour.
    pub(super) async fn note_refusal(&self, table: &Table, address: &str) -> Result<(), TableError> {
        let now = Timestamp::now();
        let update = Update::existing(LAST_REFUSAL, self.key());
        let update = match self.last_refused_at {
            Some(last) if now.since(last) < NOTED_EVERY => return Ok(()),
            Some(last) => update.require("last_refused_at", "=", text(&last.to_string())),
            None => update.require_absent("last_refused_at"),
        };
        let update = update
            .set("last_refused_at", text(&now.to_string()))
            .set("last_refused_from", text(address))
            .set("last_refused_in", text(&Context::current().correlation_id));
        match table.apply(update).await {
            // Another refusal was noted down at the same time.
            Err(error) if error.failed(LAST_REFUSAL) => Ok(()),
            result => result,
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

    fn use_to_note(&self, address: &str) -> Option<Update> {
        let network = network(address);
        // Later than any that was noted down, so that no two uses are taken for one.
        let earliest = self.last_used_at.map(|last| last.plus(Duration::from_millis(1)));
        let now = earliest.map_or(Timestamp::now(), |earliest| earliest.max(Timestamp::now()));
        let recent = self.recent_uses.iter().filter(|(_, at)| now.since(**at) < NOTED_EVERY);
        let mut recent: HashMap<String, AttributeValue> =
            recent.map(|(network, at)| (network.clone(), text(&at.to_string()))).collect();
        if recent.len() >= NOTED_ADDRESSES || recent.contains_key(&network) {
            return None;
        }
        recent.insert(network, text(&now.to_string()));
        let update = Update::existing(LAST_USE, self.key());
        let update = match self.last_used_at {
            Some(last) => update.require("last_used_at", "=", text(&last.to_string())),
            None => update.require_absent("last_used_at"),
        };
        let update = update.set("last_used_at", text(&now.to_string())).set("last_used_from", text(address));
        let update = update.set("last_used_in", text(&Context::current().correlation_id));
        Some(update.set("recent_uses", AttributeValue::M(recent)))
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

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
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
