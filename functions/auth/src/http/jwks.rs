use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use shared::{
    auth::PublicKeys,
    aws::{self, ConfigError},
    http::{Endpoint, routes},
};

pub const PATHS: &[&str] = &["/.well-known/jwks.json"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    let variable = "JWT_PUBLIC_KEYS";
    let keys = PublicKeys::parse(&aws::required(variable)?).map_err(|reason| ConfigError { variable, reason })?;
    Ok(router(&keys))
}

pub fn router(keys: &PublicKeys) -> Router {
    let key = |(kid, x): (&str, &str)| json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x});
    let set = json!({ "keys": keys.iter().map(key).collect::<Vec<_>>() });
    routes(PATHS, get(jwks)).with_state(set)
}

/// `GET /.well-known/jwks.json`: the public keys (RFC 7517), which may be cached for five minutes.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    responses((status = 200, body = Object)),
)]
async fn jwks(State(set): State<Value>) -> Response {
    let caching = [(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"))];
    (caching, Json(set)).into_response()
}
