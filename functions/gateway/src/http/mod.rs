//! The gateway endpoints.

pub mod dashboard;
pub mod docs;
pub mod health;
pub mod openapi;
pub mod profile;
pub mod registry;
pub mod reset_breaker;

/// What the endpoints say of themselves.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    dashboard::dashboard,
    docs::docs,
    health::health,
    openapi::openapi,
    profile::profile,
    registry::registry,
    reset_breaker::reset_breaker,
))]
pub struct Documentation;
