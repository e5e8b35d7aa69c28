//! How healthy the money's movement is, from 0 to 100.
//!
//! | component | weight | 100 means | 0 means |
//! |---|---|---|---|
//! | `refunds` | 35 | nothing was given back | half of what was paid, or more |
//! | `trend` | 30 | the second half of the periods is no worse than the first, by the day | all was lost in it |
//! | `stability` | 20 | every period has the same, by the day | all is in one of many periods |
//! | `diversity` | 15 | the largest category has at most half | there is one category |
//!
//! To the business, worse is less; to a user, worse is to spend more. The score is the components'
//! weighted mean. Of a range in which nothing was paid, every component is 0.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Decimal, rounded};
use crate::{bucket::Figures, question::ScopeName, reading::PeriodFigures};

/// A score and what it is made of.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct HealthScore {
    /// 0 to 100.
    pub score: i128,
    pub components: Vec<Component>,
    pub explanation: String,
}

/// A part of a score.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = ScoreComponent)]
pub struct Component {
    pub name: &'static str,
    /// Its part of the score, in percent.
    pub weight: i128,
    /// 0 to 100.
    pub score: i128,
    /// What the score is made of, in percent.
    pub value: Decimal<1>,
    pub explanation: String,
}

const REFUNDS: i128 = 35;
const TREND: i128 = 30;
const STABILITY: i128 = 20;
const DIVERSITY: i128 = 15;

/// The score of a range, from its periods' figures.
pub fn health_score(periods: &[PeriodFigures], scope: ScopeName) -> HealthScore {
    let total: Figures = periods.iter().map(PeriodFigures::total).sum();
    let components = vec![refunds(&total), trend(periods, scope), stability(periods), diversity(periods)];
    let weighted = components.iter().map(|component| component.weight * component.score).sum();
    let score = rounded(weighted, 100);
    let sum = components.iter().map(|component| format!("{} × {}", component.weight, component.score));
    let explanation = format!("{score} = ({}) / 100", sum.collect::<Vec<_>>().join(" + "));
    HealthScore { score, components, explanation }
}

/// A ratio in percent, from 0 to 100; 0 when there is nothing to compare with.
fn percent(numerator: i128, denominator: i128) -> i128 {
    if denominator <= 0 { 0 } else { rounded(100 * numerator.clamp(0, denominator), denominator) }
}

fn share(numerator: i128, denominator: i128) -> Decimal<1> {
    if denominator == 0 { Decimal(0) } else { Decimal::ratio(100 * numerator, denominator) }
}

fn refunds(total: &Figures) -> Component {
    let value = share(total.refunded, total.paid);
    Component {
        name: "refunds",
        weight: REFUNDS,
        score: percent(total.paid - 2 * total.refunded, total.paid),
        value,
        explanation: format!("{value} % of what was paid was given back; 0 % scores 100, 50 % or more 0"),
    }
}

/// Compares the second half of the periods with the first, each by the day.
fn trend(periods: &[PeriodFigures], scope: ScopeName) -> Component {
    let (first, second) = periods.split_at(periods.len() / 2);
    let paid = |half: &[PeriodFigures]| half.iter().map(|period| period.total().paid).sum::<i128>();
    let days = |half: &[PeriodFigures]| half.iter().map(|period| i128::from(period.period.days())).sum::<i128>();
    // Per day, with both denominators taken to the other side.
    let (before, after) = (paid(first) * days(second), paid(second) * days(first));
    let (good, whole, wanted) = match scope {
        ScopeName::Business => (after, before, "no less"),
        ScopeName::User => (before, after, "no more"),
    };
    let nothing = paid(first) + paid(second) == 0;
    let score = if !nothing && (first.is_empty() || whole == 0) { 100 } else { percent(good, whole) };
    let value = share(after, before);
    let explanation = if first.is_empty() {
        "one period only: there is nothing to compare it with".to_owned()
    } else if before == 0 {
        "nothing was paid in the first half of the periods".to_owned()
    } else {
        format!("the second half of the periods has, by the day, {value} % of the first; {wanted} scores 100")
    };
    Component { name: "trend", weight: TREND, score, value, explanation }
}

/// Hoover's index: what part of all would have to be moved for every period to have the same by the day,
/// since months differ in length and may be cut.
fn stability(periods: &[PeriodFigures]) -> Component {
    let paid: Vec<(i128, i128)> =
        periods.iter().map(|period| (period.total().paid, i128::from(period.period.days()))).collect();
    let (total, days) = paid.iter().fold((0, 0), |sum, period| (sum.0 + period.0, sum.1 + period.1));
    let uneven: i128 = paid.iter().map(|(paid, length)| (paid * days - total * length).abs()).sum();
    let value = share(uneven, 2 * days * total);
    Component {
        name: "stability",
        weight: STABILITY,
        score: percent(2 * days * total - uneven, 2 * days * total),
        value,
        explanation: format!(
            "{value} % of what was paid lies unevenly between the days of the periods; 0 % scores 100"
        ),
    }
}

fn diversity(periods: &[PeriodFigures]) -> Component {
    let mut categories = std::collections::BTreeMap::<&str, i128>::new();
    for (category, figures) in periods.iter().flat_map(|period| &period.categories) {
        *categories.entry(category).or_default() += figures.paid;
    }
    let total: i128 = categories.values().sum();
    let largest = categories.values().copied().max().unwrap_or_default();
    let value = share(largest, total);
    Component {
        name: "diversity",
        weight: DIVERSITY,
        score: percent(2 * (total - largest), total),
        value,
        explanation: format!("the largest category has {value} % of what was paid; 50 % or less scores 100"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_are_a_hundred_percent() {
        assert_eq!(REFUNDS + TREND + STABILITY + DIVERSITY, 100);
    }

    #[test]
    fn a_range_without_payments_scores_zero() {
        for scope in [ScopeName::User, ScopeName::Business] {
            let score = health_score(&[], scope);
            assert_eq!((score.score, score.components.len()), (0, 4));
            assert!(score.components.iter().all(|component| component.score == 0));
        }
    }
}
