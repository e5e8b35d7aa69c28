use axum::{Json, Router, extract::State, routing::get};
use serde::Serialize;
use shared::{
    auth::Caller,
    event::Role,
    http::{Endpoint, Nothing, Problem, Valid, routes},
    id::Id,
    table::Table,
};
use utoipa::ToSchema;

use super::signed_in;

pub const PATHS: &[&str] = &["/api/auth/verify", "/auth/verify"];

#[derive(Serialize, ToSchema)]
#[schema(as = TokenVerification)]
struct Verification {
    valid: bool,
    auth: &'static str,
    user_id: Id,
    username: String,
    role: Role,
    /// Seconds since the Unix epoch.
    expires_at: i64,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, get(verify).post(verify)).with_state(table)
}

/// `GET` and `POST /api/auth/verify`: whether this token is good now, revocation included.
#[utoipa::path(
    method(get, post),
    path = shared::openapi::at(PATHS),
    request_body = Option<Nothing>,
    responses((status = 200, body = Verification)),
)]
async fn verify(
    State(table): State<Table>,
    caller: Caller,
    _: Option<Valid<Nothing>>,
) -> Result<Json<Verification>, Problem> {
    let (account, _) = signed_in(&table, &caller).await?;
    Ok(Json(Verification {
        valid: true,
        auth: "verified",
        user_id: account.profile.id,
        username: account.profile.username,
        role: account.profile.role,
        expires_at: caller.claims()?.exp,
    }))
}
