use axum::{Json, Router, extract::State, routing::get};
use shared::{
    auth::Caller,
    http::{Endpoint, PathId, Problem, routes},
    table::Table,
};

use super::View;
use crate::store;

pub const PATHS: &[&str] = &["/api/notifications/{id}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, get(get_notification)).with_state(table)
}

/// `GET /api/notifications/{id}`: what one was told, and what became of it.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    responses((status = 200, body = View)),
)]
async fn get_notification(
    State(table): State<Table>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Json<View>, Problem> {
    let not_found = || Problem::not_found("notification");
    let notification = store::get(&table, id).await?.ok_or_else(not_found)?;
    caller.must_own(notification.user_id, "notification")?;
    Ok(Json(notification.into()))
}
