use axum::{Router, extract::State, response::IntoResponse, routing::get};
use shared::{
    auth::Caller,
    http::{Endpoint, PathId, Problem, routes},
    table::{Page, PageRequest, Table},
};

use super::View;
use crate::store;

pub const PATHS: &[&str] = &["/api/notifications/user/{id}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, get(notifications_by_user)).with_state(table)
}

/// `GET /api/notifications/user/{user_id}`: one user's notifications, newest first.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    params(PageRequest),
    responses((status = 200, body = Page<View>)),
)]
async fn notifications_by_user(
    State(table): State<Table>,
    caller: Caller,
    PathId(user_id): PathId,
    request: PageRequest,
) -> Result<impl IntoResponse, Problem> {
    caller.must_own(user_id, "user")?;
    let page = store::page_of(&table, user_id, &request).await?;
    Ok(page.map(View::from))
}
