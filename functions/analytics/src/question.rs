//! What can be asked.

use garde::Validate;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::{auth::Caller, http::Problem, id::Id, time::Timestamp};
use utoipa::ToSchema;

use crate::{
    calendar::{Day, Granularity, Period, Zone},
    fact::category_name,
    model::Model,
    store::Scope,
};

/// The most days that a question by days may be about, and the most months of one by months.
const MOST_DAYS: i64 = 366;
const MOST_MONTHS: usize = 120;

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    CashFlow,
    SpendingTrends,
    HealthScore,
    Anomalies,
}

/// Whose figures are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AnalyticsScope)]
#[serde(rename_all = "lowercase")]
pub enum ScopeName {
    User,
    Business,
}

/// The body of `POST /api/analytics/query`.
#[derive(Clone, Debug, Deserialize, Validate, ToSchema)]
#[schema(as = AnalyticsQuery)]
#[serde(deny_unknown_fields)]
pub struct Query {
    #[garde(skip)]
    metric: Metric,
    #[garde(skip)]
    scope: ScopeName,
    /// The caller when absent.
    #[garde(skip)]
    user_id: Option<Id>,
    /// The first day.
    #[garde(skip)]
    from: Day,
    /// The first day after the last.
    #[garde(skip)]
    to: Day,
    #[garde(skip)]
    #[serde(default)]
    granularity: Granularity,
    /// All when absent.
    #[garde(inner(length(chars, min = 1, max = 100)))]
    #[schema(min_length = 1, max_length = 100)]
    category: Option<String>,
    /// Whose days and months are meant; UTC's when absent.
    #[garde(skip)]
    #[serde(default)]
    time_zone: Zone,
}

/// A question that can be answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub metric: Metric,
    pub scope: Scope,
    pub range: Period,
    pub granularity: Granularity,
    pub category: Option<String>,
    pub zone: Zone,
}

impl Query {
    /// The question, if this caller may ask it and it can be answered.
    ///
    /// # Errors
    /// 403 for figures that are not the caller's to see, 422 for a question without an answer.
    pub fn question(self, caller: &Caller) -> Result<Question, Problem> {
        let question = Question {
            metric: self.metric,
            scope: self.scope(caller)?,
            range: Period { start: self.from.0, end: self.to.0 },
            granularity: self.granularity,
            category: self.category.as_deref().map(category_name),
            zone: self.time_zone,
        };
        question.check()?;
        Ok(question)
    }

    fn scope(&self, caller: &Caller) -> Result<Scope, Problem> {
        let own = caller.user_id()?;
        match (self.scope, self.user_id) {
            (ScopeName::User, user_id) => {
                let user_id = user_id.unwrap_or(own);
                caller.must_act_for(user_id)?;
                Ok(Scope::User(user_id))
            }
            (ScopeName::Business, None) => caller.must_be_admin().map(|()| Scope::Business),
            (ScopeName::Business, Some(_)) => {
                caller.must_be_admin()?;
                Err(Problem::invalid_field("/user_id", "only of the scope user"))
            }
        }
    }
}

impl Question {
    fn check(&self) -> Result<(), Problem> {
        let invalid = |pointer: &str, detail: String| Err(Problem::invalid_field(pointer, detail));
        if self.range.end < self.range.start {
            return invalid("/to", "not before from".into());
        }
        match self.granularity {
            Granularity::Day if self.range.days() > MOST_DAYS => {
                return invalid("/to", format!("at most {MOST_DAYS} days after from; ask for months"));
            }
            Granularity::Month if self.periods().len() > MOST_MONTHS => {
                return invalid("/to", format!("at most {MOST_MONTHS} months after from"));
            }
            _ => {}
        }
        match self.metric {
            Metric::Anomalies if self.granularity == Granularity::Month => {
                invalid("/granularity", "anomalies are of days".into())
            }
            Metric::HealthScore if self.category.is_some() => {
                invalid("/category", "a health score is of all categories".into())
            }
            _ => Ok(()),
        }
    }

    /// The periods that the range is divided into.
    pub fn periods(&self) -> Vec<Period> {
        self.range.divided(self.granularity)
    }

    /// The days of the range that are judged, where days are: those that have ended at this moment. In a
    /// day that has not, there is nothing unusual about having sold nothing yet.
    pub fn judged(&self, now: Timestamp) -> Option<Period> {
        match self.metric {
            Metric::HealthScore | Metric::Anomalies => Some(self.range.until(self.zone.day(now))),
            Metric::CashFlow | Metric::SpendingTrends => None,
        }
    }

    pub fn scope_name(&self) -> ScopeName {
        match self.scope {
            Scope::User(_) => ScopeName::User,
            Scope::Business => ScopeName::Business,
        }
    }

    /// Whose figures they are; `None` for the business.
    pub fn user_id(&self) -> Option<Id> {
        match self.scope {
            Scope::User(id) => Some(id),
            Scope::Business => None,
        }
    }

    /// What this question, put to this model at this moment, is known by: the SHA-256 of all that is
    /// asked and of the days that are judged, in hexadecimal.
    pub fn fingerprint(&self, model: Model, now: Timestamp) -> String {
        let Self { metric, scope, range, granularity, category, zone } = self;
        let (zone, judged) = (zone.name(), self.judged(now));
        hex::encode(Sha256::digest(format!(
            "{model} {metric:?} {scope:?} {range:?} {granularity:?} {zone} {category:?} {judged:?}"
        )))
    }
}
