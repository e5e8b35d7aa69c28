//! Days on which a category's payments do not fit those of the same day of other weeks.
//!
//! The amounts of a category on all Mondays of the range are judged together, days without payments
//! included, and so for every day of the week: by their median and the median absolute deviation from
//! it (MAD), which outliers hardly move. A day is an anomaly when it is more than 3.5 standard
//! deviations from the median, 1.4826 MAD being one (Iglewicz and Hoaglin, 1993). Where more than half
//! of the days have the same amount the MAD is 0; then 1.253314 times the mean absolute deviation is one.

use std::collections::BTreeSet;

use jiff::civil::Weekday;
use serde::Serialize;
use shared::money::Money;
use utoipa::ToSchema;

use super::{Decimal, OutOfRange, median, money};
use crate::{calendar::Day, reading::PeriodFigures};

/// Days of the week that are needed for any of them to be judged.
pub const LEAST_OBSERVATIONS: usize = 5;

/// Standard deviations beyond which a day is an anomaly.
const THRESHOLD: Decimal<1> = Decimal(35);
/// What makes a deviation a standard deviation, in millionths.
const OF_MEDIAN: i128 = 1_482_600;
const OF_MEAN: i128 = 1_253_314;
const MILLION: i128 = 1_000_000;

/// Anomalies, by day and category.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Anomalies {
    pub threshold: Decimal<1>,
    /// Fewer of the same day of the week are not judged.
    pub least_observations: usize,
    /// How many days of how many categories were judged.
    pub judged: usize,
    pub anomalies: Vec<Anomaly>,
}

/// A day whose payments of a category do not fit.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Anomaly {
    pub date: Day,
    pub category: String,
    pub amount: Money,
    pub direction: Direction,
    /// Standard deviations from the median.
    pub score: Decimal<2>,
    pub evidence: Evidence,
}

/// To which side of the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    High,
    Low,
}

/// What a day was judged by.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Evidence {
    pub weekday: &'static str,
    /// How many of this day of the week there are in the range.
    pub observations: usize,
    pub median: Money,
    /// The median absolute deviation.
    pub mad: Money,
    /// What the standard deviation is taken from.
    pub deviation: Deviation,
    /// Amounts that are no anomaly: from here, but not below zero,
    pub usual_from: Money,
    /// to here.
    pub usual_to: Money,
}

/// A measure of how far values lie from their median.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deviation {
    Median,
    Mean,
}

/// The anomalies among days, which follow each other.
pub fn anomalies(days: &[PeriodFigures]) -> Result<Anomalies, OutOfRange> {
    let categories: BTreeSet<&String> = days.iter().flat_map(|day| day.categories.keys()).collect();
    let (mut judged, mut found) = (0, Vec::new());
    for category in categories {
        for weekday in Weekday::Monday.cycle_forward().take(7) {
            let same: Vec<(Day, i128)> = days
                .iter()
                .filter(|day| day.period.start.weekday() == weekday)
                .map(|day| (Day(day.period.start), day.categories.get(category).map_or(0, |figures| figures.paid)))
                .collect();
            if same.len() >= LEAST_OBSERVATIONS {
                judged += same.len();
                found.extend(judge(category, weekday, &same)?);
            }
        }
    }
    found.sort_by(|a: &Anomaly, b| (a.date, &a.category).cmp(&(b.date, &b.category)));
    Ok(Anomalies { threshold: THRESHOLD, least_observations: LEAST_OBSERVATIONS, judged, anomalies: found })
}

/// What is usual of some amounts.
struct Usual {
    median: i128,
    mad: i128,
    deviation: Deviation,
    /// The standard deviation, as a fraction.
    numerator: i128,
    denominator: i128,
}

impl Usual {
    /// `None` when all amounts are the same.
    fn of(amounts: &[i128]) -> Option<Self> {
        let middle = median(&mut amounts.to_vec());
        let mut deviations: Vec<i128> = amounts.iter().map(|amount| (amount - middle).abs()).collect();
        let (mad, sum) = (median(&mut deviations), deviations.iter().sum::<i128>());
        let (deviation, numerator, denominator) = match (mad, sum) {
            (0, 0) => return None,
            (0, sum) => (Deviation::Mean, OF_MEAN * sum, MILLION * i128::try_from(amounts.len()).ok()?),
            (mad, _) => (Deviation::Median, OF_MEDIAN * mad, MILLION),
        };
        Some(Self { median: middle, mad, deviation, numerator, denominator })
    }

    /// How far from the median the furthest amount is that is no anomaly.
    fn reach(&self) -> i128 {
        THRESHOLD.0 * self.numerator / (10 * self.denominator)
    }

    fn score(&self, amount: i128) -> Decimal<2> {
        Decimal::ratio((amount - self.median) * self.denominator, self.numerator)
    }
}

fn judge(category: &str, weekday: Weekday, days: &[(Day, i128)]) -> Result<Vec<Anomaly>, OutOfRange> {
    let amounts: Vec<i128> = days.iter().map(|(_, amount)| *amount).collect();
    let Some(usual) = Usual::of(&amounts) else { return Ok(Vec::new()) };
    let (lowest, highest) = (usual.median - usual.reach(), usual.median + usual.reach());
    let strange = days.iter().filter(|(_, amount)| !(lowest..=highest).contains(amount));
    let anomalies = strange.map(|(date, amount)| {
        Ok(Anomaly {
            date: *date,
            category: category.to_owned(),
            amount: money(*amount)?,
            direction: if *amount > usual.median { Direction::High } else { Direction::Low },
            score: usual.score(*amount),
            evidence: Evidence {
                weekday: name(weekday),
                observations: days.len(),
                median: money(usual.median)?,
                mad: money(usual.mad)?,
                deviation: usual.deviation,
                usual_from: money(lowest.max(0))?,
                usual_to: money(highest)?,
            },
        })
    });
    anomalies.collect()
}

fn name(weekday: Weekday) -> &'static str {
    match weekday {
        Weekday::Monday => "monday",
        Weekday::Tuesday => "tuesday",
        Weekday::Wednesday => "wednesday",
        Weekday::Thursday => "thursday",
        Weekday::Friday => "friday",
        Weekday::Saturday => "saturday",
        Weekday::Sunday => "sunday",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::{ToSpan, civil::date};

    use super::*;
    use crate::{bucket::Figures, calendar::Period};

    /// Ten weeks of daily amounts of one category, from a Monday on.
    fn weeks(amount: impl Fn(i64) -> i128) -> Vec<PeriodFigures> {
        let start = date(2026, 1, 5);
        let days = (0..70).map(|n| {
            let day = start.checked_add(n.days()).unwrap();
            let figures = Figures { paid: amount(n), payments: 1, ..Figures::default() };
            let categories = BTreeMap::from([("books".to_owned(), figures)]);
            PeriodFigures { period: Period { start: day, end: day.tomorrow().unwrap() }, categories }
        });
        days.collect()
    }

    #[test]
    fn a_busy_saturday_is_usual_and_the_same_on_a_monday_is_not() {
        let usual = |n: i64| if n % 7 == 5 { 90_000 + i128::from(n) } else { 10_000 + i128::from(n % 5) * 100 };
        assert_eq!(anomalies(&weeks(usual)).unwrap().anomalies, []);
        let found = anomalies(&weeks(|n| if n == 28 { 90_000 } else { usual(n) })).unwrap();
        assert_eq!((found.judged, found.anomalies.len()), (70, 1));
        let monday = &found.anomalies[0];
        assert_eq!((monday.date, monday.direction), (Day(date(2026, 2, 2)), Direction::High));
        assert_eq!((monday.evidence.weekday, monday.evidence.observations), ("monday", 10));
    }

    #[test]
    fn a_day_without_the_usual_sales_is_low() {
        let found = anomalies(&weeks(|n| if n == 30 { 0 } else { 50_000 + i128::from(n % 9) * 10 })).unwrap();
        let low: Vec<_> = found.anomalies.iter().map(|anomaly| (anomaly.date, anomaly.direction)).collect();
        assert_eq!(low, [(Day(date(2026, 2, 4)), Direction::Low)]);
    }

    #[test]
    fn one_purchase_among_nothing_is_an_anomaly_and_one_of_three_is_not() {
        let monday = |which: &'static [i64]| move |n: i64| if n % 7 == 0 && which.contains(&(n / 7)) { 100 } else { 0 };
        let found = anomalies(&weeks(monday(&[4]))).unwrap().anomalies;
        assert_eq!(
            (found.len(), found[0].evidence.deviation, found[0].evidence.mad),
            (1, Deviation::Mean, Money::ZERO)
        );
        assert_eq!(anomalies(&weeks(monday(&[1, 4, 7]))).unwrap().anomalies, []);
    }

    #[test]
    fn the_usual_range_ends_where_anomalies_begin() {
        let amounts = [100, 110, 120, 130, 140, 150, 160, 170, 180];
        let usual = Usual::of(&amounts).unwrap();
        let highest = usual.median + usual.reach();
        // 3.5 × 1.4826 × 20 = 103.782
        assert_eq!((usual.median, usual.mad, highest), (140, 20, 243));
        assert!(usual.score(highest).0 <= 350 && usual.score(highest + 1).0 > 350);
    }

    #[test]
    fn fewer_than_five_weeks_are_not_judged() {
        let days = weeks(|n| if n == 0 { 1_000_000 } else { 100 });
        assert_eq!(anomalies(&days[..28]).unwrap().judged, 0);
        assert_eq!(anomalies(&days[..29]).unwrap().judged, 5);
    }
}
