use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::{Deserialize, Serialize};
use shared::{
    auth::Caller,
    client::ServiceClient,
    http::{Endpoint, PathName, Problem, Valid, routes},
    idempotency::{Idempotency, Once, replayed},
    table::{Item, TableError, Transaction},
    time::Timestamp,
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{known_type, own_device};
use crate::{
    Sensors,
    reading::{NewReading, Reading},
    sensor_type::SensorType,
    store::{self, ReadingName},
    verification::{self, Verification},
};

pub const PATHS: &[&str] = &["/api/sensors/{type}/test", "/test/sensor/{type}"];

#[derive(Clone, Debug)]
struct Tests {
    sensors: Sensors,
    auth: ServiceClient,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Sensors::from_env()?, ServiceClient::from_env("auth")?))
}

/// The endpoint, with a client for auth's functions.
pub fn router(sensors: Sensors, auth: ServiceClient) -> Router {
    routes(PATHS, post(test_sensor)).with_state(Tests { sensors, auth })
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SensorTest)]
struct TestResult {
    status: Status,
    auth: Verification,
    /// That the reading waits to be counted and judged.
    processing: Processing,
    #[serde(flatten)]
    reading: Reading,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SensorTestStatus)]
#[serde(rename_all = "snake_case")]
enum Status {
    Success,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Processing {
    Queued,
}

/// `POST /api/sensors/{type}/test`: take a reading, or the one in the body, and queue its processing.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    params(("type" = String, Path, description = "The type of sensor.", example = "temperature"), Idempotency),
    request_body = Option<NewReading>,
    responses((status = 201, body = TestResult), (status = 403)),
)]
async fn test_sensor(
    State(Tests { sensors, auth }): State<Tests>,
    PathName(type_name): PathName,
    caller: Caller,
    headers: HeaderMap,
    idempotency: Idempotency,
    body: Option<Valid<NewReading>>,
) -> Result<Response, Problem> {
    let user_id = caller.user_id()?;
    let sensor_type = known_type(&sensors.types, &type_name)?;
    let given = body.map(|Valid(new)| new);
    let new = distinct(given.clone().unwrap_or_else(|| taken(sensor_type)));
    let device_id = new.device_id.clone().unwrap_or_else(|| own_device(user_id));
    let reading = new.accept(&type_name, sensor_type, &device_id, Timestamp::now()).map_err(Problem::invalid)?;
    if reading.device_id != own_device(user_id) && !caller.is_admin() {
        return Err(Problem::forbidden("a device's readings are sent to its type's /readings, with an API key"));
    }
    let auth = verification::verify(&auth, &caller, &headers).await?;
    let result = TestResult { status: Status::Success, auth, processing: Processing::Queued, reading };
    let store = |_| Ok((store::insertion(Transaction::new(), &result.reading), result.clone()));
    Ok(answer(idempotency.create_or(&sensors.table, &given, store, explain).await?))
}

/// The reading of a sensor that works as it should: anywhere inside the thresholds.
fn taken(sensor_type: &SensorType) -> NewReading {
    let (lowest, highest) = sensor_type.clear_range();
    let random = u16::from_le_bytes([Uuid::new_v4().as_bytes()[0], Uuid::new_v4().as_bytes()[1]]);
    let value = lowest + (highest - lowest) * f64::from(random) / f64::from(u16::MAX);
    let value = (value * 100.0).round() / 100.0;
    NewReading { device_id: None, value: value.clamp(lowest, highest), unit: None, recorded_at: None, reading_id: None }
}

/// Two tests in the same millisecond are two readings.
fn distinct(new: NewReading) -> NewReading {
    match new {
        NewReading { recorded_at: None, reading_id: None, .. } => {
            NewReading { reading_id: Some(Uuid::new_v4().to_string()), ..new }
        }
        identified => identified,
    }
}

fn explain(error: TableError) -> Problem {
    if error.failed(Reading::TYPE) || error.failed(ReadingName::TYPE) {
        Problem::conflict("reading_exists", "this reading is stored already")
    } else {
        error.into()
    }
}

fn answer(result: Once<TestResult>) -> Response {
    match result {
        Once::First(result) => (StatusCode::CREATED, Json(result)).into_response(),
        Once::Again(result) => replayed((StatusCode::CREATED, Json(result)).into_response()),
    }
}
