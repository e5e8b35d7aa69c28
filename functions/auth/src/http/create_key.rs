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
    auth::{ApiKeyRecord, ApiKeySecret, Caller, Scope},
    http::{Endpoint, Problem, Valid, routes},
    id::Id,
    idempotency::{Idempotency, Once},
    table::{Table, Transaction},
    time::Timestamp,
};

use crate::api_key::ApiKey;

pub const PATHS: &[&str] = &["/api/auth/keys", "/auth/keys"];

#[derive(Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct NewKey {
    /// Whom it is for.
    #[garde(length(chars, min = 1, max = 100))]
    name: String,
    #[garde(length(min = 1, max = 10))]
    scopes: Vec<Scope>,
    #[serde(default = "default_rate")]
    #[garde(range(min = 1, max = 10_000))]
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

#[derive(Serialize)]
struct CreatedKey {
    #[serde(flatten)]
    record: ApiKey,
    /// The key itself, this once.
    key: String,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env_variable("PLATFORM_TABLE_NAME")?))
}

pub fn router(platform: Table) -> Router {
    routes(PATHS, post(create_key)).with_state(platform)
}

/// `POST /api/auth/keys`: make an API key, as an admin. Its text is answered now and never again, not
/// even to a repetition with the same `Idempotency-Key`, which answers without it.
async fn create_key(
    State(platform): State<Table>,
    caller: Caller,
    idempotency: Idempotency,
    Valid(new): Valid<NewKey>,
) -> Result<Response, Problem> {
    caller.must_be_admin()?;
    let secret = ApiKeySecret::generate().map_err(Problem::internal)?;
    let make = |id: Id| {
        let record = ApiKeyRecord::new(id, &secret, &new.name, &new.scopes, new.requests_per_second, new.expires_at);
        Ok((Transaction::new().insert_new(&record), ApiKey::from(record)))
    };
    match idempotency.create(&platform, &new, make).await? {
        Once::First(record) => {
            let key = secret.key_text(record.id);
            Ok((StatusCode::CREATED, Json(CreatedKey { record, key })).into_response())
        }
        again @ Once::Again(_) => Ok(again.into_response()),
    }
}
