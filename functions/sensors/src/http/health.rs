use shared::{
    health::{self, Health},
    http::Endpoint,
    table::Table,
};

use crate::SERVICE;

pub const PATHS: &[&str] = &["/api/sensors/health"];

/// What `main` serves: `GET` and `POST /api/sensors/health`.
#[utoipa::path(
    method(get, post),
    path = shared::openapi::at(PATHS),
    summary = "How the service is",
    responses((status = 200, body = Health), (status = 503, body = Health)),
)]
pub fn endpoint() -> Endpoint {
    Ok(health::router(SERVICE, env!("CARGO_PKG_VERSION"), Table::from_env()?, PATHS))
}
