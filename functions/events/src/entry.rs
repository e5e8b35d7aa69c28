//! An event as the log keeps it.

use serde::{Deserialize, Serialize};
use shared::{event::Envelope, time::Timestamp};
use uuid::Uuid;

/// An event in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedEvent {
    pub event_id: Uuid,
    pub event_type: String,
    /// Who published it: `orders`.
    pub service: String,
    /// What it is about: `Order:42`.
    pub aggregate: String,
    pub correlation_id: String,
    pub occurred_at: Timestamp,
    pub logged_at: Timestamp,
    /// When it may be forgotten; `None` for never.
    pub kept_until: Option<Timestamp>,
    /// The [`Envelope`] as JSON text.
    envelope: String,
}

impl LoggedEvent {
    /// The entry of an event that this service published.
    ///
    /// # Errors
    /// When the event cannot be written as JSON, which an event that came as JSON always can.
    pub fn new(event: &Envelope, service: &str, kept_until: Option<Timestamp>) -> Result<Self, serde_json::Error> {
        Ok(Self {
            event_id: event.id,
            event_type: event.event_type.clone(),
            service: service.to_owned(),
            aggregate: format!("{}:{}", event.aggregate_type, event.aggregate_id),
            correlation_id: event.correlation_id.clone(),
            occurred_at: event.occurred_at,
            logged_at: Timestamp::now(),
            kept_until,
            envelope: serde_json::to_string(event)?,
        })
    }

    /// The event itself.
    pub fn event(&self) -> Result<Envelope, serde_json::Error> {
        serde_json::from_str(&self.envelope)
    }

    /// The entry's place in every list: the moment of the event, and its id. Ids are time-ordered, so
    /// this is the order in which an aggregate's events were made, to the precision of the clocks.
    pub fn sort_key(&self) -> String {
        format!("{}#{}", self.occurred_at, self.event_id)
    }
}
