//! Whether a token that is good by its signature is still good with auth, as far as auth can be asked.

use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use shared::{
    auth::{Caller, Unconfirmed},
    client::ServiceClient,
    http::Problem,
};
use utoipa::ToSchema;

/// How the caller was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// auth knows the token as good.
    Verified,
    /// auth is away; the token's signature and lifetime are good.
    JwtFallback,
}

/// Asks auth about the token of a caller that was verified by its signature.
///
/// # Errors
/// 401 when auth says that the token is good no more.
pub async fn verify(auth: &ServiceClient, caller: &Caller, headers: &HeaderMap) -> Result<Verification, Problem> {
    match caller.confirmed(auth, headers).await {
        Ok(_) => Ok(Verification::Verified),
        Err(Unconfirmed::Away(reason)) => {
            tracing::warn!(%reason, "auth cannot be asked; the token's signature decides");
            Ok(Verification::JwtFallback)
        }
        Err(refused) => Err(refused.into()),
    }
}
