//! Moments, to the millisecond.

use std::{fmt, time::Duration};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// A moment in UTC with millisecond precision, written as `2026-01-15T10:30:45.123Z`.
///
/// The text form has a fixed width, so it sorts as time does and can be part of a sort key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-01-15T10:30:45.123Z")]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    pub fn now() -> Self {
        Self::from_unix_millis(Utc::now().timestamp_millis())
    }

    /// Milliseconds outside chrono's range (some 262,000 years either way) become the epoch.
    pub fn from_unix_millis(millis: i64) -> Self {
        Self(DateTime::from_timestamp_millis(millis).unwrap_or_default())
    }

    pub fn unix_millis(self) -> i64 {
        self.0.timestamp_millis()
    }

    /// Whole seconds since the Unix epoch: the unit of a DynamoDB TTL attribute.
    pub fn unix_seconds(self) -> i64 {
        self.0.timestamp()
    }

    /// This moment moved forward, saturating at the end of time.
    pub fn plus(self, duration: Duration) -> Self {
        TimeDelta::from_std(duration).ok().and_then(|delta| self.0.checked_add_signed(delta)).map_or(self, Self)
    }

    /// This moment moved back, saturating at the beginning of time.
    pub fn minus(self, duration: Duration) -> Self {
        TimeDelta::from_std(duration).ok().and_then(|delta| self.0.checked_sub_signed(delta)).map_or(self, Self)
    }

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        (self.0 - earlier.0).to_std().unwrap_or_default()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let moment = DateTime::<Utc>::deserialize(deserializer)?;
        Ok(Self::from_unix_millis(moment.timestamp_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_always_has_three_decimals() {
        assert_eq!(Timestamp::from_unix_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_unix_millis(1_768_473_045_120).to_string(), "2026-01-15T10:30:45.120Z");
    }
}
