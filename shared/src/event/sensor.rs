use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::payload;
use crate::{id::Id, time::Timestamp};

/// A sensor's reading was stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SensorReadingRecorded {
    pub reading_id: Id,
    /// `temperature`
    pub sensor_type: String,
    pub device_id: String,
    /// In `unit`.
    pub value: f64,
    pub unit: String,
    /// When the sensor took it.
    pub recorded_at: Timestamp,
}

/// Which threshold a reading is beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    Above,
    Below,
}

/// A sensor's readings went beyond a threshold; not repeated until they have come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SensorAlertRaised {
    pub alert_id: Id,
    pub sensor_type: String,
    pub device_id: String,
    /// The reading that was beyond the threshold.
    pub reading_id: Id,
    pub kind: AlertKind,
    /// In `unit`.
    pub value: f64,
    /// In `unit`.
    pub threshold: f64,
    pub unit: String,
    pub recorded_at: Timestamp,
}

payload! {
    SensorReadingRecorded = "sensor.reading_recorded", "Reading", reading_id;
    SensorAlertRaised = "sensor.alert_raised", "Alert", alert_id;
}
