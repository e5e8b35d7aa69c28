use axum::{Json, Router, extract::State, routing::post};
use garde::Validate;
use serde::Deserialize;
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, SourceAddress, Valid, routes},
};
use utoipa::ToSchema;

use super::{check_password, signed_in};
use crate::{
    Enrolling,
    audit::{AuditEntry, AuditEvent, Origin},
    mfa::{Enrolment, SecondFactor},
    password, store,
};

pub const PATHS: &[&str] = &["/api/auth/mfa/enroll", "/auth/mfa/enroll"];

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = MfaEnrolling)]
#[serde(deny_unknown_fields)]
struct Enrol {
    /// The present one: a stolen token must not lock the account's owner out.
    #[serde(deserialize_with = "password::read")]
    #[garde(length(chars, min = 1, max = 128))]
    #[schema(min_length = 1, max_length = 128, format = Password)]
    password: String,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Enrolling::from_env()?))
}

pub fn router(state: Enrolling) -> Router {
    routes(PATHS, post(enroll)).with_state(state)
}

/// `POST /api/auth/mfa/enroll`: a new secret for an authenticator app. It is asked for at sign-in only after
/// it was confirmed; until then another enrolment takes its place.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    summary = "Begin to use a second factor: a new secret for an authenticator app",
    request_body = Enrol,
    responses((status = 200, body = Enrolment), (status = 403, description = "The password is wrong."), (status = 409)),
)]
async fn enroll(
    State(Enrolling { table, sealer }): State<Enrolling>,
    caller: Caller,
    SourceAddress(address): SourceAddress,
    Valid(enrol): Valid<Enrol>,
) -> Result<Json<Enrolment>, Problem> {
    let (account, _) = signed_in(&table, &caller).await?;
    let origin = Origin::of(&caller, &address);
    check_password(&table, &account, &origin, &enrol.password, "/password").await?;
    let before = store::second_factor(&table, account.profile.id).await?;
    if before.as_ref().is_some_and(|factor| factor.confirmed) {
        return Err(Problem::conflict("mfa_enabled", "the account has a second factor; disable it first"));
    }
    let (factor, enrolment) = SecondFactor::enrol(&account, before.as_ref(), &sealer).await?;
    let entry = AuditEntry::new(AuditEvent::MfaEnrolled, &origin).user(account.profile.id);
    table.commit(store::enrolment(&factor).insert(&entry)).await?;
    Ok(Json(enrolment))
}
