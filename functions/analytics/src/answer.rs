//! Answering a question: from an answer that was kept, or from the read model.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use shared::{
    aws::ConfigError,
    http::Problem,
    id::Id,
    table::{Table, TableError},
    time::Timestamp,
};
use utoipa::ToSchema;

use crate::{
    cache::{self, KeptAnswer},
    calendar::{Day, Granularity, Period, Zone},
    metrics::{
        OutOfRange,
        anomalies::{Anomalies, anomalies},
        cash_flow::{CashFlow, cash_flow},
        health_score::{HealthScore, health_score},
        spending_trends::{SpendingTrends, spending_trends},
    },
    model::{Model, Models},
    question::{Metric, Question, ScopeName},
    reading::Source,
    store::{self, Version},
};

/// How long ago the figures must have changed last for an answer to be kept.
///
/// A transaction's items do not all become visible at the same instant: a count of facts could be read
/// with a fact in it, and a bucket just before it has it. It is over in milliseconds.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// What answers questions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Analytics {
    table: Table,
    settled_after: Duration,
    /// The moment that it is, unless that is the clock's.
    as_of: Option<Timestamp>,
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    #[error("an answer cannot be written or read: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl From<AnswerError> for Problem {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Table(error) => error.into(),
            AnswerError::OutOfRange(error) => Self::invalid_field("/to", error.to_string()),
            AnswerError::Malformed(error) => Self::internal(error),
        }
    }
}

/// An answer, with what was asked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AnalyticsAnswer)]
pub(crate) struct Answer<'a> {
    metric: Metric,
    scope: ScopeName,
    user_id: Option<Id>,
    from: Day,
    to: Day,
    granularity: Granularity,
    category: Option<&'a str>,
    time_zone: &'a Zone,
    /// The first day that is not judged: those that have not ended are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    judged_to: Option<Day>,
    read_model: ReadModel,
    cached: bool,
    #[schema(value_type = Data)]
    data: Value,
}

/// What an answer tells, by its metric.
#[derive(ToSchema)]
#[schema(as = AnalyticsData)]
#[serde(untagged)]
#[expect(dead_code, reason = "only for its schema")]
enum Data {
    CashFlow(CashFlow),
    SpendingTrends(SpendingTrends),
    HealthScore(HealthScore),
    Anomalies(Anomalies),
}

/// What an answer was made of.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
struct ReadModel {
    version: Model,
    /// How many payments and refunds there were in all of the scope's figures, at least.
    facts: u64,
}

impl Analytics {
    pub fn new(table: Table) -> Self {
        Self { table, settled_after: SETTLED_AFTER, as_of: None }
    }

    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self::new(Table::from_env()?))
    }

    /// The same, keeping answers when the figures last changed so long ago.
    #[must_use]
    pub fn settled_after(self, settled_after: Duration) -> Self {
        Self { settled_after, ..self }
    }

    /// The same, as if it were always this moment.
    #[must_use]
    pub fn as_of(self, now: Timestamp) -> Self {
        Self { as_of: Some(now), ..self }
    }

    /// The answer as JSON. A kept one is given only while no fact was applied since.
    ///
    /// Reads the models, then the version of the scope's figures and the kept answer at the same time;
    /// and, unless that is good, as many buckets as the range has.
    pub async fn answer(&self, question: &Question) -> Result<Value, AnswerError> {
        let now = self.as_of.unwrap_or_else(Timestamp::now);
        let model = Models::read(&self.table).await?.active;
        let fingerprint = question.fingerprint(model, now);
        let (version, kept) = futures::try_join!(
            store::version(&self.table, model, question.scope),
            KeptAnswer::of(&self.table, &fingerprint)
        )?;
        if let Some(kept) = kept.filter(|kept| kept.facts == version.facts) {
            noted(cache::hit(&self.table).await);
            let mut answer: Value = serde_json::from_str(&kept.body)?;
            answer["cached"] = true.into();
            return Ok(answer);
        }
        let answer = self.made(question, model, version, now).await?;
        let body = serde_json::to_string(&answer)?;
        let kept = Some((version, body.as_str())).filter(|_| is_settled(version, self.settled_after, now));
        noted(cache::miss(&self.table, &fingerprint, kept).await);
        Ok(answer)
    }

    async fn made(
        &self,
        question: &Question,
        model: Model,
        version: Version,
        now: Timestamp,
    ) -> Result<Value, AnswerError> {
        let judged = question.judged(now);
        let answer = Answer {
            metric: question.metric,
            scope: question.scope_name(),
            user_id: question.user_id(),
            from: Day(question.range.start),
            to: Day(question.range.end),
            granularity: question.granularity,
            category: question.category.as_deref(),
            time_zone: &question.zone,
            judged_to: judged.map(|judged| Day(judged.end)),
            read_model: ReadModel { version: model, facts: version.facts },
            cached: false,
            data: self.data(question, model, judged).await?,
        };
        Ok(serde_json::to_value(answer)?)
    }

    async fn data(&self, question: &Question, model: Model, judged: Option<Period>) -> Result<Value, AnswerError> {
        let source = Source {
            table: &self.table,
            model,
            scope: question.scope,
            zone: &question.zone,
            category: question.category.as_deref(),
        };
        let periods = judged.unwrap_or(question.range).divided(question.granularity);
        let scope = question.scope_name();
        Ok(match question.metric {
            Metric::CashFlow => serde_json::to_value(cash_flow(&source.read(&periods).await?, scope)?)?,
            Metric::HealthScore => serde_json::to_value(health_score(&source.read(&periods).await?, scope))?,
            Metric::Anomalies => serde_json::to_value(anomalies(&source.read(&periods).await?)?)?,
            Metric::SpendingTrends => {
                let previous = question.range.before();
                let before = previous.divided(question.granularity);
                let (before, now) = futures::try_join!(source.read(&before), source.read(&periods))?;
                serde_json::to_value(spending_trends(&before, &now, previous, question.granularity)?)?
            }
        })
    }
}

fn is_settled(version: Version, settled_after: Duration, now: Timestamp) -> bool {
    version.changed_at.is_none_or(|changed_at| now.since(changed_at) >= settled_after)
}

/// An answer is given though it could not be kept or counted.
fn noted(result: Result<(), TableError>) {
    if let Err(error) = result {
        tracing::warn!(%error, "an answer could not be kept or counted");
    }
}
