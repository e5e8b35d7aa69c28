use std::time::Duration;

use axum::{Json, Router, extract::State, routing::get};
use serde::{Deserialize, Serialize};
use shared::{
    auth::Caller,
    http::{Endpoint, PathName, Problem, QueryParams, routes},
    time::Timestamp,
};
use utoipa::{IntoParams, ToSchema};

use super::{device, known_type, moment, must_be_signed_in, parameter};
use crate::{
    Sensors,
    excursion::Excursion,
    statistics::{Summary, WINDOW, window_of},
    store::{self, Outlier, SensorState, Series, TYPE_SHARDS, Window},
};

pub const PATHS: &[&str] = &["/api/sensors/{type}/stats"];

/// What is summed up when nothing else is asked for.
const DEFAULT_SPAN: Duration = Duration::from_secs(3600);
const LONGEST_SPAN: Duration = Duration::from_secs(24 * 3600);

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Sensors::from_env()?))
}

pub fn router(sensors: Sensors) -> Router {
    routes(PATHS, get(statistics)).with_state(sensors)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Query {
    /// All devices when it is not given.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._:-]+$")]
    device_id: Option<String>,
    #[param(format = DateTime)]
    from: Option<String>,
    #[param(format = DateTime)]
    to: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SensorStatistics)]
struct Statistics {
    sensor_type: String,
    unit: String,
    /// `null` for all devices.
    device_id: Option<String>,
    window_seconds: u64,
    from: Timestamp,
    to: Timestamp,
    #[serde(flatten)]
    total: Figures,
    /// Those with readings, by time.
    windows: Vec<WindowFigures>,
    #[serde(flatten)]
    now: Option<Present>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SensorFigures)]
struct Figures {
    count: u64,
    mean: Option<f64>,
    /// The sample variance.
    variance: Option<f64>,
    std_dev: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    outliers: u64,
}

#[derive(Serialize, ToSchema)]
struct WindowFigures {
    start: Timestamp,
    #[serde(flatten)]
    figures: Figures,
}

/// What only a single device has.
#[derive(Serialize, ToSchema)]
#[schema(as = SensorState)]
struct Present {
    alert: Option<Excursion>,
    recent_outliers: Vec<Outlier>,
}

impl From<Summary> for Figures {
    fn from(summary: Summary) -> Self {
        Self {
            count: summary.count,
            mean: summary.mean(),
            variance: summary.variance(),
            std_dev: summary.variance().map(f64::sqrt),
            min: summary.min(),
            max: summary.max(),
            outliers: summary.outliers,
        }
    }
}

impl From<Option<SensorState>> for Present {
    fn from(state: Option<SensorState>) -> Self {
        let alert = state.as_ref().and_then(|state| state.timeline.current());
        Self { alert, recent_outliers: state.map(|state| state.outliers).unwrap_or_default() }
    }
}

/// `GET /api/sensors/{type}/stats`: rolling statistics of one device, or of all of a type.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    params(("type" = String, Path, description = "The type of sensor.", example = "temperature"), Query),
    responses((status = 200, body = Statistics)),
)]
async fn statistics(
    State(sensors): State<Sensors>,
    PathName(type_name): PathName,
    caller: Caller,
    QueryParams(query): QueryParams<Query>,
) -> Result<Json<Statistics>, Problem> {
    must_be_signed_in(&caller)?;
    let unit = known_type(&sensors.types, &type_name)?.unit.clone();
    let device_id = device(query.device_id)?;
    let (from, to) = range(query.from.as_deref(), query.to.as_deref())?;
    let series = series(&type_name, device_id.as_deref());
    let present = async {
        match &device_id {
            Some(device_id) => {
                store::known_state(&sensors.table, &type_name, device_id).await.map(|state| Some(state.into()))
            }
            None => Ok(None),
        }
    };
    let (stored, now) = futures::try_join!(store::windows(&sensors.table, &series, (from, to)), present)?;
    let windows = together(&stored);
    let total = windows.iter().fold(Summary::default(), |total, (_, summary)| total.merged(summary)).into();
    let windows =
        windows.into_iter().map(|(start, summary)| WindowFigures { start, figures: summary.into() }).collect();
    let window_seconds = WINDOW.as_secs();
    Ok(Json(Statistics { sensor_type: type_name, unit, device_id, window_seconds, from, to, total, windows, now }))
}

fn series(type_name: &str, device_id: Option<&str>) -> Vec<Series> {
    match device_id {
        Some(device_id) => vec![Series::of_device(type_name, device_id)],
        None => (0..TYPE_SHARDS).map(|shard| Series::of_type(type_name, shard)).collect(),
    }
}

/// The windows' summaries, those of one moment put together.
fn together(windows: &[Window]) -> Vec<(Timestamp, Summary)> {
    let parts = windows.chunk_by(|a, b| a.start == b.start);
    parts
        .filter_map(|parts| {
            let whole = parts.iter().fold(Summary::default(), |whole, part| whole.merged(&part.summary));
            parts.first().map(|part| (part.start, whole))
        })
        .collect()
}

/// Whole windows: from the one that `from` is in, to the end of the one that `to` is in.
fn range(from: Option<&str>, to: Option<&str>) -> Result<(Timestamp, Timestamp), Problem> {
    let to = moment("?to", to)?.unwrap_or_else(Timestamp::now);
    let from = moment("?from", from)?.unwrap_or_else(|| to.minus(DEFAULT_SPAN));
    if from > to {
        Err(parameter("?to", "not before ?from"))
    } else if to.since(from) > LONGEST_SPAN {
        Err(parameter("?from", "not more than 24 hours before ?to"))
    } else {
        Ok((window_of(from), window_of(to).plus(WINDOW)))
    }
}
