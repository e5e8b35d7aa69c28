//! Values that do not fit the others: by the median and the median absolute deviation, which the
//! outliers themselves hardly move.

use serde::{Deserialize, Serialize};
use shared::time::Timestamp;

/// The values that a reading is judged by.
const WINDOW: usize = 64;
/// With fewer, none is judged.
const LEAST: usize = 12;
/// Makes the median absolute deviation of a normal distribution its standard deviation.
const CONSISTENCY: f64 = 1.4826;
/// Deviations beyond which a value is an outlier (Iglewicz and Hoaglin, 1993).
const THRESHOLD: f64 = 3.5;

/// A sensor's latest values, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recent(Vec<(i64, f64)>);

impl Recent {
    /// How many robust standard deviations a value is from the median, when that makes it an outlier.
    ///
    /// The deviation is taken for `noise` at least, so that a sensor that stood still may move again.
    pub fn outlier(&self, value: f64, noise: f64) -> Option<f64> {
        if self.0.len() < LEAST {
            return None;
        }
        let median = median(self.0.iter().map(|(_, value)| *value));
        let deviation = CONSISTENCY * self::median(self.0.iter().map(|(_, value)| (value - median).abs()));
        let score = (value - median) / deviation.max(noise);
        Some(score).filter(|score| score.abs() > THRESHOLD)
    }

    /// Keeps a value for as long as it is among the latest.
    pub fn remember(&mut self, at: Timestamp, value: f64) {
        let at = at.unix_millis();
        let place = self.0.partition_point(|(moment, other)| (*moment, *other) <= (at, value));
        self.0.insert(place, (at, value));
        if self.0.len() > WINDOW {
            self.0.remove(0);
        }
    }
}

/// The median of at least one value.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recent(values: impl IntoIterator<Item = f64>) -> Recent {
        let mut recent = Recent::default();
        for (moment, value) in values.into_iter().enumerate() {
            recent.remember(Timestamp::from_unix_millis(i64::try_from(moment).unwrap()), value);
        }
        recent
    }

    #[test]
    fn a_spike_is_an_outlier_and_ordinary_variation_is_not() {
        let recent = recent((0..40).map(|n| 20.0 + f64::from(n % 5)));
        assert!(recent.outlier(45.0, 0.2).is_some_and(|score| score > 10.0));
        assert!(recent.outlier(-5.0, 0.2).is_some_and(|score| score < -10.0));
        assert_eq!(recent.outlier(24.0, 0.2), None);
    }

    #[test]
    fn a_third_of_wild_values_does_not_hide_the_next_one() {
        let wild = |n: i32| if n % 3 == 0 { 140.0 } else { 20.0 + f64::from(n % 5) / 10.0 };
        assert!(recent((0..60).map(wild)).outlier(140.0, 0.2).is_some());
    }

    #[test]
    fn a_sensor_that_stood_still_may_move_by_its_noise() {
        let still = recent([20.0; 40]);
        assert_eq!(still.outlier(20.5, 0.2), None);
        assert!(still.outlier(21.0, 0.2).is_some());
    }

    #[test]
    fn a_new_level_is_ordinary_once_most_values_are_on_it() {
        let mut values = vec![20.0; 64];
        values.extend([50.0; 40]);
        assert_eq!(recent(values).outlier(50.0, 0.2), None);
    }

    #[test]
    fn nothing_is_judged_by_a_handful_of_values() {
        assert_eq!(recent([20.0; LEAST - 1]).outlier(140.0, 0.2), None);
    }

    proptest! {
        #[test]
        fn the_latest_values_are_the_same_in_whatever_order_they_came(values in prop::collection::vec(-50.0..150.0, 1..150), seed: u64) {
            let mut shuffled: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
            shuffled.sort_by_key(|(moment, _)| (*moment as u64 + 1).wrapping_mul(seed | 1));
            let mut other = Recent::default();
            for (moment, value) in shuffled {
                other.remember(Timestamp::from_unix_millis(i64::try_from(moment).unwrap()), value);
            }
            prop_assert_eq!(other, recent(values));
        }
    }
}
