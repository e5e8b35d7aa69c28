use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use garde::Validate;
use serde::{Deserialize, Serialize};
use shared::{
    auth::{ApiKeyRecord, ApiKeySecret, Caller, MAX_REQUESTS_PER_SECOND, Scope},
    http::{Endpoint, Problem, SourceAddress, Valid, routes},
    id::Id,
    idempotency::{Idempotency, Once},
    time::Timestamp,
};
use utoipa::ToSchema;

use super::signed_in_admin;
use crate::{
    api_key::{ApiKey, Keys, insertion},
    audit::Origin,
};

pub const PATHS: &[&str] = &["/api/auth/keys", "/auth/keys"];

#[derive(Serialize, Deserialize, Validate, ToSchema)]
#[schema(as = NewApiKey)]
#[serde(deny_unknown_fields)]
struct NewKey {
    /// Whom it is for.
    #[garde(length(chars, min = 1, max = 100))]
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// The client or service that holds it, where the name does not say.
    #[garde(inner(length(chars, min = 1, max = 100)))]
    #[schema(min_length = 1, max_length = 100)]
    client: Option<String>,
    #[garde(length(min = 1, max = 10))]
    #[schema(min_items = 1, max_items = 10)]
    scopes: Vec<Scope>,
    #[serde(default = "default_rate")]
    #[garde(range(min = 1, max = MAX_REQUESTS_PER_SECOND))]
    #[schema(minimum = 1, maximum = 500)]
    requests_per_second: u32,
    #[garde(custom(in_the_future))]
    expires_at: Option<Timestamp>,
}

fn default_rate() -> u32 {
    20
}

fn in_the_future(moment: &Option<Timestamp>, _: &()) -> garde::Result {
    match moment {
        Some(moment) if *moment <= Timestamp::now() => Err(garde::Error::new("must be in the future")),
        _ => Ok(()),
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = CreatedApiKey)]
struct CreatedKey {
    #[serde(flatten)]
    record: ApiKey,
    /// The key itself, this once.
    #[schema(required = false)]
    key: String,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Keys::from_env()?))
}

pub fn router(keys: Keys) -> Router {
    routes(PATHS, post(create_key)).with_state(keys)
}

/// `POST /api/auth/keys`: make an API key, as an admin. Its text is answered now and never again, not
/// even to a repetition with the same `Idempotency-Key`, which answers without it.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    params(Idempotency),
    request_body = NewKey,
    responses((status = 201, body = CreatedKey)),
)]
async fn create_key(
    State(keys): State<Keys>,
    caller: Caller,
    idempotency: Idempotency,
    SourceAddress(address): SourceAddress,
    Valid(new): Valid<NewKey>,
) -> Result<Response, Problem> {
    signed_in_admin(&keys.auth, &caller).await?;
    let origin = Origin::of(&caller, &address);
    let secret = ApiKeySecret::generate().map_err(Problem::internal)?;
    let make = |id: Id| {
        let record = ApiKeyRecord::new(id, &secret, &new.name, &new.scopes, new.requests_per_second, new.expires_at);
        let record = record.held_by(new.client.clone());
        Ok((insertion(&record, &origin, &keys.auth), ApiKey::from(record)))
    };
    match idempotency.create(&keys.platform, &new, make).await? {
        Once::First(record) => {
            let key = secret.key_text(record.id);
            Ok((StatusCode::CREATED, Json(CreatedKey { record, key })).into_response())
        }
        again @ Once::Again(_) => Ok(again.into_response()),
    }
}
