use std::{collections::BTreeMap, time::Duration};

use aws_sdk_lambda::Client;
use axum::{Json, Router, extract::State, routing::get};
use futures::future::join_all;
use serde::Serialize;
use shared::{
    auth::{Caller, Scope},
    aws,
    client::ServiceClient,
    health::{Health, HealthStatus},
    http::{Endpoint, Problem, routes},
};
use utoipa::ToSchema;

use crate::{SERVICES, catalogue::FunctionCatalogue};

pub const PATHS: &[&str] = &["/registry", "/api/registry"];

/// How long a service may take to say how it is.
const DEADLINE: Duration = Duration::from_millis(1500);

#[derive(Clone)]
struct Registry {
    services: Vec<ServiceClient>,
    functions: FunctionCatalogue,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    let functions = FunctionCatalogue::new(Client::new(&aws::sdk_config()?), &aws::required("STACK_NAME")?);
    Ok(router(ServiceClient::all_from_env(SERVICES)?.to_vec(), functions))
}

/// The endpoint over a client for each of [`SERVICES`], in their order.
pub fn router(services: Vec<ServiceClient>, functions: FunctionCatalogue) -> Router {
    routes(PATHS, get(registry)).with_state(Registry { services, functions })
}

#[derive(Serialize, ToSchema)]
#[schema(as = Registry)]
struct Services {
    services: BTreeMap<&'static str, Registered>,
}

#[derive(Serialize, ToSchema)]
struct Registered {
    status: HealthStatus,
    version: Option<String>,
    functions: Vec<String>,
}

/// `GET /registry`: every service, its version, its health and its deployed functions.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    responses((status = 200, body = Services)),
)]
async fn registry(State(registry): State<Registry>, caller: Caller) -> Result<Json<Services>, Problem> {
    caller.must_have_scope(Scope::RegistryRead)?;
    let probes = join_all(registry.services.iter().map(|service| service.probe::<Health>(DEADLINE)));
    let (healths, functions) = tokio::join!(probes, registry.functions.names());
    let functions = functions?;
    let services = SERVICES.into_iter().zip(healths).map(|(service, health)| {
        let own = functions.iter().filter(|name| name.split('-').next() == Some(service)).cloned().collect();
        let (status, version) = match health {
            Ok(health) => (health.status, Some(health.version)),
            Err(error) => {
                tracing::warn!(%error, "a service is unhealthy");
                (HealthStatus::Unhealthy, None)
            }
        };
        (service, Registered { status, version, functions: own })
    });
    Ok(Json(Services { services: services.collect() }))
}
