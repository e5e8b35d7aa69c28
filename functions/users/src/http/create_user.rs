use axum::{Router, extract::State, routing::post};
use shared::{
    auth::Caller,
    event::Role,
    http::{Endpoint, Problem, Valid, routes},
    id::Id,
    idempotency::{Idempotency, Once},
    table::Table,
};

use super::taken;
use crate::{
    store,
    user::{NewUser, User},
};

pub const PATHS: &[&str] = &["/api/users"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, post(create_user)).with_state(table)
}

/// `POST /api/users`: add a profile without an account, as an admin.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    params(Idempotency),
    request_body = NewUser,
    responses((status = 201, body = User)),
)]
async fn create_user(
    State(table): State<Table>,
    caller: Caller,
    idempotency: Idempotency,
    Valid(new): Valid<NewUser>,
) -> Result<Once<User>, Problem> {
    caller.must_be_admin()?;
    let describe = |id: Id| {
        let user = User::new(id.odd(), &new.name, &new.email, Role::Customer);
        Ok((store::insertion(&user), user))
    };
    idempotency.create_or(&table, &new, describe, taken).await
}
