use std::sync::Arc;

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use garde::Validate;
use serde::Deserialize;
use shared::{
    auth::Caller,
    http::{Endpoint, PathName, Problem, Valid, routes},
};
use utoipa::ToSchema;

use crate::{
    dead_letters::{self, Method, Redriven},
    queues::{QueueName, Queues},
    sqs::Sqs,
};

pub const PATHS: &[&str] = &["/api/events/dead-letters/{queue}/redrive"];

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct Redrive {
    /// The one message to send home; all when absent.
    #[garde(inner(length(min = 1, max = 200)))]
    #[schema(min_length = 1, max_length = 200)]
    message_id: Option<String>,
    #[garde(skip)]
    #[serde(default)]
    dry_run: bool,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Arc::new(Sqs::from_env()?)))
}

pub fn router(queues: Arc<dyn Queues>) -> Router {
    routes(PATHS, post(redrive)).with_state(queues)
}

/// `POST /api/events/dead-letters/{queue}/redrive`: send one message, or all, back to the queue that
/// they could not be handled from, as an admin. 202 when the queue service goes on with it after the
/// answer.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    params(("queue" = String, Path, description = "A consumer's queue.", example = "orders-on-user-events")),
    request_body = Redrive,
    responses(
        (status = 200, body = Redriven),
        (status = 202, description = "The queue service goes on with it.", body = Redriven),
    ),
)]
async fn redrive(
    State(queues): State<Arc<dyn Queues>>,
    caller: Caller,
    PathName(queue): PathName,
    Valid(redrive): Valid<Redrive>,
) -> Result<(StatusCode, Json<Redriven>), Problem> {
    caller.must_be_admin()?;
    let queue: QueueName = queue.parse().map_err(|_| Problem::not_found("queue"))?;
    let redriven = match &redrive.message_id {
        Some(message_id) => dead_letters::redrive_one(&*queues, &queue, message_id, redrive.dry_run).await?,
        None => dead_letters::redrive_all(&*queues, &queue, redrive.dry_run).await?,
    };
    tracing::info!(%queue, method = ?redriven.method, messages = redriven.messages, by = caller.subject(), "redriven");
    let status = if redriven.method == Method::Native { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(redriven)))
}
