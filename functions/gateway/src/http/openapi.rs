use axum::{Router, extract::State, http::HeaderMap, response::Response, routing::get};
use shared::http::{Endpoint, routes};

use crate::document::Document;

pub const PATHS: &[&str] = &["/openapi.json"];

/// The document as `make openapi` wrote it.
const OPENAPI: &str = include_str!("../../../../docs/openapi.json");

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router())
}

pub fn router() -> Router {
    routes(PATHS, get(openapi)).with_state(Document::new("application/json", OPENAPI))
}

/// `GET /openapi.json`: this document, which may be cached for five minutes.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    responses(
        (status = 200, body = Object, headers(("ETag" = String), ("Cache-Control" = String))),
        (status = 304, description = "It is the one that `If-None-Match` names."),
    ),
)]
async fn openapi(State(document): State<Document>, headers: HeaderMap) -> Response {
    document.answer(&headers)
}
