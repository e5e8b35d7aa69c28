use axum::{Router, extract::State, routing::post};
use shared::{
    event::Role,
    http::{Endpoint, Problem, SourceAddress, Valid, routes},
    id::Id,
    idempotency::{Idempotency, Once},
    table::Table,
};

use super::taken;
use crate::{
    account::{Account, Profile, Registration},
    audit::{AuditEntry, AuditEvent, Origin},
    password, store,
};

pub const PATHS: &[&str] = &["/api/auth/register", "/auth/register"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, post(register)).with_state(table)
}

/// `POST /api/auth/register`: sign up as a customer.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    params(Idempotency),
    request_body = Registration,
    responses((status = 201, body = Profile)),
)]
async fn register(
    State(table): State<Table>,
    idempotency: Idempotency,
    SourceAddress(address): SourceAddress,
    Valid(registration): Valid<Registration>,
) -> Result<Once<Profile>, Problem> {
    let password_hash = password::hash(&registration.password).map_err(Problem::internal)?;
    let sign_up = |id: Id| {
        let account = Account::new(id.even(), &registration, Role::Customer);
        let entry = AuditEntry::new(AuditEvent::Registered, &Origin::anybody(&address)).user(account.profile.id);
        Ok((store::insertion(&account, &password_hash).insert(&entry), account.profile))
    };
    idempotency.create_or(&table, &registration, sign_up, taken).await
}
