use std::{sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, routing::get};
use serde::Serialize;
use shared::{
    cache::Cached,
    http::{Endpoint, Problem, routes},
    table::Table,
    time::Timestamp,
};
use utoipa::ToSchema;

use crate::{
    queues::Queues,
    sqs::Sqs,
    stats::{QueueStats, StreamStats, queue_stats},
};

pub const PATHS: &[&str] = &["/api/events/stats", "/kafka/stats"];

/// How old the queues' figures may be: anybody may ask, and each time costs two calls for every queue.
const QUEUES_FRESH_FOR: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Sources {
    table: Table,
    queues: Arc<dyn Queues>,
    latest: Arc<Cached<Option<Vec<QueueStats>>>>,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?, Arc::new(Sqs::from_env()?)))
}

pub fn router(table: Table, queues: Arc<dyn Queues>) -> Router {
    let latest = Arc::new(Cached::new(QUEUES_FRESH_FOR));
    routes(PATHS, get(event_stats)).with_state(Sources { table, queues, latest })
}

#[derive(Serialize, ToSchema)]
#[schema(as = EventStats)]
struct Stats {
    #[serde(flatten)]
    stream: StreamStats,
    /// `null` while the queues cannot be asked.
    queues: Option<Vec<QueueStats>>,
}

/// `GET /api/events/stats`: how many events there were, of which kind, how fast they come, and how
/// full the queues are. Without the queues, the rest.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    responses((status = 200, body = Stats)),
)]
async fn event_stats(State(sources): State<Sources>) -> Result<Json<Stats>, Problem> {
    let queues = sources.latest.get(queue_stats(&*sources.queues));
    let (stream, queues) = tokio::join!(StreamStats::read(&sources.table, Timestamp::now()), queues);
    Ok(Json(Stats { stream: stream?, queues }))
}
