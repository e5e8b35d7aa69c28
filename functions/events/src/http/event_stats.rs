use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use serde::Serialize;
use shared::{
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

#[derive(Clone)]
struct Sources {
    table: Table,
    queues: Arc<dyn Queues>,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?, Arc::new(Sqs::from_env()?)))
}

pub fn router(table: Table, queues: Arc<dyn Queues>) -> Router {
    routes(PATHS, get(event_stats)).with_state(Sources { table, queues })
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
    let (stream, queues) =
        tokio::join!(StreamStats::read(&sources.table, Timestamp::now()), queue_stats(&*sources.queues));
    Ok(Json(Stats { stream: stream?, queues }))
}
