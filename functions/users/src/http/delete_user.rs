use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::delete,
};
use shared::{
    auth::{Admins, Caller},
    client::ServiceClient,
    event::Role,
    http::{Endpoint, PathId, Problem, routes},
    table::{Table, Transaction},
};

use super::owned;
use crate::{store, user::User};

pub const PATHS: &[&str] = &["/api/users/{id}"];

#[derive(Clone, Debug)]
struct Deletion {
    table: Table,
    auth: ServiceClient,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?, ServiceClient::from_env("auth")?))
}

/// The endpoint, with a client for auth's functions.
pub fn router(table: Table, auth: ServiceClient) -> Router {
    routes(PATHS, delete(delete_user)).with_state(Deletion { table, auth })
}

/// `DELETE /api/users/{id}`: remove a profile; its account can no longer sign in. The last admin stays.
///
/// Nothing brings it back, so that a token's signature is not enough: auth is asked, and while it is away it is a 503.
#[utoipa::path(
    delete,
    path = shared::openapi::at(PATHS),
    responses((status = 204), (status = 409)),
)]
async fn delete_user(
    State(Deletion { table, auth }): State<Deletion>,
    caller: Caller,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let caller = caller.confirmed(&auth, &headers).await?;
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
