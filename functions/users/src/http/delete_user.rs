use axum::{Router, extract::State, http::StatusCode, routing::delete};
use shared::{
    auth::{Admins, Caller},
    event::Role,
    http::{Endpoint, PathId, Problem, routes},
    table::{Table, Transaction},
};

use super::owned;
use crate::{store, user::User};

pub const PATHS: &[&str] = &["/api/users/{id}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, delete(delete_user)).with_state(table)
}

/// `DELETE /api/users/{id}`: remove a profile; its account can no longer sign in. The last admin stays.
#[utoipa::path(
    delete,
    path = shared::openapi::at(PATHS),
    responses((status = 204), (status = 409)),
)]
async fn delete_user(State(table): State<Table>, caller: Caller, PathId(id): PathId) -> Result<StatusCode, Problem> {
    let user = owned(&table, &caller, id).await?;
    let holds_email = store::holds_email(&table, &user).await?;
    let deletion = store::deletion(&user, holds_email, caller.subject());
    table.commit(deletion.and(leaving(&table, &user).await?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What takes a user out of the admins, if it is one; 409 for the last.
async fn leaving(table: &Table, user: &User) -> Result<Transaction, Problem> {
    if user.role != Role::Admin {
        return Ok(Transaction::new());
    }
    let admins = Admins::read(table).await?;
    if admins.has_none_but(user.id) {
        let detail = "this is the last admin; make somebody else one first (quayside-operator set-role)";
        return Err(Problem::conflict("last_admin", detail));
    }
    Ok(admins.left_by(user.id))
}
