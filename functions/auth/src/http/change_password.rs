use axum::{Router, extract::State, http::StatusCode, routing::post};
use garde::Validate;
use serde::Deserialize;
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, SourceAddress, Valid, routes},
    table::Table,
};
use utoipa::ToSchema;

use super::{check_password, signed_in};
use crate::{
    audit::{AuditEntry, AuditEvent, Origin},
    password, store,
};

pub const PATHS: &[&str] = &["/api/auth/change-password", "/auth/change-password"];

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordChange {
    #[serde(deserialize_with = "password::read")]
    #[garde(length(chars, min = 1, max = 128))]
    #[schema(min_length = 1, max_length = 128, format = Password)]
    current_password: String,
    #[serde(deserialize_with = "password::read")]
    #[garde(length(chars, min = 8, max = 128))]
    #[schema(min_length = 8, max_length = 128, format = Password)]
    new_password: String,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, post(change_password)).with_state(table)
}

/// `POST /api/auth/change-password`: every other session ends.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    summary = "Change one's password; every other session ends",
    request_body = PasswordChange,
    responses((status = 204), (status = 403, description = "The current password is wrong."), (status = 409)),
)]
async fn change_password(
    State(table): State<Table>,
    caller: Caller,
    SourceAddress(address): SourceAddress,
    Valid(change): Valid<PasswordChange>,
) -> Result<StatusCode, Problem> {
    let (account, session) = signed_in(&table, &caller).await?;
    let origin = Origin::of(&caller, &address);
    check_password(&table, &account, &origin, &change.current_password, "/current_password").await?;
    let hash = password::hash(&change.new_password).map_err(Problem::internal)?;
    let entry = AuditEntry::new(AuditEvent::PasswordChanged, &origin).user(account.profile.id);
    let changed = store::password_change(&account.with_only_session(&session.session_id), &hash);
    table.commit(changed.insert(&entry)).await?;
    Ok(StatusCode::NO_CONTENT)
}
