use std::{collections::HashSet, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, header, uri::Authority},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{Problem, observe::CORRELATION_ID};
use crate::aws::{self, ConfigError};

const PREFLIGHT_GOOD_FOR: Duration = Duration::from_secs(600);

/// The origins whose pages may use the API beside the API's own: nobody's, unless they are named.
///
/// A request with the `Origin` of another page is refused before anything is done, rather than
/// answered where the page cannot read it: what it wanted would have happened.
#[derive(Clone, Debug, Default)]
pub struct Origins(Arc<HashSet<HeaderValue>>);

impl Origins {
    /// Those of `ALLOWED_ORIGINS`, separated by commas.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::parse(&aws::optional("ALLOWED_ORIGINS").unwrap_or_default())
            .map_err(|reason| ConfigError { variable: "ALLOWED_ORIGINS", reason })
    }

    /// `https://shop.example,http://localhost:3000`: scheme and host, and the port where it is not the
    /// scheme's own, as browsers send them; no `*`.
    ///
    /// # Errors
    /// The first that is none.
    pub fn parse(list: &str) -> Result<Self, String> {
        let named = list.split(',').map(str::trim).filter(|origin| !origin.is_empty());
        Ok(Self(Arc::new(named.map(parse_origin).collect::<Result<_, _>>()?)))
    }

    /// Whether a request comes from a page of the API itself or a named origin, or from no page at all.
    fn admit(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        self.0.contains(origin) || is_own(origin, headers)
    }

    /// Around a router: refuses other origins, answers preflights of the named ones and lets their
    /// pages read the answers.
    pub(super) fn layer(&self, router: Router) -> Router {
        let allowed = AllowOrigin::list(self.0.iter().cloned());
        let cors = CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers(request_headers())
            .expose_headers([header::LOCATION, header::RETRY_AFTER, CORRELATION_ID])
            .max_age(PREFLIGHT_GOOD_FOR);
        let origins = self.clone();
        router
            .layer(middleware::from_fn(move |request: Request, next: Next| {
                refuse_others(origins.clone(), request, next)
            }))
            .layer(cors)
    }
}

/// What pages may send beside the headers that are always allowed. The preflight answers of
/// template.yaml name the same.
fn request_headers() -> [HeaderName; 5] {
    [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("x-api-key"),
        CORRELATION_ID,
    ]
}

async fn refuse_others(origins: Origins, request: Request, next: Next) -> Response {
    if origins.admit(request.headers()) {
        return next.run(request).await;
    }
    Problem::forbidden("pages of this origin may not use the API").into_response()
}

fn parse_origin(origin: &str) -> Result<HeaderValue, String> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '*', '?', '#', '@']) => {
            HeaderValue::from_str(origin).map_err(|_| format!("{origin} is no origin"))
        }
        _ => Err(format!("{origin} is no origin: a scheme and a host were expected, as in https://shop.example")),
    }
}

/// Whether this is the origin of the API's own pages: a page that came without TLS is one only where nobody could
/// have put another in its place, on this machine.
fn is_own(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let (Some(host), Some((scheme, own))) = (host, origin) else { return false };
    own.eq_ignore_ascii_case(host) && (scheme == "https" || scheme == "http" && is_loopback(host))
}

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
