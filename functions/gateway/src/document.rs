//! A text that is part of the function, served so that clients and caches can keep it.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use shared::id::Id;

/// How long it may be used without asking again, and an old one while asking.
const CACHING: HeaderValue = HeaderValue::from_static("public, max-age=300, stale-while-revalidate=3600");

/// The text and its headers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Document {
    text: &'static str,
    headers: HeaderMap,
}

impl Document {
    /// A text of this content type. Its `ETag` says what is in it.
    pub fn new(content_type: &'static str, text: &'static str) -> Self {
        let document = Self { text, headers: HeaderMap::new() };
        document
            .with(header::CONTENT_TYPE, Some(HeaderValue::from_static(content_type)))
            .with(header::CACHE_CONTROL, Some(CACHING))
            .with(header::ETAG, HeaderValue::try_from(format!("\"{}\"", Id::derived(text))).ok())
    }

    /// The same with this header too.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: Option<HeaderValue>) -> Self {
        self.headers.extend(value.map(|value| (name, value)));
        self
    }

    /// 200 with the text, or 304 to who has it.
    pub fn answer(&self, request: &HeaderMap) -> Response {
        if self.is_known(request) {
            return (StatusCode::NOT_MODIFIED, self.headers.clone()).into_response();
        }
        (self.headers.clone(), self.text).into_response()
    }

    fn is_known(&self, request: &HeaderMap) -> bool {
        let tag = self.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default();
        let known = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut known = known.flat_map(|tags| tags.split(',')).map(str::trim);
        known.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
    }
}
