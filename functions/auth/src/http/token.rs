use axum::{Json, Router, extract::State, routing::post};
use garde::Validate;
use serde::Deserialize;
use shared::http::{Endpoint, Form, Problem, SourceAddress, routes};

use crate::{Auth, sign_in::Tokens};

pub const PATHS: &[&str] = &["/api/auth/token", "/auth/token"];

/// An OAuth 2 token request. Without a `grant_type`, what comes with it tells which is meant.
#[derive(Deserialize, Validate)]
struct Grant {
    #[garde(skip)]
    grant_type: Option<String>,
    #[garde(inner(length(chars, min = 1, max = 254)))]
    username: Option<String>,
    #[garde(inner(length(chars, min = 1, max = 128)))]
    password: Option<String>,
    #[garde(inner(length(chars, min = 1, max = 512)))]
    refresh_token: Option<String>,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Auth::from_env()?))
}

pub fn router(auth: Auth) -> Router {
    routes(PATHS, post(token)).with_state(auth)
}

/// `POST /api/auth/token`: OAuth 2's password and refresh_token grants (RFC 6749), as a form.
async fn token(
    State(auth): State<Auth>,
    SourceAddress(address): SourceAddress,
    Form(grant): Form<Grant>,
) -> Result<Json<Tokens>, Problem> {
    let missing = |field: &str| Problem::invalid_field(format!("/{field}"), "missing");
    let implied = if grant.refresh_token.is_some() { "refresh_token" } else { "password" };
    let tokens = match grant.grant_type.as_deref().unwrap_or(implied) {
        "password" => {
            let username = grant.username.ok_or_else(|| missing("username"))?;
            let password = grant.password.ok_or_else(|| missing("password"))?;
            auth.sign_in(&username, &password, &address).await?
        }
        "refresh_token" => auth.refresh(&grant.refresh_token.ok_or_else(|| missing("refresh_token"))?).await?,
        _ => return Err(Problem::invalid_field("/grant_type", "password or refresh_token")),
    };
    Ok(Json(tokens))
}
