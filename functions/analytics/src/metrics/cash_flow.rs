//! Income, expenses and what is left.

use serde::Serialize;
use shared::money::Money;
use utoipa::ToSchema;

use super::{OutOfRange, money};
use crate::{bucket::Figures, calendar::Day, question::ScopeName, reading::PeriodFigures};

/// The money that came in and went out in a range.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CashFlow {
    #[serde(flatten)]
    pub total: Flow,
    pub periods: Vec<PeriodFlow>,
}

/// The money of one period.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PeriodFlow {
    pub start: Day,
    pub end: Day,
    #[serde(flatten)]
    pub flow: Flow,
}

/// Money as it moved: what is given back counts when it is, not when it was paid.
///
/// To the business, payments are income and refunds expenses; to a user it is the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Flow {
    pub income: Money,
    pub expenses: Money,
    pub net: Money,
    pub payments: u64,
    pub refunds: u64,
}

impl Flow {
    fn of(figures: &Figures, scope: ScopeName) -> Result<Self, OutOfRange> {
        let (income, expenses) = match scope {
            ScopeName::Business => (figures.paid, figures.refunded),
            ScopeName::User => (figures.refunded, figures.paid),
        };
        Ok(Self {
            income: money(income)?,
            expenses: money(expenses)?,
            net: money(income - expenses)?,
            payments: figures.payments,
            refunds: figures.refunds,
        })
    }
}

impl PeriodFlow {
    fn of(figures: &PeriodFigures, scope: ScopeName) -> Result<Self, OutOfRange> {
        let (start, end) = (Day(figures.period.start), Day(figures.period.end));
        Ok(Self { start, end, flow: Flow::of(&figures.total(), scope)? })
    }
}

/// The cash flow of a range, from its periods' figures.
pub fn cash_flow(periods: &[PeriodFigures], scope: ScopeName) -> Result<CashFlow, OutOfRange> {
    let total = periods.iter().map(PeriodFigures::total).sum();
    let flows = periods.iter().map(|figures| PeriodFlow::of(figures, scope)).collect::<Result<_, _>>()?;
    Ok(CashFlow { total: Flow::of(&total, scope)?, periods: flows })
}
