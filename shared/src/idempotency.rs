//! `Idempotency-Key`: a create that is repeated with the same key answers as it did the first time.
//!
//! The answer is stored in the transaction of the create itself, so there is no moment at which one
//! exists without the other. See draft-ietf-httpapi-idempotency-key-header.

use std::time::Duration;

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use utoipa::{
    IntoParams,
    openapi::{
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, Type},
    },
};

use crate::{
    auth::Caller,
    http::{Created, Problem, Resource},
    id::Id,
    table::{Item, Key, NEW_ID, Table, TableError, Transaction},
    time::Timestamp,
};

/// How long an answer is kept.
const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// New ids tried when one turns out to be taken: one in 4096 of two made in the same millisecond.
const ID_ATTEMPTS: u32 = 4;
const MAX_KEY_LENGTH: usize = 255;

/// The request's `Idempotency-Key`, if it has one, bound to its caller and route.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// SHA-256 of caller, method, path and key, in hexadecimal. `None` without a key.
    scope: Option<String>,
}

/// What a create came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Once<T> {
    /// It was done now.
    First(T),
    /// It had been done, with the same key; this was the answer.
    Again(T),
}

impl<T: Resource> IntoResponse for Once<T> {
    fn into_response(self) -> Response {
        match self {
            Self::First(resource) => Created(resource).into_response(),
            Self::Again(resource) => replayed(Created(resource).into_response()),
        }
    }
}

/// The answer to a request that came before, marked as such.
pub fn replayed(mut response: Response) -> Response {
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    response
}

/// Why a key cannot be honoured.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    #[error("an Idempotency-Key has 1 to {MAX_KEY_LENGTH} visible ASCII characters")]
    InvalidKey,
    #[error("this Idempotency-Key was used for another request")]
    OtherRequest,
    #[error("a request with this Idempotency-Key is in progress")]
    InProgress,
    #[error(transparent)]
    Table(TableError),
    #[error("the stored answer: {0}")]
    Malformed(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct IdempotencyItem {
    scope: String,
    /// SHA-256 of the request, in hexadecimal.
    fingerprint: String,
    /// The answer as JSON text.
    answer: String,
    answered_at: Timestamp,
}

impl Item for IdempotencyItem {
    const TYPE: &'static str = "idempotency";

    fn key(&self) -> Key {
        record_key(&self.scope)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.answered_at.plus(RETENTION))
    }
}

fn record_key(scope: &str) -> Key {
    Key::new(format!("IDEMPOTENCY#{scope}"), "IDEMPOTENCY")
}

impl IdempotencyItem {
    fn answer_to<T: DeserializeOwned>(&self, request: &impl Serialize) -> Result<T, IdempotencyError> {
        if self.fingerprint != fingerprint(request)? {
            return Err(IdempotencyError::OtherRequest);
        }
        serde_json::from_str(&self.answer).map_err(|error| IdempotencyError::Malformed(error.to_string()))
    }
}

impl Idempotency {
    /// A request without a key.
    pub const NONE: Self = Self { scope: None };

    fn new(caller: &str, route: &str, key: &str) -> Result<Self, IdempotencyError> {
        if !(1..=MAX_KEY_LENGTH).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(IdempotencyError::InvalidKey);
        }
        Ok(Self { scope: Some(digest(&[caller, route, key])) })
    }

    /// Creates something: one TransactWriteItems, which holds the transaction that `make` returns
    /// for a new id and the answer to give when the same request comes again.
    ///
    /// `make` is called with another id when the first turns out to be taken, which it says by
    /// [`Transaction::insert_new`].
    ///
    /// # Errors
    /// What `make` and the transaction fail with, and an [`IdempotencyError`] as a problem.
    pub async fn create<T, F>(&self, table: &Table, request: &impl Serialize, make: F) -> Result<Once<T>, Problem>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Id) -> Result<(Transaction, T), Problem>,
    {
        self.create_or(table, request, make, Problem::from).await
    }

    /// [`Idempotency::create`], with a say in what a failed transaction means.
    pub async fn create_or<T, F>(
        &self,
        table: &Table,
        request: &impl Serialize,
        make: F,
        explain: fn(TableError) -> Problem,
    ) -> Result<Once<T>, Problem>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Id) -> Result<(Transaction, T), Problem>,
    {
        let mut last = TableError::Contended;
        for _ in 0..ID_ATTEMPTS {
            let (transaction, answer) = make(Id::generate())?;
            let transaction = self.record(transaction, request, &answer)?;
            match table.commit(transaction).await {
                Ok(()) => return Ok(Once::First(answer)),
                Err(error) if error.failed(IdempotencyItem::TYPE) => {
                    return Ok(Once::Again(stored(&error, request)?));
                }
                Err(error) if error.failed(NEW_ID) => last = error,
                Err(TableError::Contended) if self.scope.is_some() => return Err(IdempotencyError::InProgress.into()),
                Err(error) => return Err(explain(error)),
            }
        }
        Err(explain(last))
    }

    /// The answer that this request got before with the same key, if it did: one GetItem, and none
    /// without a key.
    pub async fn earlier<T: DeserializeOwned>(
        &self,
        table: &Table,
        request: &impl Serialize,
    ) -> Result<Option<T>, IdempotencyError> {
        let Some(scope) = &self.scope else { return Ok(None) };
        let item: Option<IdempotencyItem> = table.get(&record_key(scope)).await.map_err(IdempotencyError::Table)?;
        item.map(|item| item.answer_to(request)).transpose()
    }

    fn record<T: Serialize>(
        &self,
        transaction: Transaction,
        request: &impl Serialize,
        answer: &T,
    ) -> Result<Transaction, IdempotencyError> {
        let Some(scope) = self.scope.clone() else { return Ok(transaction) };
        let answer = serde_json::to_string(answer).map_err(|error| IdempotencyError::Malformed(error.to_string()))?;
        let answered_at = Timestamp::now();
        let item = IdempotencyItem { scope, fingerprint: fingerprint(request)?, answer, answered_at };
        Ok(transaction.insert_over_expired(&item, answered_at.unix_seconds()))
    }
}

fn stored<T: DeserializeOwned>(error: &TableError, request: &impl Serialize) -> Result<T, IdempotencyError> {
    let existing = error.check(IdempotencyItem::TYPE).and_then(|check| check.existing.clone());
    let existing = existing.ok_or_else(|| IdempotencyError::Malformed("not returned by the table".into()))?;
    let item: IdempotencyItem =
        serde_dynamo::from_item(existing).map_err(|error| IdempotencyError::Malformed(error.to_string()))?;
    item.answer_to(request)
}

fn fingerprint(request: &impl Serialize) -> Result<String, IdempotencyError> {
    let text = serde_json::to_string(request).map_err(|error| IdempotencyError::Malformed(error.to_string()))?;
    Ok(digest(&[&text]))
}

/// SHA-256 over the parts, each preceded by its length so that no two lists of parts look the same.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

impl IntoParams for Idempotency {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let key = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(MAX_KEY_LENGTH))
            .pattern(Some("^[!-~]+$"));
        let header = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .description(Some("A repetition with the same key and body gets the first one's answer, for a day."))
            .schema(Some(key));
        vec![header.build()]
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Idempotency {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Some(key) = parts.headers.get("idempotency-key").cloned() else { return Ok(Self::NONE) };
        let key = key.to_str().map_err(|_| IdempotencyError::InvalidKey)?.to_owned();
        let caller = Caller::from_request_parts(parts, state).await.map_or_else(|_| "anybody".into(), |c| c.subject());
        let route = format!("{} {}", parts.method, parts.uri.path());
        Ok(Self::new(&caller, &route, &key)?)
    }
}
