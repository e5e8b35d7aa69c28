use axum::{Json, Router, extract::State, routing::put};
use shared::{
    auth::Caller,
    http::{Endpoint, PathId, Problem, Valid, routes},
    id::Id,
    retry::deciding_anew,
    table::Table,
};

use crate::{preferences::Preferences, recipient::Recipient, store};

pub const PATHS: &[&str] = &["/api/notifications/preferences/{id}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, put(set_preferences)).with_state(table)
}

/// `PUT /api/notifications/preferences/{user_id}`: say how one wants to be told of things, which may be
/// before the user's profile was heard of here.
#[utoipa::path(
    put,
    path = shared::openapi::at(PATHS),
    request_body = Preferences,
    responses((status = 200, body = Preferences), (status = 409)),
)]
async fn set_preferences(
    State(table): State<Table>,
    caller: Caller,
    PathId(user_id): PathId,
    Valid(preferences): Valid<Preferences>,
) -> Result<Json<Preferences>, Problem> {
    caller.must_own(user_id, "user")?;
    deciding_anew(|| save(&table, user_id, &preferences)).await?;
    Ok(Json(preferences))
}

async fn save(table: &Table, user_id: Id, preferences: &Preferences) -> Result<(), Problem> {
    let known = store::recipient(table, user_id).await?.unwrap_or_else(|| Recipient::unknown(user_id));
    if known.deleted {
        return Err(Problem::not_found("user"));
    }
    Ok(table.commit(store::save(&known.preferring(preferences.clone()))).await?)
}
