use std::sync::Arc;

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use serde::Deserialize;
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, QueryParams, routes},
    table::{Page, PageRequest, Table},
};
use utoipa::IntoParams;

use crate::{
    dead_letters::{self, DeadLetter},
    queues::{InvalidQueueName, QueueName, Queues},
    sqs::Sqs,
};

pub const PATHS: &[&str] = &["/api/events/dead-letters"];

#[derive(Clone)]
struct Sources {
    platform: Table,
    queues: Arc<dyn Queues>,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env_variable("PLATFORM_TABLE_NAME")?, Arc::new(Sqs::from_env()?)))
}

pub fn router(platform: Table, queues: Arc<dyn Queues>) -> Router {
    routes(PATHS, get(list_dead_letters)).with_state(Sources { platform, queues })
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct QueueQuery {
    queue: Option<String>,
}

/// `GET /api/events/dead-letters`: the messages that could not be handled, and why, as an admin; of
/// one `?queue=`, or of all. There is no next page, since SQS has none: the first `?limit=` messages
/// that it hands out are shown.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    params(QueueQuery, PageRequest),
    responses((status = 200, body = Page<DeadLetter>), (status = 404)),
)]
async fn list_dead_letters(
    State(sources): State<Sources>,
    caller: Caller,
    request: PageRequest,
    QueryParams(query): QueryParams<QueueQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.must_be_admin()?;
    if request.cursor.is_some() {
        return Err(Problem::malformed("dead letters have no pages").at("?cursor"));
    }
    let queue: Option<QueueName> = query.queue.map(|name| name.parse()).transpose().map_err(unnamed)?;
    let limit = usize::from(request.limit.unwrap_or(PageRequest::DEFAULT_LIMIT));
    let data = dead_letters::look(&*sources.queues, &sources.platform, queue, limit).await?;
    Ok(Page::<DeadLetter> { data, next: None })
}

fn unnamed(error: InvalidQueueName) -> Problem {
    Problem::malformed(error.to_string()).at("?queue")
}
