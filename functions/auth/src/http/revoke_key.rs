use axum::{Router, extract::State, http::StatusCode, routing::delete};
use shared::{
    auth::{ApiKeyRecord, Caller},
    http::{Endpoint, PathId, Problem, routes},
    table::{Table, Transaction},
};

pub const PATHS: &[&str] = &["/api/auth/keys/{id}", "/auth/keys/{id}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env_variable("PLATFORM_TABLE_NAME")?))
}

pub fn router(platform: Table) -> Router {
    routes(PATHS, delete(revoke_key)).with_state(platform)
}

/// `DELETE /api/auth/keys/{id}`: revoke an API key, as an admin; one that is revoked stays so.
async fn revoke_key(State(platform): State<Table>, caller: Caller, PathId(id): PathId) -> Result<StatusCode, Problem> {
    caller.must_be_admin()?;
    let record = ApiKeyRecord::with_id(&platform, id).await?.ok_or_else(|| Problem::not_found("API key"))?;
    if record.revoked_at.is_none() {
        platform.commit(Transaction::new().replace(&record.revoked())).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
