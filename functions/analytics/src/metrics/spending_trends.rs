//! What is spent on each category, and how that changed.

use std::collections::BTreeSet;

use serde::Serialize;
use shared::money::Money;
use utoipa::ToSchema;

use super::{Decimal, OutOfRange, money};
use crate::{
    bucket::Figures,
    calendar::{Day, Granularity, Period},
    reading::PeriodFigures,
};

/// Spending by category, the largest first.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SpendingTrends {
    /// The range that `change` compares with.
    pub previous_from: Day,
    pub previous_to: Day,
    #[serde(flatten)]
    pub total: Trend,
    pub categories: Vec<CategoryTrend>,
}

/// One category's spending.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CategoryTrend {
    pub category: String,
    #[serde(flatten)]
    pub trend: Trend,
    pub periods: Vec<PeriodTrend>,
}

/// Spending in a range.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Trend {
    pub spent: Money,
    pub refunded: Money,
    /// What was spent and not given back.
    pub net: Money,
    /// `net` of the range before.
    pub previous: Money,
    #[serde(flatten)]
    pub change: Change,
}

/// Spending in one period.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PeriodTrend {
    pub start: Day,
    pub end: Day,
    pub spent: Money,
    pub refunded: Money,
    pub net: Money,
    /// Against the period before; `null` when one of the two is a month that is cut.
    #[serde(flatten)]
    pub change: Option<Change>,
}

/// How much more `net` is than it was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Change {
    pub change: Money,
    /// Of what it was; `null` when that was nothing.
    pub change_percent: Option<Decimal<1>>,
}

impl Change {
    fn of(before: i128, after: i128) -> Result<Self, OutOfRange> {
        let change = after - before;
        let percent = (before != 0).then(|| Decimal::ratio(change * 100, before.abs()));
        Ok(Self { change: money(change)?, change_percent: percent })
    }
}

impl Trend {
    fn of(before: Figures, now: Figures) -> Result<Self, OutOfRange> {
        Ok(Self {
            spent: money(now.paid)?,
            refunded: money(now.refunded)?,
            net: money(now.net())?,
            previous: money(before.net())?,
            change: Change::of(before.net(), now.net())?,
        })
    }
}

/// The trends of a range, from the figures of its periods and of those of the range before.
pub fn spending_trends(
    before: &[PeriodFigures],
    now: &[PeriodFigures],
    previous: Period,
    granularity: Granularity,
) -> Result<SpendingTrends, OutOfRange> {
    let names: BTreeSet<&String> = before.iter().chain(now).flat_map(|period| period.categories.keys()).collect();
    let mut categories = Vec::with_capacity(names.len());
    for name in names {
        let of = |period: &PeriodFigures| period.categories.get(name).copied().unwrap_or_default();
        categories.push(CategoryTrend {
            category: name.clone(),
            trend: Trend::of(before.iter().map(of).sum(), now.iter().map(of).sum())?,
            periods: period_trends(before.last(), now, of, granularity)?,
        });
    }
    categories.sort_by(|a, b| b.trend.net.cmp(&a.trend.net).then_with(|| a.category.cmp(&b.category)));
    let sum = |periods: &[PeriodFigures]| periods.iter().map(PeriodFigures::total).sum();
    Ok(SpendingTrends {
        previous_from: Day(previous.start),
        previous_to: Day(previous.end),
        total: Trend::of(sum(before), sum(now))?,
        categories,
    })
}

fn period_trends(
    before: Option<&PeriodFigures>,
    now: &[PeriodFigures],
    of: impl Fn(&PeriodFigures) -> Figures,
    granularity: Granularity,
) -> Result<Vec<PeriodTrend>, OutOfRange> {
    let mut before = before;
    let mut trends = Vec::with_capacity(now.len());
    for figures in now {
        let here = of(figures);
        let comparable =
            |other: &&PeriodFigures| other.period.is_whole(granularity) && figures.period.is_whole(granularity);
        let change = before.filter(comparable).map(|before| Change::of(of(before).net(), here.net())).transpose()?;
        trends.push(PeriodTrend {
            start: Day(figures.period.start),
            end: Day(figures.period.end),
            spent: money(here.paid)?,
            refunded: money(here.refunded)?,
            net: money(here.net())?,
            change,
        });
        before = Some(figures);
    }
    Ok(trends)
}
