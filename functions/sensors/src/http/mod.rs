//! The sensors endpoints.

pub mod health;
pub mod ingest_readings;
pub mod list_readings;
pub mod statistics;
pub mod test_sensor;

use axum::http::StatusCode;
use shared::{auth::Caller, http::Problem, id::Id, time::Timestamp};

use crate::{
    reading::is_name,
    sensor_type::{SensorType, SensorTypes},
};

/// What the endpoints say of themselves.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    health::endpoint,
    ingest_readings::ingest_readings,
    list_readings::list_readings,
    statistics::statistics,
    test_sensor::test_sensor,
))]
pub struct Documentation;

/// 3000-01-01T00:00:00Z in milliseconds since the Unix epoch.
const YEAR_3000_MS: i64 = 32_503_680_000_000;

/// The type of this name; 404 when there is none.
fn known_type<'a>(types: &'a SensorTypes, name: &str) -> Result<&'a SensorType, Problem> {
    types.get(name).ok_or_else(|| {
        let known = types.names().collect::<Vec<_>>().join(", ");
        Problem::new(StatusCode::NOT_FOUND, "not_found", format!("no such type of sensor; there are {known}"))
    })
}

/// The device of somebody's sensor tests that name none.
fn own_device(user_id: Id) -> String {
    format!("test-{user_id}")
}

/// The device that a query asks for.
fn device(given: Option<String>) -> Result<Option<String>, Problem> {
    match given {
        Some(device_id) if !is_name(&device_id) => Err(parameter("?device_id", "not a device's name")),
        device_id => Ok(device_id),
    }
}

/// A moment in the query string, of the years 1970 to 2999.
fn moment(name: &str, given: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let parse = |text: &str| serde_json::from_value(text.into()).ok();
    let sensible = |moment: &Timestamp| (0..YEAR_3000_MS).contains(&moment.unix_millis());
    let wrong = || parameter(name, "a moment like 2026-01-15T10:30:45Z");
    given.map(|text| parse(text).filter(sensible).ok_or_else(wrong)).transpose()
}

fn parameter(pointer: &str, detail: &str) -> Problem {
    Problem::malformed(detail).at(pointer)
}

/// The caller if signed in; 403 for an API key.
fn must_be_signed_in(caller: &Caller) -> Result<(), Problem> {
    caller.user_id().map(|_| ())
}
