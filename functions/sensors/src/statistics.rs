//! Rolling statistics: summaries of windows of time, which can be added to and put together.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::time::Timestamp;

/// How long a window is.
pub const WINDOW: Duration = Duration::from_secs(300);

/// The beginning of the window that a moment is in.
pub fn window_of(moment: Timestamp) -> Timestamp {
    let length = i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_millis(moment.unix_millis().div_euclid(length) * length)
}

/// Count, mean, spread and extremes of values, without the values (Welford, 1962).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub count: u64,
    mean: f64,
    /// The sum of the squared differences from the mean.
    m2: f64,
    min: f64,
    max: f64,
    /// How many of the values were outliers among those before them.
    pub outliers: u64,
}

impl Summary {
    pub fn of(value: f64, outlier: bool) -> Self {
        Self { count: 1, mean: value, m2: 0.0, min: value, max: value, outliers: u64::from(outlier) }
    }

    pub fn add(&mut self, value: f64, outlier: bool) {
        *self = self.merged(&Self::of(value, outlier));
    }

    /// The summary of these values and others (Chan, Golub and LeVeque, 1979).
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let (some, none) = if self.count == 0 { (other, self) } else { (self, other) };
        if none.count == 0 {
            return *some;
        }
        let count = self.count + other.count;
        let share = other.count as f64 / count as f64;
        let delta = other.mean - self.mean;
        Self {
            count,
            mean: self.mean + delta * share,
            m2: self.m2 + other.m2 + delta * delta * self.count as f64 * share,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            outliers: self.outliers + other.outliers,
        }
    }

    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// The sample variance; `None` of fewer than two values.
    pub fn variance(&self) -> Option<f64> {
        (self.count > 1).then(|| self.m2 / (self.count - 1) as f64)
    }

    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn summary(values: &[f64]) -> Summary {
        values.iter().fold(Summary::default(), |mut summary, value| {
            summary.add(*value, false);
            summary
        })
    }

    /// Mean and sample variance in two passes.
    fn reference(values: &[f64]) -> (f64, f64) {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0))
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
    }

    proptest! {
        #[test]
        fn the_summary_says_what_two_passes_over_the_values_say(values in prop::collection::vec(-1e3..1e3, 2..200)) {
            let (summary, (mean, variance)) = (summary(&values), reference(&values));
            prop_assert!(close(summary.mean().unwrap(), mean) && close(summary.variance().unwrap(), variance));
            prop_assert_eq!(summary.min(), values.iter().copied().reduce(f64::min));
            prop_assert_eq!(summary.max(), values.iter().copied().reduce(f64::max));
        }

        #[test]
        fn parts_put_together_say_what_the_whole_says(values in prop::collection::vec(-1e3..1e3, 2..200), cut: prop::sample::Index) {
            let (left, right) = values.split_at(cut.index(values.len()));
            let (parts, whole) = (summary(left).merged(&summary(right)), summary(&values));
            prop_assert_eq!((parts.count, parts.min, parts.max), (whole.count, whole.min, whole.max));
            prop_assert!(close(parts.mean, whole.mean) && close(parts.m2, whole.m2));
        }
    }

    #[test]
    fn a_small_spread_around_a_large_mean_is_not_lost() {
        let values = [1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0];
        assert_eq!(summary(&values).variance(), Some(30.0));
    }

    #[test]
    fn nothing_has_no_mean() {
        let none = Summary::default();
        assert_eq!((none.mean(), none.min(), none.max(), none.variance()), (None, None, None, None));
    }

    #[test]
    fn a_window_begins_at_a_multiple_of_its_length() {
        let moment = Timestamp::from_unix_millis(1_768_473_045_123);
        assert_eq!(window_of(moment).to_string(), "2026-01-15T10:30:00.000Z");
        assert_eq!(window_of(window_of(moment)), window_of(moment));
    }
}
