use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, routing::get};
use futures::future::join_all;
use serde::Serialize;
use shared::{
    breaker::{Breaker, BreakerState},
    cache::Cached,
    client::ServiceClient,
    health::{Health, HealthStatus},
    http::{Endpoint, routes},
    table::Table,
    time::Timestamp,
};
use utoipa::ToSchema;

use crate::SERVICES;

pub const PATHS: &[&str] = &["/health", "/api/health"];

/// How long a service may take to say how it is.
const DEADLINE: Duration = Duration::from_millis(1500);

/// How old the answer may be: anybody may ask, and each time costs a call of every service.
const FRESH_FOR: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Gateway {
    services: Vec<ServiceClient>,
    platform: Table,
    latest: Arc<Cached<SystemHealth>>,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    let platform = Table::from_env_variable("PLATFORM_TABLE_NAME")?;
    Ok(router(ServiceClient::all_from_env(SERVICES)?.to_vec(), platform))
}

/// The endpoint over a client for each of [`SERVICES`], in their order, and the breakers' table.
pub fn router(services: Vec<ServiceClient>, platform: Table) -> Router {
    routes(PATHS, get(health)).with_state(Gateway { services, platform, latest: Arc::new(Cached::new(FRESH_FOR)) })
}

#[derive(Clone, Debug, Serialize, ToSchema)]
struct SystemHealth {
    gateway: HealthStatus,
    overall_status: HealthStatus,
    services: BTreeMap<&'static str, ServiceHealth>,
    circuit_breakers: BTreeMap<&'static str, BreakerState>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
struct ServiceHealth {
    status: HealthStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

/// `GET /health`: how every service is, asked of all at the same time.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    responses((status = 200, body = SystemHealth)),
)]
async fn health(State(gateway): State<Gateway>) -> Json<SystemHealth> {
    Json(gateway.latest.get(find_out(&gateway)).await)
}

async fn find_out(gateway: &Gateway) -> SystemHealth {
    let probes = join_all(gateway.services.iter().map(probe));
    let (healths, circuit_breakers) = tokio::join!(probes, breakers(&gateway.platform));
    let services: BTreeMap<_, _> = SERVICES.into_iter().zip(healths).collect();
    let overall_status = overall(services.values().map(|service| service.status));
    SystemHealth { gateway: HealthStatus::Healthy, overall_status, services, circuit_breakers }
}

async fn probe(service: &ServiceClient) -> ServiceHealth {
    match service.probe::<Health>(DEADLINE).await {
        Ok(health) => ServiceHealth { status: health.status, version: Some(health.version) },
        Err(error) => {
            tracing::warn!(%error, "a service is unhealthy");
            ServiceHealth { status: HealthStatus::Unhealthy, version: None }
        }
    }
}

async fn breakers(platform: &Table) -> BTreeMap<&'static str, BreakerState> {
    let reads = tokio::time::timeout(DEADLINE, Breaker::records(platform, &SERVICES));
    match reads.await {
        Ok(Ok(records)) => {
            let now = Timestamp::now();
            SERVICES.into_iter().zip(records.iter().map(|record| record.state(now))).collect()
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "the breakers' states cannot be read");
            BTreeMap::new()
        }
        Err(_) => BTreeMap::new(),
    }
}

fn overall(statuses: impl Iterator<Item = HealthStatus>) -> HealthStatus {
    let statuses: Vec<_> = statuses.collect();
    if statuses.iter().all(|status| *status == HealthStatus::Healthy) {
        HealthStatus::Healthy
    } else if statuses.iter().all(|status| *status == HealthStatus::Unhealthy) {
        HealthStatus::Unhealthy
    } else {
        HealthStatus::Degraded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_service_down_is_a_degraded_system() {
        use HealthStatus::{Degraded, Healthy, Unhealthy};
        assert_eq!(overall([Healthy, Healthy].into_iter()), Healthy);
        assert_eq!(overall([Healthy, Unhealthy].into_iter()), Degraded);
        assert_eq!(overall([Unhealthy, Unhealthy].into_iter()), Unhealthy);
    }
}
