use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use tracing::Instrument;

use crate::{context::Context, telemetry};

/// The header that carries the correlation id in and out.
pub(crate) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

const SECURITY_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000; includeSubDomains")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Gives a request its context, answers with the correlation id and the security headers, and
/// writes one log line and one set of metrics.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let context = Context::of_request(request.headers().get(CORRELATION_ID).and_then(|value| value.to_str().ok()));
    let correlation_id = context.correlation_id.clone();
    let span = tracing::info_span!("request", correlation_id);
    let mut response = context.scope(respond(request, next).instrument(span)).await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::try_from(correlation_id) {
        headers.insert(CORRELATION_ID, value);
    }
    add_security_headers(headers);
    response
}

async fn respond(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default();
    let response = next.run(request).await;
    let (status, latency) = (response.status().as_u16(), started.elapsed());
    let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%method, route, status, latency_ms, "served");
    telemetry::request_served(status, latency);
    response
}

fn add_security_headers(headers: &mut HeaderMap) {
    for (name, value) in SECURITY_HEADERS {
        headers.entry(name).or_insert(value);
    }
}
