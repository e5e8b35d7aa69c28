use axum::{Router, extract::State, http::StatusCode, routing::delete};
use shared::{
    auth::{ApiKeyRecord, Caller},
    http::{Endpoint, PathId, Problem, SourceAddress, routes},
};

use super::signed_in_admin;
use crate::{
    api_key::{Keys, revocation},
    audit::Origin,
};

pub const PATHS: &[&str] = &["/api/auth/keys/{id}", "/auth/keys/{id}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Keys::from_env()?))
}

pub fn router(keys: Keys) -> Router {
    routes(PATHS, delete(revoke_key)).with_state(keys)
}

/// `DELETE /api/auth/keys/{id}`: revoke an API key, as an admin; one that is revoked stays so.
#[utoipa::path(
    delete,
    path = shared::openapi::at(PATHS),
    responses((status = 204), (status = 409)),
)]
async fn revoke_key(
    State(keys): State<Keys>,
    caller: Caller,
    SourceAddress(address): SourceAddress,
    PathId(id): PathId,
) -> Result<StatusCode, Problem> {
    signed_in_admin(&keys.auth, &caller).await?;
    let record = ApiKeyRecord::with_id(&keys.platform, id).await?.ok_or_else(|| Problem::not_found("API key"))?;
    if record.revoked_at.is_none() {
        let revocation = revocation(&record, &Origin::of(&caller, &address), &keys.auth);
        keys.platform.commit(revocation).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
