use axum::{Json, Router, extract::State, routing::post};
use garde::Validate;
use serde::Deserialize;
use shared::http::{Endpoint, Problem, SourceAddress, Valid, routes};
use utoipa::ToSchema;

use super::name_and_password;
use crate::{Auth, mfa::Proof, password, sign_in::Tokens};

pub const PATHS: &[&str] = &["/api/auth/login", "/auth/login"];

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    #[garde(inner(length(chars, min = 1, max = 254)))]
    #[schema(min_length = 1, max_length = 254)]
    username: Option<String>,
    #[serde(default, deserialize_with = "password::read_optional")]
    #[garde(inner(length(chars, min = 1, max = 128)))]
    #[schema(min_length = 1, max_length = 128, format = Password)]
    password: Option<String>,
    /// Instead of name and password, to go on from a 403 `mfa_required`.
    #[serde(default, deserialize_with = "password::read_optional")]
    #[garde(inner(length(chars, min = 1, max = 512)))]
    #[schema(min_length = 1, max_length = 512)]
    mfa_token: Option<String>,
    /// Six digits from an authenticator app.
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
    Ok(router(Auth::from_env()?))
}

pub fn router(auth: Auth) -> Router {
    routes(PATHS, post(login)).with_state(auth)
}

/// `POST /api/auth/login`: sign in with JSON, in one request or, with a second factor, in two.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    request_body = Login,
    responses(
        (status = 200, body = Tokens),
        (status = 401, description = "The name, the password or the code is wrong."),
        (status = 403, description = "A second factor is asked for (`mfa_required`, with an `mfa_token`), or the account is disabled."),
        (status = 409),
    ),
)]
async fn login(
    State(auth): State<Auth>,
    SourceAddress(address): SourceAddress,
    Valid(login): Valid<Login>,
) -> Result<Json<Tokens>, Problem> {
    let proof = Proof::of(login.otp.as_deref(), login.recovery_code.as_deref())?;
    let tokens = match &login.mfa_token {
        Some(mfa_token) => {
            let proof = proof.ok_or_else(|| Problem::missing(&["otp"]))?;
            auth.answer_challenge(mfa_token, proof, &address).await?
        }
        None => {
            let (username, password) = name_and_password(login.username.as_deref(), login.password.as_deref())?;
            auth.sign_in(username, password, proof, &address).await?
        }
    };
    Ok(Json(tokens))
}
