use axum::{Router, extract::State, http::StatusCode, routing::post};
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
    throttle::Throttle,
};

pub const PATHS: &[&str] = &["/api/auth/register", "/auth/register"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, post(register)).with_state(table)
}

/// `POST /api/auth/register`: sign up as a customer. Whoever asks for what others have, again and again, has to wait.
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
    let origin = Origin::anybody(&address);
    let admission = Throttle::of_registrations(&address).admit(&table).await?;
    let password_hash = password::hash(&registration.password).map_err(Problem::internal)?;
    let sign_up = |id: Id| {
        let account = Account::new(id.even(), &registration, Role::Customer);
        let entry = AuditEntry::new(AuditEvent::Registered, &origin).user(account.profile.id);
        Ok((store::insertion(&account, &password_hash).insert(&entry), account.profile))
    };
    let result = idempotency.create_or(&table, &registration, sign_up, taken).await;
    if !matches!(&result, Err(problem) if problem.status() == StatusCode::CONFLICT) {
        admission.succeeded().await;
        return result;
    }
    let throttled = admission.throttled(&origin, None);
    if !throttled.is_empty() {
        table.commit(throttled).await?;
    }
    result
}
