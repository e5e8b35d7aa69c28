use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
    routing::get,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use shared::http::{Endpoint, routes};

use crate::document::Document;

pub const PATHS: &[&str] = &["/docs"];

/// It reads `openapi.json` from beside itself, and needs nothing from anywhere else.
const PAGE: &str = include_str!("docs.html");

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router())
}

pub fn router() -> Router {
    let page = Document::new("text/html; charset=utf-8", PAGE);
    let page = page.with(header::CONTENT_SECURITY_POLICY, HeaderValue::try_from(policy()).ok());
    routes(PATHS, get(docs)).with_state(page)
}

/// The page's own script and style run, and no others.
fn policy() -> String {
    let own = |element: &str| {
        let (_, rest) = PAGE.split_once(&format!("<{element}>")).unwrap_or_default();
        let (text, _) = rest.split_once(&format!("</{element}>")).unwrap_or_default();
        format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
    };
    let (script, style) = (own("script"), own("style"));
    format!(
        "default-src 'none'; script-src {script}; style-src {style}; img-src data:; connect-src 'self'; frame-ancestors 'none'"
    )
}

/// `GET /docs`: a page to read this document, which may be cached for five minutes.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    responses(
        (status = 200, body = String, content_type = "text/html", headers(("ETag" = String), ("Cache-Control" = String))),
        (status = 304, description = "It is the one that `If-None-Match` names."),
    ),
)]
async fn docs(State(page): State<Document>, headers: HeaderMap) -> Response {
    page.answer(&headers)
}
