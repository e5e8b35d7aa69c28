use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::post};
use garde::Validate;
use serde::Deserialize;
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, Valid, routes},
    table::{Cursor, Table},
    time::Timestamp,
};
use utoipa::ToSchema;

use crate::{
    queues::Queues,
    replay::{self, Replay, Replayed},
    sqs::Sqs,
};

pub const PATHS: &[&str] = &["/api/events/replay"];

/// Events that one call sends when it does not say.
const DEFAULT_LIMIT: u16 = 100;
const MAX_TYPE_LENGTH: usize = 200;

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
    routes(PATHS, post(replay_events)).with_state(Sources { table, queues })
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayRequest {
    /// The consumer's queue: `orders-on-user-events`.
    #[garde(skip)]
    queue: String,
    #[garde(skip)]
    from: Timestamp,
    /// Now when absent.
    #[garde(skip)]
    to: Option<Timestamp>,
    #[garde(skip)]
    #[serde(rename = "type")]
    #[schema(min_length = 1, max_length = 200)]
    event_type: Option<String>,
    #[garde(range(min = 1, max = 1000))]
    #[serde(default = "default_limit")]
    #[schema(minimum = 1, maximum = 1000)]
    limit: u16,
    /// `next` of the call before.
    #[garde(skip)]
    cursor: Option<String>,
    /// The name of the rebuild that this is part of, for a consumer that has lost what it made of the
    /// events: for each name it handles them once more. The same in all calls of a rebuild.
    #[garde(inner(pattern("^[A-Za-z0-9._-]{1,64}$")))]
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    rebuild: Option<String>,
    #[garde(skip)]
    #[serde(default)]
    dry_run: bool,
}

fn default_limit() -> u16 {
    DEFAULT_LIMIT
}

impl ReplayRequest {
    fn replay(self) -> Result<Replay, Problem> {
        let to = self.to.unwrap_or_else(Timestamp::now);
        if to <= self.from {
            return Err(Problem::invalid_field("/to", "later than from"));
        }
        if self.event_type.as_ref().is_some_and(|name| !(1..=MAX_TYPE_LENGTH).contains(&name.len())) {
            return Err(Problem::invalid_field("/type", format!("1 to {MAX_TYPE_LENGTH} characters")));
        }
        let cursor = self.cursor.as_deref().map(Cursor::parse).transpose();
        Ok(Replay {
            queue: self.queue.parse().map_err(|error| invalid("/queue", &error))?,
            from: self.from,
            to,
            event_type: self.event_type,
            limit: usize::from(self.limit),
            cursor: cursor.map_err(|error| invalid("/cursor", &error))?,
            rebuild: self.rebuild,
            dry_run: self.dry_run,
        })
    }
}

fn invalid(pointer: &str, error: &dyn std::error::Error) -> Problem {
    Problem::invalid_field(pointer, error.to_string())
}

/// `POST /api/events/replay`: send events of a time range from the log to one consumer's queue again,
/// as an admin. See [`replay`](crate::replay) for what it is for.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    request_body = ReplayRequest,
    responses((status = 200, body = Replayed)),
)]
async fn replay_events(
    State(sources): State<Sources>,
    caller: Caller,
    Valid(request): Valid<ReplayRequest>,
) -> Result<Json<Replayed>, Problem> {
    caller.must_be_admin()?;
    let replay = request.replay()?;
    let replayed = replay::replay(&sources.table, &*sources.queues, &replay).await?;
    tracing::info!(queue = %replay.queue, events = replayed.events, rebuild = replay.rebuild, by = caller.subject(),
        dry_run = replay.dry_run, "replayed");
    Ok(Json(replayed))
}
