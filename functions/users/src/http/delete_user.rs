use axum::{Router, extract::State, http::StatusCode, routing::delete};
use shared::{
    auth::Caller,
    http::{Endpoint, PathId, Problem, routes},
    table::Table,
};

use super::owned;
use crate::store;

pub const PATHS: &[&str] = &["/api/users/{id}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, delete(delete_user)).with_state(table)
}

/// `DELETE /api/users/{id}`: remove a profile; its account can no longer sign in.
#[utoipa::path(
    delete,
    path = shared::openapi::at(PATHS),
    responses((status = 204), (status = 409)),
)]
async fn delete_user(State(table): State<Table>, caller: Caller, PathId(id): PathId) -> Result<StatusCode, Problem> {
    let user = owned(&table, &caller, id).await?;
    let holds_email = store::holds_email(&table, &user).await?;
    table.commit(store::deletion(&user, holds_email)).await?;
    Ok(StatusCode::NO_CONTENT)
}
