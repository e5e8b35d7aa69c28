//! Figures of periods, put together from buckets.

use std::collections::{BTreeMap, btree_map::Entry};

use futures::future::try_join_all;
use shared::{
    table::{Table, TableError},
    time::Timestamp,
};

use crate::{
    bucket::{Bucket, Figures, Span},
    calendar::{Granularity, Period, Zone},
    model::Model,
    store::{self, Part, Scope},
};

/// A period's figures by category.
#[derive(Clone, Debug, PartialEq)]
pub struct PeriodFigures {
    pub period: Period,
    pub categories: BTreeMap<String, Figures>,
}

impl PeriodFigures {
    pub fn total(&self) -> Figures {
        self.categories.values().copied().sum()
    }
}

/// Where figures are read from, and which.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    pub table: &'a Table,
    pub model: Model,
    pub scope: Scope,
    pub zone: &'a Zone,
    /// `None` for all.
    pub category: Option<&'a str>,
}

impl Source<'_> {
    /// The figures of periods that follow each other without a gap.
    ///
    /// Whole months are read from the buckets of months, anything else from those of days: at most one
    /// Query for each of the scope's parts and each change between the two, a megabyte at a time.
    pub async fn read(&self, periods: &[Period]) -> Result<Vec<PeriodFigures>, TableError> {
        let span = |period: &Period| if period.is_whole(Granularity::Month) { Span::Month } else { Span::Day };
        let runs: Vec<&[Period]> = periods.chunk_by(|a, b| span(a) == span(b)).collect();
        let reads = runs.iter().filter_map(|run| run.first().map(|first| self.read_run(run, span(first))));
        Ok(try_join_all(reads).await?.into_iter().flatten().collect())
    }

    async fn read_run(&self, periods: &[Period], span: Span) -> Result<Vec<PeriodFigures>, TableError> {
        let mut figures = Timeline::of(periods, self.zone);
        let Some((from, to)) = figures.range() else { return Ok(figures.periods) };
        let days = (span.start(from), span.start(Timestamp::from_unix_millis(to.unix_millis() - 1)));
        let parts = self.scope.parts();
        let reads = parts.iter().map(|part: &Part| store::buckets(self.table, self.model, *part, span, days));
        for bucket in try_join_all(reads).await?.iter().flatten() {
            if self.category.is_none_or(|category| category == bucket.category) {
                figures.take(bucket);
            }
        }
        Ok(figures.periods)
    }
}

/// Periods and the moments at which they begin.
struct Timeline {
    begins: Vec<Timestamp>,
    end: Timestamp,
    periods: Vec<PeriodFigures>,
}

impl Timeline {
    fn of(periods: &[Period], zone: &Zone) -> Self {
        Self {
            begins: periods.iter().map(|period| zone.begins(period.start)).collect(),
            end: periods.last().map_or(Timestamp::from_unix_millis(0), |period| zone.begins(period.end)),
            periods: periods
                .iter()
                .map(|period| PeriodFigures { period: *period, categories: BTreeMap::new() })
                .collect(),
        }
    }

    /// The moments between which the periods lie, when there is time between them.
    fn range(&self) -> Option<(Timestamp, Timestamp)> {
        self.begins.first().map(|begin| (*begin, self.end)).filter(|(begin, end)| begin < end)
    }

    /// Adds the parts of a bucket to the periods that they are in; some may be in none.
    fn take(&mut self, bucket: &Bucket) {
        for (moment, figures) in bucket.parts() {
            let Some(index) = self.begins.partition_point(|begin| *begin <= moment).checked_sub(1) else { continue };
            if moment >= self.end {
                continue;
            }
            match self.periods[index].categories.entry(bucket.category.clone()) {
                Entry::Occupied(mut known) => *known.get_mut() += figures,
                Entry::Vacant(new) => {
                    new.insert(figures);
                }
            }
        }
    }
}
