use axum::{Json, Router, extract::State, routing::post};
use serde::Serialize;
use shared::{
    auth::Caller,
    breaker::{Breaker, BreakerState},
    http::{Endpoint, Nothing, PathName, Problem, Valid, routes},
    table::Table,
};
use utoipa::ToSchema;

use crate::SERVICES;

pub const PATHS: &[&str] = &["/circuit-breaker/reset/{service}", "/api/circuit-breaker/reset/{service}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env_variable("PLATFORM_TABLE_NAME")?))
}

/// The endpoint over the platform's table.
pub fn router(platform: Table) -> Router {
    routes(PATHS, post(reset_breaker)).with_state(platform)
}

#[derive(Serialize, ToSchema)]
#[schema(as = BreakerReset)]
struct Reset {
    service: &'static str,
    state: BreakerState,
}

/// The name by which a service is known here: the documents have two others.
fn known_as(service: &str) -> &str {
    match service {
        "sensor" => "sensors",
        "kafka" => "events",
        service => service,
    }
}

/// `POST /circuit-breaker/reset/{service}`: closes the breaker in front of a service, as an admin.
///
/// Instances that have read it open within the last second go by that until the second is over.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    params(("service" = String, Path, description = "A service's name.", example = "payments")),
    request_body = Option<Nothing>,
    responses((status = 200, body = Reset), (status = 409)),
)]
async fn reset_breaker(
    State(platform): State<Table>,
    caller: Caller,
    PathName(service): PathName,
    _: Option<Valid<Nothing>>,
) -> Result<Json<Reset>, Problem> {
    caller.must_be_admin()?;
    let service = SERVICES.into_iter().find(|known| *known == known_as(&service));
    let service = service.ok_or_else(|| Problem::not_found("service"))?;
    Breaker::new(platform, service).reset().await?;
    tracing::info!(service, "the breaker was reset");
    Ok(Json(Reset { service, state: BreakerState::Closed }))
}
