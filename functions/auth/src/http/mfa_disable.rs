use axum::{Router, extract::State, http::StatusCode, routing::post};
use garde::Validate;
use serde::Deserialize;
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, SourceAddress, Valid, routes},
    table::Transaction,
};
use utoipa::ToSchema;

use super::{check_password, check_proof, signed_in};
use crate::{
    Enrolling,
    audit::{AuditEntry, AuditEvent, Origin},
    mfa::Proof,
    password, store,
};

pub const PATHS: &[&str] = &["/api/auth/mfa/disable", "/auth/mfa/disable"];

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = MfaDisabling)]
#[serde(deny_unknown_fields)]
struct Disable {
    #[serde(deserialize_with = "password::read")]
    #[garde(length(chars, min = 1, max = 128))]
    #[schema(min_length = 1, max_length = 128, format = Password)]
    password: String,
    #[serde(default, deserialize_with = "password::read_optional")]
    #[garde(inner(length(chars, min = 1, max = 64)))]
    #[schema(min_length = 1, max_length = 64)]
    otp: Option<String>,
    #[serde(default, deserialize_with = "password::read_optional")]
    #[garde(inner(length(chars, min = 1, max = 64)))]
    #[schema(min_length = 1, max_length = 64)]
    recovery_code: Option<String>,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Enrolling::from_env()?))
}

pub fn router(state: Enrolling) -> Router {
    routes(PATHS, post(disable)).with_state(state)
}

/// `POST /api/auth/mfa/disable`: do without the second factor, which takes it and the password once more.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    request_body = Disable,
    responses((status = 204), (status = 403, description = "The password or the code is wrong."), (status = 409)),
)]
async fn disable(
    State(Enrolling { table, sealer }): State<Enrolling>,
    caller: Caller,
    SourceAddress(address): SourceAddress,
    Valid(disable): Valid<Disable>,
) -> Result<StatusCode, Problem> {
    let proof = Proof::of(disable.otp.as_deref(), disable.recovery_code.as_deref())?;
    let proof = proof.ok_or_else(|| Problem::missing(&["otp"]))?;
    let (account, _) = signed_in(&table, &caller).await?;
    let origin = Origin::of(&caller, &address);
    check_password(&table, &account, &origin, &disable.password, "/password").await?;
    let factor = store::second_factor(&table, account.profile.id).await?.filter(|factor| factor.confirmed);
    let factor = factor.ok_or_else(|| Problem::conflict("mfa_not_enabled", "the account has no second factor"))?;
    let (admission, _) = check_proof(&table, &sealer, &factor, proof, &origin).await?;
    let entry = AuditEntry::new(AuditEvent::MfaDisabled, &origin).user(account.profile.id);
    let change = Transaction::new().replace(&account.with_mfa(false)).delete_version(&factor).insert(&entry);
    table.commit(change).await?;
    admission.succeeded().await;
    Ok(StatusCode::NO_CONTENT)
}
