//! The types of sensors: their units, what they can measure, and what is worth an alert.

use std::collections::BTreeMap;

use serde::Deserialize;
use shared::{
    aws::{self, ConfigError},
    event::AlertKind,
};

/// The environment variable that adds types, or puts others in place of built-in ones.
const VARIABLE: &str = "SENSOR_TYPES";
/// Beyond this no bound is accepted, so that sums of squares stay numbers a table can hold.
const LARGEST_BOUND: f64 = 1e12;
/// What a spread of values is at least taken for, in parts of the valid range: the noise of a sensor
/// that happens to stand still.
const NOISE: f64 = 0.001;

/// One type of sensor. All numbers are in `unit`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SensorType {
    pub unit: String,
    /// What a sensor of the type can measure; anything else is a fault and is not stored.
    pub min: f64,
    pub max: f64,
    /// A reading above this is an alert.
    #[serde(default)]
    pub alert_above: Option<f64>,
    /// A reading below this is an alert.
    #[serde(default)]
    pub alert_below: Option<f64>,
    /// How far readings must come back inside a threshold before the alert is over.
    #[serde(default)]
    pub hysteresis: f64,
}

/// Where a reading stands towards the thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Beyond(AlertKind),
    /// Inside the thresholds by the hysteresis at least.
    Clear,
    /// Inside the thresholds, but by less: neither begins nor ends anything.
    Near,
}

impl SensorType {
    pub fn level(&self, value: f64) -> Level {
        if self.alert_above.is_some_and(|threshold| value > threshold) {
            Level::Beyond(AlertKind::Above)
        } else if self.alert_below.is_some_and(|threshold| value < threshold) {
            Level::Beyond(AlertKind::Below)
        } else if (self.lowest_clear()..=self.highest_clear()).contains(&value) {
            Level::Clear
        } else {
            Level::Near
        }
    }

    /// The threshold that a reading of this kind is beyond.
    pub fn threshold(&self, kind: AlertKind) -> Option<f64> {
        match kind {
            AlertKind::Above => self.alert_above,
            AlertKind::Below => self.alert_below,
        }
    }

    /// The least and the greatest value that is no reason for an alert, nor near one.
    pub fn clear_range(&self) -> (f64, f64) {
        (self.lowest_clear(), self.highest_clear())
    }

    fn lowest_clear(&self) -> f64 {
        self.alert_below.map_or(self.min, |threshold| threshold + self.hysteresis)
    }

    fn highest_clear(&self) -> f64 {
        self.alert_above.map_or(self.max, |threshold| threshold - self.hysteresis)
    }

    /// The least spread that values of this type are taken to have.
    pub fn noise(&self) -> f64 {
        (self.max - self.min) * NOISE
    }

    fn check(&self) -> Result<(), &'static str> {
        let thresholds = [self.alert_above, self.alert_below];
        let in_range = |bound: f64| bound.abs() <= LARGEST_BOUND;
        if self.unit.is_empty() || self.unit.chars().count() > 16 {
            Err("unit has 1 to 16 characters")
        } else if !in_range(self.min) || !in_range(self.max) || self.min >= self.max {
            Err("min is less than max, and both are between -1e12 and 1e12")
        } else if !thresholds.iter().flatten().all(|threshold| (self.min..=self.max).contains(threshold)) {
            Err("alert_above and alert_below are between min and max")
        } else if !(self.hysteresis >= 0.0 && self.lowest_clear() <= self.highest_clear()) {
            Err("hysteresis is not negative and leaves room between the thresholds")
        } else {
            Ok(())
        }
    }
}

/// The known types of sensors, by name.
#[derive(Clone, Debug)]
pub struct SensorTypes(BTreeMap<String, SensorType>);

/// The built-in types.
impl Default for SensorTypes {
    fn default() -> Self {
        let built_in = |name: &str, unit: &str, range: (f64, f64), alert: (Option<f64>, f64), hysteresis| {
            let (alert_below, alert_above) = (alert.0, Some(alert.1));
            let (unit, (min, max)) = (unit.to_owned(), range);
            (name.to_owned(), SensorType { unit, min, max, alert_above, alert_below, hysteresis })
        };
        Self(BTreeMap::from([
            built_in("temperature", "°C", (-50.0, 150.0), (Some(-20.0), 80.0), 2.0),
            built_in("humidity", "%", (0.0, 100.0), (Some(10.0), 90.0), 2.0),
            built_in("pressure", "hPa", (300.0, 1100.0), (Some(950.0), 1050.0), 5.0),
            built_in("vibration", "mm/s", (0.0, 100.0), (None, 7.1), 0.5),
            built_in("light", "lx", (0.0, 200_000.0), (None, 120_000.0), 1_000.0),
        ]))
    }
}

impl SensorTypes {
    /// The built-in types and those in `SENSOR_TYPES`, a JSON object of types by name.
    ///
    /// # Errors
    /// When the variable is not of that form, or a type in it makes no sense.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::parse(&aws::optional(VARIABLE).unwrap_or_else(|| "{}".into()))
    }

    /// The built-in types and those in a JSON object of types by name.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let wrong = |reason: String| ConfigError { variable: VARIABLE, reason };
        let added: BTreeMap<String, SensorType> =
            serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        for (name, sensor_type) in &added {
            if !is_name(name) {
                return Err(wrong(format!("{name:?} is not a name: 1 to 32 of a-z, 0-9, _ and -, a letter first")));
            }
            sensor_type.check().map_err(|reason| wrong(format!("{name}: {reason}")))?;
        }
        let mut types = Self::default();
        types.0.extend(added);
        Ok(types)
    }

    pub fn get(&self, name: &str) -> Option<&SensorType> {
        self.0.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    (1..=32).contains(&name.len()) && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_adds_types_and_replaces_built_in_ones() {
        let text = r#"{"co2": {"unit": "ppm", "min": 0, "max": 10000, "alert_above": 1500, "hysteresis": 100},
            "light": {"unit": "klx", "min": 0, "max": 200}}"#;
        let types = SensorTypes::parse(text).unwrap();
        assert_eq!(types.get("co2").unwrap().level(1501.0), Level::Beyond(AlertKind::Above));
        assert_eq!(types.get("light").unwrap().unit, "klx");
        assert_eq!(types.get("temperature"), SensorTypes::default().get("temperature"));
    }

    #[test]
    fn configuration_that_makes_no_sense_is_refused_at_the_cold_start() {
        for text in [
            "",
            "[]",
            r#"{"CO2": {"unit": "ppm", "min": 0, "max": 1}}"#,
            r#"{"a#b": {"unit": "ppm", "min": 0, "max": 1}}"#,
            r#"{"co2": {"unit": "", "min": 0, "max": 1}}"#,
            r#"{"co2": {"unit": "ppm", "min": 1, "max": 1}}"#,
            r#"{"co2": {"unit": "ppm", "min": 0, "max": 1e13}}"#,
            r#"{"co2": {"unit": "ppm", "min": 0, "max": 10, "alert_above": 11}}"#,
            r#"{"co2": {"unit": "ppm", "min": 0, "max": 10, "alert_above": 5, "hysteresis": -1}}"#,
            r#"{"co2": {"unit": "ppm", "min": 0, "max": 10, "alert_above": 6, "alert_below": 4, "hysteresis": 2}}"#,
            r#"{"co2": {"unit": "ppm", "min": 0, "max": 10, "alert_over": 5}}"#,
        ] {
            assert!(SensorTypes::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_built_in_types_pass_the_check_that_configured_ones_must() {
        assert!(SensorTypes::default().0.values().all(|sensor_type| sensor_type.check().is_ok()));
    }

    #[test]
    fn a_value_just_inside_a_threshold_is_neither_an_alert_nor_clear() {
        let types = SensorTypes::default();
        let levels =
            [80.1, 80.0, 78.1, 78.0, -18.0, -18.1, -20.0, -20.1].map(|v| types.get("temperature").unwrap().level(v));
        let (above, below) = (Level::Beyond(AlertKind::Above), Level::Beyond(AlertKind::Below));
        assert_eq!(
            levels,
            [above, Level::Near, Level::Near, Level::Clear, Level::Clear, Level::Near, Level::Near, below]
        );
    }
}
