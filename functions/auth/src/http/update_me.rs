use axum::{Json, Router, extract::State, routing::put};
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, SourceAddress, Valid, routes},
    table::Table,
    time::Timestamp,
};

use super::{signed_in, taken};
use crate::{
    account::{AccountChange, Profile},
    audit::{AuditEntry, AuditEvent, Origin},
    store,
};

pub const PATHS: &[&str] = &["/api/auth/me", "/auth/me"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, put(update_me)).with_state(table)
}

/// `PUT /api/auth/me`: change one's own name and e-mail.
#[utoipa::path(
    put,
    path = shared::openapi::at(PATHS),
    request_body = AccountChange,
    responses((status = 200, body = Profile), (status = 409)),
)]
async fn update_me(
    State(table): State<Table>,
    caller: Caller,
    SourceAddress(address): SourceAddress,
    Valid(change): Valid<AccountChange>,
) -> Result<Json<Profile>, Problem> {
    let (account, _) = signed_in(&table, &caller).await?;
    let name = change.name.as_deref().unwrap_or(&account.profile.name);
    let email = change.email.as_deref().unwrap_or(&account.profile.email);
    let renamed = account.renamed(name, email, Timestamp::now());
    let entry = AuditEntry::new(AuditEvent::Updated, &Origin::of(&caller, &address)).user(account.profile.id);
    let transaction = store::renaming(&account, &renamed).publish(&renamed.updated_event());
    table.commit(transaction.insert(&entry)).await.map_err(taken)?;
    Ok(Json(renamed.profile))
}
