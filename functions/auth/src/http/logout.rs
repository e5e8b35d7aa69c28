use axum::{Router, extract::State, http::StatusCode, routing::post};
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, routes},
    table::Table,
};

use super::signed_in;
use crate::store;

pub const PATHS: &[&str] = &["/api/auth/logout", "/auth/logout"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, post(logout)).with_state(table)
}

/// `POST /api/auth/logout`: end the session, and with it its refresh token.
async fn logout(State(table): State<Table>, caller: Caller) -> Result<StatusCode, Problem> {
    let (_, session) = signed_in(&table, &caller).await?;
    table.commit(store::session_end(&session)).await?;
    Ok(StatusCode::NO_CONTENT)
}
