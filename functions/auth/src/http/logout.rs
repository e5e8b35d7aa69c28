use axum::{Router, extract::State, http::StatusCode, routing::post};
use shared::{
    auth::Caller,
    http::{Endpoint, Nothing, Problem, SourceAddress, Valid, routes},
    table::Table,
};

use super::signed_in;
use crate::{
    audit::{AuditEntry, AuditEvent, Origin},
    store,
};

pub const PATHS: &[&str] = &["/api/auth/logout", "/auth/logout"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, post(logout)).with_state(table)
}

/// `POST /api/auth/logout`: end the session, and with it its refresh token.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    request_body = Option<Nothing>,
    responses((status = 204), (status = 409)),
)]
async fn logout(
    State(table): State<Table>,
    caller: Caller,
    SourceAddress(address): SourceAddress,
    _: Option<Valid<Nothing>>,
) -> Result<StatusCode, Problem> {
    let (account, session) = signed_in(&table, &caller).await?;
    let entry = AuditEntry::new(AuditEvent::SignedOut, &Origin::of(&caller, &address)).user(account.profile.id);
    table.commit(store::session_end(&session).insert(&entry.subject(session.subject()))).await?;
    Ok(StatusCode::NO_CONTENT)
}
