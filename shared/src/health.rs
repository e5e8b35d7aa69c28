//! A service's own health, as its `<service>-health` function tells it.

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{http, table::Table};

/// The answer of a `<service>-health` function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    pub status: HealthStatus,
    pub service: String,
    pub version: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    Healthy,
    /// Some of it answers.
    Degraded,
    Unhealthy,
}

#[derive(Clone)]
struct Checked {
    service: &'static str,
    version: &'static str,
    table: Table,
}

/// `GET` and `POST` at each of `paths`: 200 when the service's table answers, 503 when not.
pub fn router(service: &'static str, version: &'static str, table: Table, paths: &[&str]) -> Router {
    http::routes(paths, get(check).post(check)).with_state(Checked { service, version, table })
}

async fn check(State(checked): State<Checked>) -> Response {
    let (code, status) = match checked.table.ping().await {
        Ok(()) => (StatusCode::OK, HealthStatus::Healthy),
        Err(error) => {
            tracing::error!(%error, "unhealthy");
            (StatusCode::SERVICE_UNAVAILABLE, HealthStatus::Unhealthy)
        }
    };
    let health = Health { status, service: checked.service.to_owned(), version: checked.version.to_owned() };
    (code, Json(health)).into_response()
}
