use axum::{Json, Router, extract::State, routing::get};
use shared::{
    auth::Caller,
    http::{Endpoint, PathId, Problem, routes},
    table::Table,
};

use super::owned;
use crate::user::User;

pub const PATHS: &[&str] = &["/api/users/{id}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, get(get_user)).with_state(table)
}

/// `GET /api/users/{id}`: one's own profile.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    responses((status = 200, body = User)),
)]
async fn get_user(State(table): State<Table>, caller: Caller, PathId(id): PathId) -> Result<Json<User>, Problem> {
    Ok(Json(owned(&table, &caller, id).await?))
}
