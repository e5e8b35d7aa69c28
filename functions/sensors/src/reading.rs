//! A sensor's reading, and what makes it the same one as another.

use std::time::Duration;

use garde::Validate;
use serde::{Deserialize, Serialize};
use shared::{event::SensorReadingRecorded, http::FieldError, id::Id, time::Timestamp};
use utoipa::ToSchema;

use crate::sensor_type::SensorType;

/// How long after it was taken a reading is accepted.
const OLDEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// How far ahead a device's clock may be.
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);
/// Values closer to zero are zero, so that no table rounds them.
const SMALLEST: f64 = 1e-12;

/// A reading as a device sends it.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "device_id": "boiler-1", "value": 61.25 }))]
pub struct NewReading {
    #[garde(inner(custom(name)))]
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._:-]+$")]
    pub device_id: Option<String>,
    #[garde(skip)]
    pub value: f64,
    /// Of the sensor's type; may be given to be sure.
    #[garde(skip)]
    pub unit: Option<String>,
    /// When the sensor took it, if not now.
    #[garde(skip)]
    pub recorded_at: Option<Timestamp>,
    /// The device's own name for the reading. Readings with the same one are the same.
    #[garde(inner(custom(name)))]
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._:-]+$")]
    pub reading_id: Option<String>,
}

fn name(text: &str, (): &()) -> garde::Result {
    if is_name(text) { Ok(()) } else { Err(garde::Error::new("1 to 64 of A-Z, a-z, 0-9, '.', '_', ':' and '-'")) }
}

/// Whether this can be a device's or a reading's name.
pub fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// A reading as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reading {
    /// Made from what identifies the reading, so that it is the same however often it is sent.
    pub id: Id,
    pub sensor_type: String,
    pub device_id: String,
    pub reading_id: Option<String>,
    /// In `unit`.
    pub value: f64,
    pub unit: String,
    pub recorded_at: Timestamp,
    pub received_at: Timestamp,
}

impl NewReading {
    /// The reading of a sensor of this type, received at `now`.
    ///
    /// # Errors
    /// Every field that a sensor of this type cannot have sent.
    pub fn accept(
        &self,
        type_name: &str,
        sensor_type: &SensorType,
        device_id: &str,
        now: Timestamp,
    ) -> Result<Reading, Vec<FieldError>> {
        let errors = self.faults(sensor_type, now);
        if !errors.is_empty() {
            return Err(errors);
        }
        let recorded_at = self.recorded_at.unwrap_or(now);
        Ok(Reading {
            id: id(type_name, device_id, self.reading_id.as_deref(), recorded_at),
            sensor_type: type_name.to_owned(),
            device_id: device_id.to_owned(),
            reading_id: self.reading_id.clone(),
            value: if self.value.abs() < SMALLEST { 0.0 } else { self.value },
            unit: sensor_type.unit.clone(),
            recorded_at,
            received_at: now,
        })
    }

    fn faults(&self, sensor_type: &SensorType, now: Timestamp) -> Vec<FieldError> {
        let SensorType { unit, min, max, .. } = sensor_type;
        let mut errors = Vec::new();
        let mut fault = |pointer: &str, detail: String| errors.push(FieldError { pointer: pointer.into(), detail });
        if !(*min..=*max).contains(&self.value) {
            fault("/value", format!("a value from {min} to {max} {unit}"));
        }
        if self.unit.as_ref().is_some_and(|given| given != unit) {
            fault("/unit", format!("the unit is {unit}"));
        }
        if let Some(recorded_at) = self.recorded_at {
            if recorded_at > now.plus(CLOCK_SKEW) {
                fault("/recorded_at", "not more than 5 minutes ahead".into());
            } else if now.since(recorded_at) > OLDEST {
                fault("/recorded_at", "not more than 7 days ago".into());
            }
        }
        errors
    }
}

/// The id of a reading: of a device's own name for it, or of the moment when the device took it.
fn id(sensor_type: &str, device_id: &str, reading_id: Option<&str>, recorded_at: Timestamp) -> Id {
    match reading_id {
        Some(name) => Id::derived(&format!("{sensor_type}#{device_id}#name#{name}")),
        None => Id::derived(&format!("{sensor_type}#{device_id}#moment#{recorded_at}")),
    }
}

impl Reading {
    /// Whether this reading, which has the stored one's identity, says what the stored one says. A
    /// moment that the device left to the service to give makes no difference.
    pub fn repeats(&self, stored: &Self) -> bool {
        self.value == stored.value && (self.recorded_at == stored.recorded_at || self.recorded_at == self.received_at)
    }

    pub fn recorded_event(&self) -> SensorReadingRecorded {
        SensorReadingRecorded {
            reading_id: self.id,
            sensor_type: self.sensor_type.clone(),
            device_id: self.device_id.clone(),
            value: self.value,
            unit: self.unit.clone(),
            recorded_at: self.recorded_at,
        }
    }
}
