use axum::{Router, extract::State, routing::get};
use shared::{
    auth::{ApiKeyRecord, Caller},
    http::{Endpoint, Problem, routes},
    table::{Page, PageRequest, Table},
};

use crate::api_key::ApiKey;

pub const PATHS: &[&str] = &["/api/auth/keys", "/auth/keys"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env_variable("PLATFORM_TABLE_NAME")?))
}

pub fn router(platform: Table) -> Router {
    routes(PATHS, get(list_keys)).with_state(platform)
}

/// `GET /api/auth/keys`: all API keys, newest first, the revoked among them, for an admin.
async fn list_keys(
    State(platform): State<Table>,
    caller: Caller,
    request: PageRequest,
) -> Result<Page<ApiKey>, Problem> {
    caller.must_be_admin()?;
    Ok(ApiKeyRecord::page(&platform, &request).await?.map(ApiKey::from))
}
