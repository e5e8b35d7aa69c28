//! An analytics service, the events that feed it, and those who ask it.

use std::time::Duration;

use analytics::{answer::Analytics, consumers::payment_events::PaymentEvents, fact::Kind, http};
use serde_json::{Value, json};
use shared::{
    consumer::{self, Outcome},
    event::{Envelope, PaymentCompleted, PaymentRefunded, RefundReason},
    id::Id,
    money::Money,
    table::Table,
    time::Timestamp,
};
use testing::{Answer, Api, Database};

pub const PATH: &str = "/api/analytics/query";

/// Money that moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub kind: Kind,
    pub payment: u64,
    pub user: u64,
    pub category: Option<String>,
    pub cents: i64,
    pub at: Timestamp,
}

pub fn id(value: u64) -> Id {
    Id::new(value).unwrap()
}

pub fn moment(text: &str) -> Timestamp {
    serde_json::from_value(text.into()).unwrap()
}

pub fn paid(payment: u64, user: u64, category: &str, cents: i64, at: &str) -> Entry {
    Entry { kind: Kind::Payment, payment, user, category: Some(category.into()), cents, at: moment(at) }
}

pub fn refunded(payment: u64, user: u64, category: &str, cents: i64, at: &str) -> Entry {
    Entry { kind: Kind::Refund, ..paid(payment, user, category, cents, at) }
}

impl Entry {
    /// The event of it, with an id of its own.
    pub fn event(&self) -> Envelope {
        let (payment_id, order_id, user_id) = (id(self.payment), id(self.payment + 1), id(self.user));
        let (amount, category) = (Money::from_minor_units(self.cents).unwrap(), self.category.clone());
        let event = match self.kind {
            Kind::Payment => Envelope::new(&PaymentCompleted { payment_id, order_id, user_id, amount, category }),
            Kind::Refund => {
                let reason = RefundReason::Requested;
                Envelope::new(&PaymentRefunded { payment_id, order_id, user_id, amount, category, reason })
            }
        };
        Envelope { occurred_at: self.at, ..event.unwrap() }
    }
}

pub struct World {
    pub database: Database,
    pub table: Table,
    pub platform: Table,
    pub analytics: Analytics,
}

/// A service with an empty table, that keeps answers at once. All that is asked about is long over.
pub fn world() -> World {
    world_as_of("2030-01-01T00:00:00Z")
}

/// [`world`], at a moment.
pub fn world_as_of(now: &str) -> World {
    let database = Database::new();
    let (table, platform) = (database.table("analytics"), database.table("platform"));
    let analytics = Analytics::new(table.clone()).settled_after(Duration::ZERO).as_of(moment(now));
    World { analytics, database, table, platform }
}

impl World {
    pub fn consumer(&self) -> PaymentEvents {
        PaymentEvents { table: self.table.clone() }
    }

    pub async fn deliver(&self, event: &Envelope) -> Outcome {
        consumer::handle(&self.consumer(), event.clone()).await.unwrap()
    }

    /// Delivers the event of each entry once.
    pub async fn tell(&self, entries: &[Entry]) {
        for entry in entries {
            assert_eq!(self.deliver(&entry.event()).await, Outcome::Handled);
        }
    }

    /// The same world at another moment.
    pub fn at(self, now: Timestamp) -> Self {
        Self { analytics: self.analytics.as_of(now), ..self }
    }

    pub fn api(&self) -> Api {
        Api::new(http::query::router(self.analytics.clone()))
    }

    /// What the user with the id 7 is told.
    pub async fn ask(&self, question: &Value) -> Value {
        answered(self.api().customer(7).post(PATH, question).await)
    }

    /// What an admin is told.
    pub async fn ask_business(&self, question: &Value) -> Value {
        answered(self.api().admin().post(PATH, question).await)
    }

    pub fn of_type(&self, item_type: &str) -> Vec<Value> {
        self.database.items_of_type(&self.table, item_type)
    }
}

pub fn answered(answer: Answer) -> Value {
    assert!(answer.status.is_success(), "{}", answer.body);
    answer.body
}

/// A question about a range of days.
pub fn question(metric: &str, scope: &str, from: &str, to: &str) -> Value {
    json!({"metric": metric, "scope": scope, "from": from, "to": to})
}

/// The same question with another member.
pub fn with(question: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut question = question.clone();
    question[name] = value.into();
    question
}
