use axum::{Router, extract::State, routing::get};
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, routes},
    table::{Page, PageRequest, Table},
};

use crate::{store, user::User};

pub const PATHS: &[&str] = &["/api/users"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, get(list_users)).with_state(table)
}

/// `GET /api/users`: all profiles, newest first, for an admin.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    params(PageRequest),
    responses((status = 200, body = Page<User>)),
)]
async fn list_users(State(table): State<Table>, caller: Caller, request: PageRequest) -> Result<Page<User>, Problem> {
    caller.must_be_admin()?;
    Ok(store::page(&table, &request).await?)
}
