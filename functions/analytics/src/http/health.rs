use shared::{health, http::Endpoint, table::Table};

use crate::SERVICE;

pub const PATHS: &[&str] = &["/api/analytics/health"];

/// What `main` serves: `GET` and `POST /api/analytics/health`.
pub fn endpoint() -> Endpoint {
    Ok(health::router(SERVICE, env!("CARGO_PKG_VERSION"), Table::from_env()?, PATHS))
}
