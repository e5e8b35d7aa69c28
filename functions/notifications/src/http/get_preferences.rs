use axum::{Json, Router, extract::State, routing::get};
use shared::{
    auth::Caller,
    http::{Endpoint, PathId, Problem, routes},
    table::Table,
};

use crate::{preferences::Preferences, store};

pub const PATHS: &[&str] = &["/api/notifications/preferences/{id}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, get(get_preferences)).with_state(table)
}

/// `GET /api/notifications/preferences/{user_id}`: how one wants to be told of things.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    responses((status = 200, body = Preferences)),
)]
async fn get_preferences(
    State(table): State<Table>,
    caller: Caller,
    PathId(user_id): PathId,
) -> Result<Json<Preferences>, Problem> {
    caller.must_own(user_id, "user")?;
    let recipient = store::recipient(&table, user_id).await?;
    Ok(Json(recipient.map(|recipient| recipient.preferences).unwrap_or_default()))
}
