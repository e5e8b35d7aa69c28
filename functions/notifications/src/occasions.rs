//! What events give reason to tell, and whom.

use std::time::Duration;

use serde_json::{Value, json};
use shared::{
    event::{Envelope, OrderConfirmed, Payload, PayloadError, PaymentFailed, PaymentRefunded, SensorAlertRaised},
    id::Id,
    time::Timestamp,
};

use crate::{
    composing::{NewNotification, NotTold, compose},
    notification::{Channel, Draft},
    recipient::Recipient,
    templates::{Library, TemplateName},
};

/// Events older than this are not told of: nobody wants last month's news when a log is replayed.
const TOLD_FOR: Duration = Duration::from_secs(3 * 24 * 3600);

/// A reason to tell somebody something.
#[derive(Clone, Debug, PartialEq)]
pub struct Occasion {
    /// What it is: told once to each recipient, however many events tell of it.
    pub name: String,
    pub audience: Audience,
    pub template: TemplateName,
    pub params: Value,
    /// It does not wait for the end of quiet hours.
    pub urgent: bool,
}

/// Whom something is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    User(Id),
    Admins,
}

/// Whether it is too late to tell of an event.
pub fn is_old_news(event: &Envelope, now: Timestamp) -> bool {
    now.since(event.occurred_at) > TOLD_FOR
}

impl Occasion {
    /// What an event of an order, a payment or a sensor is an occasion for.
    pub fn of(event: &Envelope) -> Result<Self, PayloadError> {
        let name = format!("{}#{}", event.event_type, event.aggregate_id);
        let to = |user_id, template, params| Self {
            name: name.clone(),
            audience: Audience::User(user_id),
            template,
            params,
            urgent: false,
        };
        match event.event_type.as_str() {
            OrderConfirmed::TYPE => {
                let OrderConfirmed { order_id, user_id, quantity, total, .. } = event.payload()?;
                let params = json!({"order_id": order_id, "quantity": quantity, "total": total});
                Ok(to(user_id, TemplateName::OrderConfirmed, params))
            }
            PaymentFailed::TYPE => {
                let PaymentFailed { order_id, user_id, amount, reason, .. } = event.payload()?;
                let params = json!({"order_id": order_id, "amount": amount, "reason": reason});
                Ok(to(user_id, TemplateName::PaymentFailed, params))
            }
            PaymentRefunded::TYPE => {
                let PaymentRefunded { order_id, user_id, amount, .. } = event.payload()?;
                Ok(to(user_id, TemplateName::PaymentRefunded, json!({"order_id": order_id, "amount": amount})))
            }
            _ => {
                let SensorAlertRaised { sensor_type, device_id, kind, value, threshold, unit, recorded_at, .. } =
                    event.payload()?;
                let params = json!({"sensor_type": sensor_type, "device_id": device_id, "kind": kind, "value": value,
                    "threshold": threshold, "unit": unit, "recorded_at": recorded_at});
                let (audience, template) = (Audience::Admins, TemplateName::SensorAlert);
                Ok(Self { name, audience, template, params, urgent: true })
            }
        }
    }

    /// That there is a new user.
    pub fn welcome(user_id: Id) -> Self {
        Self {
            name: format!("welcome#{user_id}"),
            audience: Audience::User(user_id),
            template: TemplateName::Welcome,
            params: json!({}),
            urgent: false,
        }
    }

    /// What to tell this recipient on a channel; `None` when it is not wanted there, or cannot be told.
    ///
    /// # Errors
    /// When there are no words for it.
    pub fn draft(
        &self,
        library: &Library,
        recipient: &Recipient,
        channel: Channel,
        now: Timestamp,
    ) -> Result<Option<Draft>, NotTold> {
        let new = NewNotification {
            user_id: recipient.user_id,
            channel,
            template: self.template,
            template_version: None,
            language: None,
            params: self.params.clone(),
            urgent: self.urgent,
        };
        match compose(library, Some(recipient), &new, now) {
            Ok(draft) => Ok(Some(draft)),
            Err(NotTold::OptedOut | NotTold::NoAddress(_) | NotTold::UnknownUser) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// [`Occasion::draft`], on every channel that the recipient is told of events by.
    pub fn drafts(&self, library: &Library, recipient: &Recipient, now: Timestamp) -> Result<Vec<Draft>, NotTold> {
        let mut channels = recipient.preferences.channels.clone();
        channels.sort();
        channels.dedup();
        let drafts = channels.into_iter().map(|channel| self.draft(library, recipient, channel, now));
        drafts.filter_map(Result::transpose).collect()
    }
}
