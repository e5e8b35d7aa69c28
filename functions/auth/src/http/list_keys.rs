use axum::{Router, extract::State, routing::get};
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, routes},
    table::{Page, PageRequest},
};

use super::signed_in_admin;
use crate::api_key::{self, ApiKey, Keys};

pub const PATHS: &[&str] = &["/api/auth/keys", "/auth/keys"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Keys::from_env()?))
}

pub fn router(keys: Keys) -> Router {
    routes(PATHS, get(list_keys)).with_state(keys)
}

/// `GET /api/auth/keys`: all API keys, newest first, the revoked among them, for an admin.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    params(PageRequest),
    responses((status = 200, body = Page<ApiKey>)),
)]
async fn list_keys(State(keys): State<Keys>, caller: Caller, request: PageRequest) -> Result<Page<ApiKey>, Problem> {
    signed_in_admin(&keys.auth, &caller).await?;
    Ok(api_key::page(&keys.platform, &request).await?)
}
