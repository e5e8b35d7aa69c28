use axum::{Json, Router, extract::State, routing::post};
use garde::Validate;
use serde::Deserialize;
use shared::http::{Endpoint, Form, Problem, SourceAddress, routes};
use utoipa::ToSchema;

use super::name_and_password;
use crate::{Auth, mfa::Proof, sign_in::Tokens};

pub const PATHS: &[&str] = &["/api/auth/token", "/auth/token"];

/// An OAuth 2 token request. Without a `grant_type`, what comes with it tells which is meant.
#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = TokenRequest)]
struct Grant {
    #[garde(skip)]
    grant_type: Option<String>,
    #[garde(inner(length(chars, min = 1, max = 254)))]
    #[schema(min_length = 1, max_length = 254)]
    username: Option<String>,
    #[garde(inner(length(chars, min = 1, max = 128)))]
    #[schema(min_length = 1, max_length = 128)]
    password: Option<String>,
    #[garde(inner(length(chars, min = 1, max = 512)))]
    #[schema(min_length = 1, max_length = 512)]
    refresh_token: Option<String>,
    #[garde(inner(length(chars, min = 1, max = 512)))]
    #[schema(min_length = 1, max_length = 512)]
    mfa_token: Option<String>,
    #[garde(inner(length(chars, min = 1, max = 64)))]
    #[schema(min_length = 1, max_length = 64)]
    otp: Option<String>,
    #[garde(inner(length(chars, min = 1, max = 64)))]
    #[schema(min_length = 1, max_length = 64)]
    recovery_code: Option<String>,
    /// Refused rather than ignored, as OAuth 2 does with what it does not know: nobody is to believe that
    /// a request chooses these.
    #[garde(custom(not_to_choose))]
    #[schema(ignore)]
    role: Option<String>,
    #[garde(custom(not_to_choose))]
    #[schema(ignore)]
    admin: Option<String>,
    #[garde(custom(not_to_choose))]
    #[schema(ignore)]
    is_admin: Option<String>,
    #[garde(custom(not_to_choose))]
    #[schema(ignore)]
    id: Option<String>,
}

fn not_to_choose(value: &Option<String>, (): &()) -> garde::Result {
    if value.is_some() { Err(garde::Error::new("not for a request to choose")) } else { Ok(()) }
}

impl Grant {
    /// The grant's type; the mfa grants also under the names that Auth0 gives them.
    fn kind(&self) -> String {
        let implied = match (&self.refresh_token, &self.mfa_token) {
            (Some(_), _) => "refresh_token",
            (None, Some(_)) => "mfa-otp",
            (None, None) => "password",
        };
        let given = self.grant_type.as_deref().unwrap_or(implied);
        match given.trim_start_matches("http://auth0.com/oauth/grant-type/") {
            mfa if mfa.starts_with("mfa") => mfa.replace('_', "-"),
            other => other.to_owned(),
        }
    }
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Auth::from_env()?))
}

pub fn router(auth: Auth) -> Router {
    routes(PATHS, post(token)).with_state(auth)
}

/// `POST /api/auth/token`: OAuth 2's password and refresh_token grants (RFC 6749), as a form, and the
/// grants mfa-otp and mfa-recovery-code that go on from a 403 `mfa_required`.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    request_body(content = Grant, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = Tokens),
        (status = 401, description = "The name, the password or the code is wrong."),
        (status = 403, description = "A second factor is asked for (`mfa_required`, with an `mfa_token`), or the account is disabled."),
        (status = 409),
    ),
)]
async fn token(
    State(auth): State<Auth>,
    SourceAddress(address): SourceAddress,
    Form(grant): Form<Grant>,
) -> Result<Json<Tokens>, Problem> {
    let missing = |field: &str| Problem::missing(&[field]);
    let proof = Proof::of(grant.otp.as_deref(), grant.recovery_code.as_deref())?;
    let tokens = match grant.kind().as_str() {
        "password" => {
            let (username, password) = name_and_password(grant.username.as_deref(), grant.password.as_deref())?;
            auth.sign_in(username, password, proof, &address).await?
        }
        "refresh_token" => {
            let refresh_token = grant.refresh_token.as_deref().ok_or_else(|| missing("refresh_token"))?;
            auth.refresh(refresh_token, &address).await?
        }
        "mfa-otp" | "mfa-recovery-code" => {
            let mfa_token = grant.mfa_token.as_deref().ok_or_else(|| missing("mfa_token"))?;
            let proof = proof.ok_or_else(|| missing("otp"))?;
            auth.answer_challenge(mfa_token, proof, &address).await?
        }
        _ => {
            return Err(Problem::invalid_field("/grant_type", "password, refresh_token, mfa-otp or mfa-recovery-code"));
        }
    };
    Ok(Json(tokens))
}
