//! When readings went beyond a threshold and came back: one alert for each time they did.
//!
//! Readings arrive late, twice and in any order. What is kept is the order of time: segments of
//! readings of one level, each known by its first and its last reading and the one that was told of.
//! A reading beyond a threshold that touches no segment of its kind begins an excursion nobody was
//! told of. Segments never grow together and always keep what was told of, so between two readings
//! that were told of there is one of another level: no excursion is told of twice.

use serde::{Deserialize, Serialize};
use shared::{event::AlertKind, time::Timestamp};
use utoipa::ToSchema;

use crate::sensor_type::Level;

/// Segments that are remembered. Readings from before the oldest of them are not judged any more.
const REMEMBERED: usize = 32;

/// Where a sensor's readings stood towards the thresholds, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// By time; neighbours differ in their level.
    segments: Vec<Segment>,
    /// Whether older segments were forgotten.
    #[serde(default)]
    truncated: bool,
}

/// Successive readings of one level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Segment {
    /// `None` while inside the thresholds.
    beyond: Option<AlertKind>,
    first: Timestamp,
    last: Timestamp,
    /// The reading for which the alert was raised.
    told: Option<Timestamp>,
}

/// An excursion that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Excursion {
    pub kind: AlertKind,
    pub since: Timestamp,
}

impl Timeline {
    /// Takes in a reading; answers with its kind when it begins an excursion nobody was told of.
    pub fn observe(&mut self, at: Timestamp, level: Level) -> Option<AlertKind> {
        let beyond = match level {
            Level::Beyond(kind) => Some(kind),
            Level::Clear => None,
            Level::Near => return None,
        };
        let began = self.place(at, beyond);
        self.forget();
        beyond.filter(|_| began)
    }

    /// Puts a reading where it belongs in time; true when it began a segment.
    fn place(&mut self, at: Timestamp, beyond: Option<AlertKind>) -> bool {
        if self.truncated && self.segments.first().is_some_and(|oldest| at < oldest.first) {
            return false;
        }
        let next = self.segments.partition_point(|segment| segment.first <= at);
        let new = Segment { beyond, first: at, last: at, told: beyond.map(|_| at) };
        if let Some(index) = next.checked_sub(1) {
            let before = self.segments[index];
            if before.beyond == beyond {
                self.segments[index].last = before.last.max(at);
                return false;
            }
            if at < before.last {
                self.split(index, new);
                return true;
            }
        }
        match self.segments.get_mut(next) {
            Some(after) if after.beyond == beyond => after.first = at,
            _ => {
                self.segments.insert(next, new);
                return true;
            }
        }
        false
    }

    /// Puts a segment inside another, of whose readings only the first, the last, and the one that was
    /// told of are known.
    fn split(&mut self, index: usize, new: Segment) {
        let Segment { beyond, first, last, told } = self.segments[index];
        let (told_before, told_after) = (told.filter(|told| *told <= new.first), told.filter(|told| *told > new.first));
        let left = Segment { beyond, first, last: told_before.unwrap_or(first), told: told_before };
        let right = Segment { beyond, first: told_after.unwrap_or(last), last, told: told_after };
        self.segments.splice(index..=index, [left, new, right]);
    }

    fn forget(&mut self) {
        let surplus = self.segments.len().saturating_sub(REMEMBERED);
        self.truncated |= surplus > 0;
        self.segments.drain(..surplus);
    }

    /// The excursion that the latest readings are part of.
    pub fn current(&self) -> Option<Excursion> {
        let latest = self.segments.last()?;
        latest.beyond.map(|kind| Excursion { kind, since: latest.first })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEVELS: [Level; 4] =
        [Level::Beyond(AlertKind::Above), Level::Beyond(AlertKind::Below), Level::Clear, Level::Near];

    type Readings = Vec<(usize, Level)>;

    fn at(moment: usize) -> Timestamp {
        Timestamp::from_unix_millis(i64::try_from(moment).unwrap())
    }

    /// The moments of the readings that began an excursion.
    fn alerts(readings: &[(usize, Level)]) -> Vec<(usize, AlertKind)> {
        let mut timeline = Timeline::default();
        readings
            .iter()
            .filter_map(|(moment, level)| timeline.observe(at(*moment), *level).map(|kind| (*moment, kind)))
            .collect()
    }

    /// The excursions of readings in the order of time: each is the moments of its readings.
    fn excursions(readings: &[(usize, Level)]) -> Vec<Vec<usize>> {
        let mut excursions: Vec<Vec<usize>> = Vec::new();
        let mut current = None;
        for (moment, level) in readings {
            match level {
                Level::Near => {}
                Level::Clear => current = None,
                Level::Beyond(kind) if current == Some(*kind) => excursions.last_mut().unwrap().push(*moment),
                Level::Beyond(kind) => {
                    current = Some(*kind);
                    excursions.push(vec![*moment]);
                }
            }
        }
        excursions
    }

    fn readings() -> impl Strategy<Value = Readings> {
        let levels = prop::collection::vec(prop::sample::select(LEVELS.to_vec()), 1..30);
        levels.prop_map(|levels| levels.into_iter().enumerate().collect())
    }

    /// Readings in the order of time, and delivered late, repeatedly and in any order.
    fn deliveries() -> impl Strategy<Value = (Readings, Readings)> {
        readings().prop_flat_map(|readings| {
            let twice = [readings.clone(), readings.clone()].concat();
            (Just(readings), Just(twice).prop_shuffle())
        })
    }

    proptest! {
        #[test]
        fn in_the_order_of_time_every_excursion_is_told_of_at_its_first_reading(readings in readings()) {
            let told: Vec<usize> = alerts(&readings).into_iter().map(|(moment, _)| moment).collect();
            let first: Vec<usize> = excursions(&readings).iter().map(|excursion| excursion[0]).collect();
            prop_assert_eq!(told, first);
        }

        #[test]
        fn in_any_order_no_excursion_is_told_of_twice((readings, deliveries) in deliveries()) {
            let told = alerts(&deliveries);
            for excursion in excursions(&readings) {
                prop_assert!(told.iter().filter(|(moment, _)| excursion.contains(moment)).count() <= 1);
            }
        }

        #[test]
        fn in_any_order_no_kind_of_excursion_stays_untold((readings, deliveries) in deliveries()) {
            let told = alerts(&deliveries);
            for kind in [AlertKind::Above, AlertKind::Below] {
                let happened = readings.iter().any(|(_, level)| *level == Level::Beyond(kind));
                prop_assert_eq!(told.iter().any(|(_, told)| *told == kind), happened);
            }
        }

        #[test]
        fn in_any_order_the_latest_readings_decide_whether_an_alert_is_on((readings, deliveries) in deliveries()) {
            let mut timeline = Timeline::default();
            for (moment, level) in deliveries {
                timeline.observe(at(moment), level);
            }
            let latest = readings.iter().rev().find(|(_, level)| *level != Level::Near);
            let kind = latest.and_then(|(_, level)| if let Level::Beyond(kind) = level { Some(*kind) } else { None });
            prop_assert_eq!(timeline.current().map(|excursion| excursion.kind), kind);
        }
    }

    #[test]
    fn a_sensor_that_never_rests_is_remembered_for_a_bounded_time_only() {
        let readings: Vec<_> = (0..1000).map(|moment| (moment, LEVELS[moment % 2])).collect();
        assert_eq!(alerts(&readings).len(), 1000);
        let mut timeline = Timeline::default();
        for (moment, level) in &readings {
            timeline.observe(at(*moment), *level);
        }
        assert_eq!(timeline.segments.len(), REMEMBERED);
        assert_eq!(timeline.observe(at(3), LEVELS[0]), None);
    }
}
