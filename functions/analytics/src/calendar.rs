//! Days and months of a time zone.

use jiff::{
    ToSpan,
    civil::Date,
    tz::{Offset, TimeZone},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use shared::time::Timestamp;
use utoipa::ToSchema;

/// The first day that a question may be about, and the first that it may not be. All offsets from UTC
/// in between are multiples of a quarter of an hour.
pub const EARLIEST: Date = Date::constant(2000, 1, 1);
pub const LATEST: Date = Date::constant(3000, 1, 1);

/// A day of the calendar, in JSON as `2026-01-15`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = Date, example = "2026-01-15")]
pub struct Day(pub Date);

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
        let date = date.filter(|date| (EARLIEST..=LATEST).contains(date));
        date.map(Self).ok_or_else(|| de::Error::custom("a day like 2026-01-15, from 2000-01-01 to 3000-01-01"))
    }
}

/// A time zone of the IANA database that the service brings along, in JSON by its name.
#[derive(Clone, Debug, PartialEq, ToSchema)]
#[schema(value_type = String, example = "Europe/Zurich")]
pub struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl Zone {
    /// The zone of this name, whatever its case.
    pub fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().filter(|zone| !zone.is_unknown()).map(Self)
    }

    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The day that it is there at this moment.
    pub fn day(&self, moment: Timestamp) -> Date {
        let instant = jiff::Timestamp::from_millisecond(moment.unix_millis()).unwrap_or(jiff::Timestamp::MAX);
        self.0.to_datetime(instant).date()
    }

    /// The moment at which a day begins: where the clocks skip midnight, when they go on.
    pub fn begins(&self, day: Date) -> Timestamp {
        let begins = day.to_zoned(self.0.clone()).map(|zoned| zoned.timestamp());
        let begins = begins.or_else(|_| Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)));
        Timestamp::from_unix_millis(begins.map_or(0, |begins| begins.as_millisecond()))
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| de::Error::custom("the name of a time zone, like Europe/Berlin"))
    }
}

/// What a range is divided into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Granularity {
    #[default]
    Day,
    Month,
}

impl Granularity {
    /// The first day behind the day or month that this day is in.
    fn end(self, day: Date) -> Date {
        let last = match self {
            Self::Day => day,
            Self::Month => day.last_of_month(),
        };
        last.tomorrow().unwrap_or(Date::MAX)
    }
}

/// The days from `start` up to but not including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period {
    pub start: Date,
    pub end: Date,
}

impl Period {
    /// How many days it has.
    pub fn days(&self) -> i64 {
        days_between(self.start, self.end)
    }

    /// Whether it begins and ends as a day, or a month, does.
    pub fn is_whole(&self, granularity: Granularity) -> bool {
        granularity == Granularity::Day || (is_first(self.start) && self.end == granularity.end(self.start))
    }

    /// The days or months that it is made of. At its ends, months may be cut.
    pub fn divided(&self, granularity: Granularity) -> Vec<Self> {
        let mut periods = Vec::new();
        let mut start = self.start;
        while start < self.end {
            let end = granularity.end(start).min(self.end);
            periods.push(Self { start, end });
            start = end;
        }
        periods
    }

    /// The days of it that are before this one.
    #[must_use]
    pub fn until(&self, day: Date) -> Self {
        Self { start: self.start, end: self.end.min(day).max(self.start) }
    }

    /// The period that ends where this one begins: of as many months, if this one is of whole months, and
    /// of as many days if not.
    #[must_use]
    pub fn before(&self) -> Self {
        let span = if is_first(self.start) && is_first(self.end) {
            let months = |day: Date| i32::from(day.year()) * 12 + i32::from(day.month());
            (months(self.end) - months(self.start)).months()
        } else {
            self.days().days()
        };
        Self { start: self.start.checked_sub(span).unwrap_or(Date::MIN), end: self.start }
    }
}

fn is_first(day: Date) -> bool {
    day.day() == 1
}

fn days_between(from: Date, to: Date) -> i64 {
    from.duration_until(to).as_hours() / 24
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn period(start: Date, end: Date) -> Period {
        Period { start, end }
    }

    #[test]
    fn every_day_of_every_zone_begins_at_a_quarter_of_an_hour() {
        let names: Vec<_> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        assert!(names.len() > 400, "{}", names.len());
        for name in names {
            let zone = Zone::named(&name).unwrap();
            let mut day = EARLIEST;
            while day < date(2040, 1, 1) {
                assert_eq!(zone.begins(day).unix_millis() % 900_000, 0, "{name} {day}");
                // A prime number of days, so that no season is left out.
                day = day.checked_add(13.days()).unwrap();
            }
        }
    }

    #[test]
    fn a_day_is_as_long_as_the_clocks_make_it() {
        let hours = |name: &str, day: Date| {
            let zone = Zone::named(name).unwrap();
            zone.begins(day.tomorrow().unwrap()).since(zone.begins(day)).as_secs() / 3600
        };
        assert_eq!(hours("Europe/Berlin", date(2026, 3, 29)), 23);
        assert_eq!(hours("Europe/Berlin", date(2026, 10, 25)), 25);
        assert_eq!(hours("America/Santiago", date(2026, 9, 6)), 23, "where midnight itself is skipped");
        assert_eq!(hours("Pacific/Apia", date(2011, 12, 30)), 0, "which never was");
    }

    #[test]
    fn the_period_before_a_month_is_a_month() {
        let (january, march) = (date(2026, 1, 1), date(2026, 3, 1));
        assert_eq!(period(date(2026, 2, 1), march).before(), period(january, date(2026, 2, 1)));
        assert_eq!(period(january, march).before(), period(date(2025, 11, 1), january));
        assert_eq!(period(date(2026, 1, 2), march).before().days(), 58);
    }

    #[test]
    fn months_are_cut_where_the_range_ends() {
        let months = period(date(2026, 1, 30), date(2026, 3, 2)).divided(Granularity::Month);
        let starts: Vec<_> = months.iter().map(|month| (month.start.to_string(), month.days())).collect();
        let expected = [("2026-01-30", 2), ("2026-02-01", 28), ("2026-03-01", 1)];
        assert_eq!(starts, expected.map(|(start, days)| (start.to_owned(), days)));
        let whole: Vec<_> = months.iter().map(|month| month.is_whole(Granularity::Month)).collect();
        assert_eq!(whole, [false, true, false]);
    }

    #[test]
    fn only_a_plain_day_is_a_day() {
        for text in ["2026-1-15", "2026-01-15T10:00", "20260115", "2026-02-30", "1999-12-31", "3000-01-02", "", "today"]
        {
            assert!(serde_json::from_value::<Day>(text.into()).is_err(), "{text}");
        }
        assert_eq!(serde_json::from_value::<Day>("2026-01-15".into()).unwrap(), Day(date(2026, 1, 15)));
    }

    proptest! {
        #[test]
        fn the_periods_of_a_range_are_all_of_it(start in 0i32..3000, days in 0i32..800, monthly: bool) {
            let start = EARLIEST.checked_add(start.days()).unwrap();
            let range = period(start, start.checked_add(days.days()).unwrap());
            let periods = range.divided(if monthly { Granularity::Month } else { Granularity::Day });
            prop_assert_eq!(periods.iter().map(Period::days).sum::<i64>(), i64::from(days));
            prop_assert!(periods.windows(2).all(|pair| pair[0].end == pair[1].start));
            prop_assert_eq!(range.before().end, start);
        }
    }
}
