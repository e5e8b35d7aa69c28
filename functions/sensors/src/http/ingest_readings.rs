use axum::{Json, Router, extract::State, routing::post};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::{
    auth::{Caller, Scope},
    http::{Endpoint, FieldError, PathName, Problem, Valid, read_element, routes, within},
    id::Id,
    time::Timestamp,
};
use utoipa::ToSchema;

use super::known_type;
use crate::{
    Sensors,
    reading::{NewReading, Reading},
    recording::{self, Recorded},
    sensor_type::SensorType,
};

pub const PATHS: &[&str] = &["/api/sensors/{type}/readings"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Sensors::from_env()?))
}

pub fn router(sensors: Sensors) -> Router {
    routes(PATHS, post(ingest_readings)).with_state(sensors)
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = ReadingBatch)]
#[serde(deny_unknown_fields)]
struct Batch {
    /// Each is read by itself, so that a wrong one leaves the others alone.
    #[garde(length(min = 1, max = 100))]
    #[schema(value_type = Vec<NewReading>, min_items = 1, max_items = 100)]
    readings: Vec<Value>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ReadingOutcomes)]
struct Outcomes {
    accepted: usize,
    duplicates: usize,
    rejected: usize,
    /// To be sent again.
    unavailable: usize,
    results: Vec<Outcome>,
}

/// What became of the reading with this index in the request.
#[derive(Serialize, ToSchema)]
#[schema(as = ReadingOutcome)]
struct Outcome {
    index: usize,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Id>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ReadingOutcomeStatus)]
#[serde(rename_all = "snake_case")]
enum Status {
    Accepted,
    Duplicate,
    Rejected,
    Unavailable,
}

/// `POST /api/sensors/{type}/readings`: store up to a hundred readings, and say what became of each.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    params(("type" = String, Path, description = "The type of sensor.", example = "temperature")),
    request_body = Batch,
    responses((status = 200, body = Outcomes)),
)]
async fn ingest_readings(
    State(sensors): State<Sensors>,
    PathName(type_name): PathName,
    caller: Caller,
    Valid(batch): Valid<Batch>,
) -> Result<Json<Outcomes>, Problem> {
    caller.must_have_scope(Scope::SensorsWrite)?;
    let sensor_type = known_type(&sensors.types, &type_name)?;
    let now = Timestamp::now();
    let mut outcomes = Vec::with_capacity(batch.readings.len());
    let (mut accepted, mut indexes) = (Vec::new(), Vec::new());
    for (index, element) in batch.readings.iter().enumerate() {
        match accept(element, &type_name, sensor_type, now) {
            Ok(reading) => {
                indexes.push(index);
                accepted.push(reading);
            }
            Err(errors) => outcomes.push(rejected(index, errors)),
        }
    }
    let recorded = recording::record(&sensors.table, &accepted).await?;
    outcomes.extend(
        indexes
            .into_iter()
            .zip(&accepted)
            .zip(recorded)
            .map(|((index, reading), recorded)| outcome(index, reading, recorded)),
    );
    if outcomes.iter().all(|outcome| outcome.status == Status::Unavailable) {
        return Err(Problem::unavailable("the service's table is unavailable; send all readings again"));
    }
    Ok(Json(summed_up(outcomes)))
}

fn accept(
    element: &Value,
    type_name: &str,
    sensor_type: &SensorType,
    now: Timestamp,
) -> Result<Reading, Vec<FieldError>> {
    let missing = |pointer: &str, detail: &str| vec![FieldError { pointer: pointer.into(), detail: detail.into() }];
    let new: NewReading = read_element(element)?;
    let device_id = new.device_id.as_deref().ok_or_else(|| missing("/device_id", "is required"))?;
    if new.recorded_at.is_none() && new.reading_id.is_none() {
        return Err(missing("/recorded_at", "give recorded_at or reading_id, so that the reading can be sent again"));
    }
    new.accept(type_name, sensor_type, device_id, now)
}

fn rejected(index: usize, errors: Vec<FieldError>) -> Outcome {
    Outcome { index, status: Status::Rejected, id: None, errors: within(&format!("/readings/{index}"), errors) }
}

fn outcome(index: usize, reading: &Reading, recorded: Recorded) -> Outcome {
    let told = |status, id| Outcome { index, status, id, errors: Vec::new() };
    match recorded {
        Recorded::Accepted => told(Status::Accepted, Some(reading.id)),
        Recorded::Duplicate => told(Status::Duplicate, Some(reading.id)),
        Recorded::Unavailable => told(Status::Unavailable, None),
        Recorded::Conflict => {
            let detail = "another reading with this identity is stored".to_owned();
            rejected(index, vec![FieldError { pointer: String::new(), detail }])
        }
    }
}

fn summed_up(mut results: Vec<Outcome>) -> Outcomes {
    results.sort_by_key(|outcome| outcome.index);
    let count = |status| results.iter().filter(|outcome| outcome.status == status).count();
    Outcomes {
        accepted: count(Status::Accepted),
        duplicates: count(Status::Duplicate),
        rejected: count(Status::Rejected),
        unavailable: count(Status::Unavailable),
        results,
    }
}
