use axum::{Json, Router, extract::State, routing::post};
use garde::Validate;
use serde::Deserialize;
use shared::http::{Endpoint, Problem, SourceAddress, Valid, routes};

use crate::{Auth, password, sign_in::Tokens};

pub const PATHS: &[&str] = &["/api/auth/login", "/auth/login"];

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Login {
    #[garde(length(chars, min = 1, max = 254))]
    username: String,
    #[serde(deserialize_with = "password::read")]
    #[garde(length(chars, min = 1, max = 128))]
    password: String,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Auth::from_env()?))
}

pub fn router(auth: Auth) -> Router {
    routes(PATHS, post(login)).with_state(auth)
}

/// `POST /api/auth/login`: sign in with JSON.
async fn login(
    State(auth): State<Auth>,
    SourceAddress(address): SourceAddress,
    Valid(login): Valid<Login>,
) -> Result<Json<Tokens>, Problem> {
    Ok(Json(auth.sign_in(&login.username, &login.password, &address).await?))
}
