use axum::{Router, extract::State, response::IntoResponse, routing::get};
use serde::{
    Deserialize, Serialize,
    de::{IntoDeserializer, value::Error as ValueError},
};
use shared::{
    auth::Caller,
    event::Envelope,
    http::{Endpoint, Problem, QueryParams, routes},
    id::Id,
    table::{Page, PageRequest, Table},
    time::Timestamp,
};
use utoipa::{IntoParams, ToSchema};

use crate::{entry::LoggedEvent, filter::Filter, store};

pub const PATHS: &[&str] = &["/api/events", "/kafka/logs"];

/// The longest text that is looked for.
const MAX_LENGTH: usize = 200;

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, get(list_events)).with_state(table)
}

/// The filter as it is in the query string.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FilterQuery {
    #[param(format = DateTime)]
    from: Option<String>,
    #[param(format = DateTime)]
    to: Option<String>,
    #[serde(rename = "type")]
    #[param(min_length = 1, max_length = 200)]
    event_type: Option<String>,
    #[param(min_length = 1, max_length = 200)]
    service: Option<String>,
    #[param(min_length = 1, max_length = 200, example = "Order:42")]
    aggregate: Option<String>,
    #[param(min_length = 1, max_length = 200)]
    correlation_id: Option<String>,
}

impl FilterQuery {
    fn filter(self) -> Result<Filter, Problem> {
        if let Some(aggregate) = &self.aggregate
            && !aggregate.split_once(':').is_some_and(|(kind, id)| !kind.is_empty() && id.parse::<Id>().is_ok())
        {
            return Err(parameter("?aggregate", "an aggregate's type and id, as in Order:42"));
        }
        Ok(Filter {
            from: self.from.map(|text| moment("?from", &text)).transpose()?,
            to: self.to.map(|text| moment("?to", &text)).transpose()?,
            event_type: short("?type", self.event_type)?,
            service: short("?service", self.service)?,
            aggregate: short("?aggregate", self.aggregate)?,
            correlation_id: short("?correlation_id", self.correlation_id)?,
        })
    }
}

fn moment(pointer: &str, text: &str) -> Result<Timestamp, Problem> {
    Timestamp::deserialize(IntoDeserializer::<ValueError>::into_deserializer(text))
        .map_err(|_| parameter(pointer, "a moment as in 2026-01-15T10:30:45.123Z"))
}

fn short(pointer: &str, text: Option<String>) -> Result<Option<String>, Problem> {
    match text {
        Some(text) if text.is_empty() || text.len() > MAX_LENGTH => {
            Err(parameter(pointer, &format!("1 to {MAX_LENGTH} characters")))
        }
        text => Ok(text),
    }
}

fn parameter(pointer: &str, detail: &str) -> Problem {
    Problem::malformed(detail).at(pointer)
}

/// An event with what the log adds to it.
#[derive(Serialize, ToSchema)]
#[schema(as = LoggedEvent)]
struct Logged {
    #[serde(flatten)]
    event: Envelope,
    service: String,
    logged_at: Timestamp,
}

impl Logged {
    fn of(entry: &LoggedEvent) -> Result<Self, Problem> {
        let event = entry.event().map_err(Problem::internal)?;
        Ok(Self { event, service: entry.service.clone(), logged_at: entry.logged_at })
    }
}

/// `GET /api/events`: the log, newest first, as an admin: all of it, or what the filter asks for.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    params(FilterQuery, PageRequest),
    responses((status = 200, body = Page<Logged>)),
)]
async fn list_events(
    State(table): State<Table>,
    caller: Caller,
    request: PageRequest,
    QueryParams(query): QueryParams<FilterQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.must_be_admin()?;
    let Page { data, next } = store::page(&table, &query.filter()?, &request).await?;
    let data = data.iter().map(Logged::of).collect::<Result<_, _>>()?;
    Ok(Page::<Logged> { data, next })
}
