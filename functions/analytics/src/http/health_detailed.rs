use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use shared::{
    auth::{Caller, Scope as KeyScope},
    health::{Health, HealthStatus},
    http::{Endpoint, Problem, routes},
    table::{Table, TableError},
    time::Timestamp,
};
use utoipa::ToSchema;

use crate::{
    SERVICE,
    cache::{self, CacheUse, RATE_HOURS},
    model::{Model, Models},
    progress::Progress,
    queue::{EventQueue, QueueDepth, Sqs},
    store::{self, Scope},
};

pub const PATHS: &[&str] = &["/api/analytics/health/detailed"];

#[derive(Clone)]
struct Sources {
    table: Table,
    queue: Arc<dyn EventQueue>,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?, Arc::new(Sqs::from_env()?)))
}

pub fn router(table: Table, queue: Arc<dyn EventQueue>) -> Router {
    routes(PATHS, get(detailed)).with_state(Sources { table, queue })
}

#[derive(Serialize, ToSchema)]
#[schema(as = AnalyticsHealth)]
struct Detailed {
    #[serde(flatten)]
    health: Health,
    /// `null` while the table does not answer.
    #[serde(flatten)]
    figures: Option<Figures>,
    /// `null` while the queue cannot be asked.
    queue: Option<QueueDepth>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AnalyticsHealthFigures)]
struct Figures {
    read_model: ReadModel,
    lag: Lag,
    cache: Cache,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ReadModelState)]
struct ReadModel {
    version: Model,
    /// The version that a rebuild fills.
    building: Option<Model>,
    /// Payments and refunds that were counted.
    facts: u64,
}

#[derive(Serialize, ToSchema)]
struct Lag {
    #[serde(flatten)]
    progress: Progress,
    /// How much later the newest event seen occurred than the newest applied.
    milliseconds: u128,
}

#[derive(Serialize, ToSchema)]
struct Cache {
    hours: u64,
    #[serde(flatten)]
    used: CacheUse,
    /// Hits of all questions, 0 to 1; `null` when nothing was asked.
    rate: Option<f64>,
}

/// `GET /api/analytics/health/detailed`: how far the read model is behind, how many answers could be
/// given again, and how full the queue is. 503 when the table does not answer.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    responses((status = 200, body = Detailed), (status = 503, body = Health)),
)]
async fn detailed(State(sources): State<Sources>, caller: Caller) -> Result<Response, Problem> {
    caller.must_have_scope(KeyScope::AnalyticsRead)?;
    let (figures, queue) = tokio::join!(figures(&sources.table, Timestamp::now()), sources.queue.depth());
    let figures = figures.inspect_err(|error| tracing::error!(%error, "unhealthy")).ok();
    let queue = queue.inspect_err(|error| tracing::warn!(%error, "the queue's depth is missing")).ok();
    let (code, status) = match (&figures, queue) {
        (None, _) => (StatusCode::SERVICE_UNAVAILABLE, HealthStatus::Unhealthy),
        (Some(_), Some(QueueDepth { dead_letters: 0, .. })) => (StatusCode::OK, HealthStatus::Healthy),
        (Some(_), _) => (StatusCode::OK, HealthStatus::Degraded),
    };
    let health = Health { status, service: SERVICE.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    Ok((code, Json(Detailed { health, figures, queue })).into_response())
}

async fn figures(table: &Table, now: Timestamp) -> Result<Figures, TableError> {
    let models = Models::read(table).await?;
    let (version, progress, used) = futures::try_join!(
        store::version(table, models.active, Scope::Business),
        Progress::read(table),
        cache::recent_use(table, now)
    )?;
    let asked = used.hits + used.misses;
    Ok(Figures {
        read_model: ReadModel { version: models.active, building: models.building, facts: version.facts },
        lag: Lag { milliseconds: progress.lag_ms(now), progress },
        cache: Cache { hours: RATE_HOURS, used, rate: (asked > 0).then(|| used.hits as f64 / asked as f64) },
    })
}
