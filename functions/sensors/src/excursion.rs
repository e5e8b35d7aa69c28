//! When readings went beyond a threshold and came back: one alert for each time they did.
//!
//! Readings arrive late, twice and in any order. What is kept is the order of time: segments of
//! readings of one level, each known by its first and its last reading and the one that was told of.
//! A reading beyond a threshold that touches no segment of its kind begins an excursion nobody was
//! told of. A late reading of another level cuts a segment into two, and the one that nobody was
//! told of is told of then. Segments never grow together and always keep what was told of, so between
//! two readings that were told of there is one of another level: no excursion is told of twice.
//!
//! Of a segment that is cut twice only the outermost readings are known: an excursion between the cuts
//! stays untold.

use serde::{Deserialize, Serialize};
use shared::{event::AlertKind, id::Id, time::Timestamp};
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
    /// What an alert for the first reading would say; nothing is known of one that was told of.
    #[serde(default)]
    first_sample: Option<Sample>,
    /// What an alert for the last reading would say.
    #[serde(default)]
    last_sample: Option<Sample>,
}

/// What a reading measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub reading_id: Id,
    pub value: f64,
}

/// An excursion that nobody was told of, by the reading to tell of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Untold {
    pub kind: AlertKind,
    pub at: Timestamp,
    pub sample: Sample,
}

impl Segment {
    /// A single reading, which is told of if it is beyond a threshold and known.
    fn of(at: Timestamp, beyond: Option<AlertKind>, sample: Option<Sample>) -> Self {
        let sample = beyond.and(sample);
        Self { beyond, first: at, last: at, told: sample.map(|_| at), first_sample: sample, last_sample: sample }
    }

    /// Takes in a reading of the same level.
    fn extend(&mut self, at: Timestamp, sample: Sample) {
        let sample = self.beyond.map(|_| sample);
        if at < self.first {
            (self.first, self.first_sample) = (at, sample);
        }
        if at > self.last {
            (self.last, self.last_sample) = (at, sample);
        }
    }

    /// What there is to tell of a segment of one reading.
    fn untold(&self) -> Option<Untold> {
        Some(Untold { kind: self.beyond?, at: self.told?, sample: self.first_sample? })
    }
}

/// An excursion that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Excursion {
    pub kind: AlertKind,
    pub since: Timestamp,
}

impl Timeline {
    /// Takes in a reading; answers with the excursions that nobody was told of, which are told of now.
    pub fn observe(&mut self, at: Timestamp, level: Level, sample: Sample) -> Vec<Untold> {
        let beyond = match level {
            Level::Beyond(kind) => Some(kind),
            Level::Clear => None,
            Level::Near => return Vec::new(),
        };
        let untold = self.place(at, beyond, sample);
        self.forget();
        untold
    }

    /// Puts a reading where it belongs in time.
    fn place(&mut self, at: Timestamp, beyond: Option<AlertKind>, sample: Sample) -> Vec<Untold> {
        if self.truncated && self.segments.first().is_some_and(|oldest| at < oldest.first) {
            return Vec::new();
        }
        let next = self.segments.partition_point(|segment| segment.first <= at);
        let new = Segment::of(at, beyond, Some(sample));
        if let Some(index) = next.checked_sub(1) {
            let before = &mut self.segments[index];
            if before.beyond == beyond {
                before.extend(at, sample);
                return Vec::new();
            }
            if at < before.last {
                let cut_off = self.split(index, new);
                return new.untold().into_iter().chain(cut_off).collect();
            }
        }
        match self.segments.get_mut(next) {
            Some(after) if after.beyond == beyond => {
                after.extend(at, sample);
                Vec::new()
            }
            _ => {
                self.segments.insert(next, new);
                new.untold().into_iter().collect()
            }
        }
    }

    /// Puts a segment inside another, of whose readings only the first, the last, and the one that was
    /// told of are known; answers with the part that nobody was told of.
    fn split(&mut self, index: usize, new: Segment) -> Option<Untold> {
        let whole = self.segments[index];
        let first = Segment::of(whole.first, whole.beyond, whole.first_sample);
        let last = Segment::of(whole.last, whole.beyond, whole.last_sample);
        let (left, right, untold) = match whole.told {
            Some(told) if told > new.first => {
                (first, Segment { first: told, first_sample: None, ..whole }, first.untold())
            }
            Some(told) => (Segment { last: told, last_sample: None, ..whole }, last, last.untold()),
            None => (first, last, None),
        };
        self.segments.splice(index..=index, [left, new, right]);
        untold
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

    fn sample(moment: usize) -> Sample {
        Sample { reading_id: Id::new(moment as u64 + 1).unwrap(), value: moment as f64 }
    }

    /// The moments of the readings that told of an excursion.
    fn alerts(readings: &[(usize, Level)]) -> Vec<(usize, AlertKind)> {
        let mut timeline = Timeline::default();
        readings
            .iter()
            .flat_map(|(moment, level)| timeline.observe(at(*moment), *level, sample(*moment)))
            .map(|untold| {
                let moment = usize::try_from(untold.at.unix_millis()).unwrap();
                assert_eq!(untold.sample, sample(moment));
                (moment, untold.kind)
            })
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
        fn if_one_reading_is_late_every_excursion_is_told_of_once(
            readings in readings(), late in any::<prop::sample::Index>(), until in any::<prop::sample::Index>(),
        ) {
            let mut deliveries = readings.clone();
            let reading = deliveries.remove(late.index(readings.len()));
            deliveries.insert(until.index(readings.len()), reading);
            let told = alerts(&deliveries);
            for excursion in excursions(&readings) {
                let told = told.iter().filter(|(moment, _)| excursion.contains(moment)).count();
                prop_assert_eq!(told, 1, "{:?}", excursion);
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
                timeline.observe(at(moment), level, sample(moment));
            }
            let latest = readings.iter().rev().find(|(_, level)| *level != Level::Near);
            let kind = latest.and_then(|(_, level)| if let Level::Beyond(kind) = level { Some(*kind) } else { None });
            prop_assert_eq!(timeline.current().map(|excursion| excursion.kind), kind);
        }
    }

    #[test]
    fn a_late_reading_that_cuts_an_excursion_tells_of_the_part_that_nobody_was_told_of() {
        let (above, clear) = (LEVELS[0], LEVELS[2]);
        let told =
            |readings: &[(usize, Level)]| alerts(readings).into_iter().map(|(moment, _)| moment).collect::<Vec<_>>();
        assert_eq!(told(&[(1, above), (3, above), (2, clear)]), [1, 3]);
        assert_eq!(told(&[(3, above), (1, above), (2, clear)]), [3, 1]);
        assert_eq!(
            told(&[(1, above), (9, above), (5, clear), (4, above), (6, above), (3, clear), (7, clear)]),
            [1, 9, 4, 6]
        );
        assert_eq!(told(&[(1, above), (3, above), (5, above), (4, clear), (2, clear)]), [1, 5]);
    }

    #[test]
    fn a_sensor_that_never_rests_is_remembered_for_a_bounded_time_only() {
        let readings: Vec<_> = (0..1000).map(|moment| (moment, LEVELS[moment % 2])).collect();
        assert_eq!(alerts(&readings).len(), 1000);
        let mut timeline = Timeline::default();
        for (moment, level) in &readings {
            timeline.observe(at(*moment), *level, sample(*moment));
        }
        assert_eq!(timeline.segments.len(), REMEMBERED);
        assert_eq!(timeline.observe(at(3), LEVELS[0], sample(3)), []);
    }
}
