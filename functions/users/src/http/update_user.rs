use axum::{Json, Router, extract::State, routing::put};
use shared::{
    auth::Caller,
    http::{Endpoint, PathId, Problem, Valid, routes},
    table::Table,
    time::Timestamp,
};

use super::{owned, taken};
use crate::{
    store,
    user::{NewUser, User},
};

pub const PATHS: &[&str] = &["/api/users/{id}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, put(update_user)).with_state(table)
}

/// `PUT /api/users/{id}`: change one's own name and e-mail.
#[utoipa::path(
    put,
    path = shared::openapi::at(PATHS),
    request_body = NewUser,
    responses((status = 200, body = User), (status = 409)),
)]
async fn update_user(
    State(table): State<Table>,
    caller: Caller,
    PathId(id): PathId,
    Valid(new): Valid<NewUser>,
) -> Result<Json<User>, Problem> {
    let stored = owned(&table, &caller, id).await?;
    let holds_email = store::holds_email(&table, &stored).await?;
    let updated = stored.updated(&new.name, &new.email, Timestamp::now());
    table.commit(store::update(&stored, &updated, holds_email, Some(caller.subject()))).await.map_err(taken)?;
    Ok(Json(updated))
}
