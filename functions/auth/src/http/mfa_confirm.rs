use axum::{Json, Router, extract::State, routing::post};
use garde::Validate;
use serde::{Deserialize, Serialize};
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, SourceAddress, Valid, routes},
    table::Transaction,
};
use utoipa::ToSchema;

use super::{check_proof, signed_in};
use crate::{
    Enrolling,
    audit::{AuditEntry, AuditEvent, Origin},
    mfa::Proof,
    password, store,
};

pub const PATHS: &[&str] = &["/api/auth/mfa/confirm", "/auth/mfa/confirm"];

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = MfaConfirmation)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    #[serde(deserialize_with = "password::read")]
    #[garde(length(chars, min = 1, max = 64))]
    #[schema(min_length = 1, max_length = 64)]
    otp: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MfaConfirmed)]
struct Confirmed {
    /// Each good once in place of an otp; shown now and never again.
    recovery_codes: Vec<String>,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Enrolling::from_env()?))
}

pub fn router(state: Enrolling) -> Router {
    routes(PATHS, post(confirm)).with_state(state)
}

/// `POST /api/auth/mfa/confirm`: from now on signing in takes a second factor.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    summary = "Turn the second factor on: from now on signing in takes it",
    request_body = Confirmation,
    responses((status = 200, body = Confirmed), (status = 403, description = "The code is wrong or was used before."), (status = 409)),
)]
async fn confirm(
    State(Enrolling { table, sealer }): State<Enrolling>,
    caller: Caller,
    SourceAddress(address): SourceAddress,
    Valid(confirmation): Valid<Confirmation>,
) -> Result<Json<Confirmed>, Problem> {
    let (account, _) = signed_in(&table, &caller).await?;
    let origin = Origin::of(&caller, &address);
    let factor = store::second_factor(&table, account.profile.id).await?.filter(|factor| !factor.confirmed);
    let factor = factor.ok_or_else(|| Problem::conflict("mfa_not_enrolled", "there is nothing to confirm"))?;
    let (admission, used) = check_proof(&table, &sealer, &factor, Proof::Otp(&confirmation.otp), &origin).await?;
    let (confirmed, recovery_codes) = used.confirm().map_err(Problem::internal)?;
    let entry = AuditEntry::new(AuditEvent::MfaConfirmed, &origin).user(account.profile.id);
    let change = Transaction::new().replace(&account.with_mfa(true)).replace(&confirmed).insert(&entry);
    table.commit(change).await?;
    admission.succeeded().await;
    Ok(Json(Confirmed { recovery_codes }))
}
