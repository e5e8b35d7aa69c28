//! Whether a token that is good by its signature is still good with auth, as far as auth can be asked.

use serde::{Deserialize, Serialize};
use shared::{
    client::{ClientError, Get, ServiceClient},
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

#[derive(Deserialize)]
struct Answer {
    valid: bool,
}

/// Asks auth about the token of a caller that was verified by its signature.
///
/// # Errors
/// 401 when auth says that the token is good no more.
pub async fn verify(auth: &ServiceClient, authorization: &str) -> Result<Verification, Problem> {
    let request = Get {
        function: "auth-verify",
        path: "/api/auth/verify".into(),
        query: Vec::new(),
        authorization: Some(authorization),
    };
    match auth.get::<Answer>(&request).await {
        Ok(Some(Answer { valid: true })) => Ok(Verification::Verified),
        Ok(Some(Answer { valid: false })) | Err(ClientError::Refused { status: 401 | 403, .. }) => {
            Err(Problem::unauthenticated())
        }
        Ok(None) => Ok(fallback("no such endpoint")),
        Err(error) => Ok(fallback(error)),
    }
}

fn fallback(reason: impl std::fmt::Display) -> Verification {
    tracing::warn!(%reason, "auth cannot be asked; the token's signature decides");
    Verification::JwtFallback
}
