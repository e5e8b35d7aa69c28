use axum::{Json, Router, extract::State, routing::get};
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, routes},
    table::Table,
};

use super::signed_in;
use crate::account::Profile;

pub const PATHS: &[&str] = &["/api/auth/me", "/auth/me"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, get(me)).with_state(table)
}

/// `GET /api/auth/me`: one's own account.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    responses((status = 200, body = Profile)),
)]
async fn me(State(table): State<Table>, caller: Caller) -> Result<Json<Profile>, Problem> {
    let (account, _) = signed_in(&table, &caller).await?;
    Ok(Json(account.profile))
}
