use std::time::Duration;

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use serde::Deserialize;
use shared::{
    auth::Caller,
    http::{Endpoint, PathName, Problem, QueryParams, routes},
    table::{Page, PageRequest},
    time::Timestamp,
};
use utoipa::IntoParams;

use super::{device, known_type, moment, own_device, parameter};
use crate::{Sensors, reading::Reading, store};

pub const PATHS: &[&str] = &["/api/sensors/{type}/readings"];

/// Later than the clock of any device whose readings are accepted.
const AHEAD: Duration = Duration::from_secs(24 * 3600);

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Sensors::from_env()?))
}

pub fn router(sensors: Sensors) -> Router {
    routes(PATHS, get(list_readings)).with_state(sensors)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Query {
    /// The caller's own sensor tests when it is not given.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._:-]+$")]
    device_id: Option<String>,
    #[param(format = DateTime)]
    from: Option<String>,
    #[param(format = DateTime)]
    to: Option<String>,
}

/// `GET /api/sensors/{type}/readings`: a device's readings, newest first.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    params(("type" = String, Path, description = "The type of sensor.", example = "temperature"), Query, PageRequest),
    responses((status = 200, body = Page<Reading>)),
)]
async fn list_readings(
    State(sensors): State<Sensors>,
    PathName(type_name): PathName,
    caller: Caller,
    QueryParams(query): QueryParams<Query>,
    request: PageRequest,
) -> Result<impl IntoResponse, Problem> {
    let own = own_device(caller.user_id()?);
    known_type(&sensors.types, &type_name)?;
    let device_id = device(query.device_id)?.unwrap_or(own);
    let range = range(query.from.as_deref(), query.to.as_deref())?;
    Ok(store::readings(&sensors.table, &type_name, &device_id, range, &request).await?)
}

fn range(from: Option<&str>, to: Option<&str>) -> Result<(Timestamp, Timestamp), Problem> {
    let from = moment("?from", from)?.unwrap_or(Timestamp::from_unix_millis(0));
    let to = moment("?to", to)?.unwrap_or_else(|| Timestamp::now().plus(AHEAD));
    if from > to { Err(parameter("?to", "not before ?from")) } else { Ok((from, to)) }
}
