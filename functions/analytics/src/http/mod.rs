//! The analytics endpoints.

pub mod health;
pub mod health_detailed;
pub mod query;

/// What the endpoints say of themselves.
#[derive(utoipa::OpenApi)]
#[openapi(paths(health::endpoint, health_detailed::detailed, query::query,))]
pub struct Documentation;
