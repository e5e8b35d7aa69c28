//! Domain events: the envelope and the published language between services.
//!
//! A payload type belongs to one event type and version. Fields may be added to a payload; a change
//! that an old consumer could misread is a new version, which consumers must learn first.

mod inventory;
mod notification;
mod order;
mod payment;
mod product;
mod sensor;
mod user;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::{
    inventory::{InventoryRejected, InventoryReleased, InventoryReserved},
    notification::{
        Category, Channel, NotificationFailed, NotificationFailure, NotificationRequested, NotificationSent,
    },
    order::{CancelReason, OrderCancelled, OrderConfirmed, OrderCreated, OrderStatus, OrderStatusChanged},
    payment::{PaymentCompleted, PaymentFailed, PaymentRefunded, RefundReason, RefundRequested},
    product::{ProductCreated, ProductUpdated},
    sensor::{AlertKind, SensorAlertRaised, SensorReadingRecorded},
    user::{AccountUpdated, Role, UserCreated, UserDeleted, UserRegistered, UserUpdated},
};
use crate::{context::Context, id::Id, time::Timestamp};

/// What one type of event says.
pub trait Payload: Serialize + DeserializeOwned {
    /// The event's name, `order.created`: EventBridge's `detail-type`.
    const TYPE: &'static str;
    /// Raised by a change that a consumer of the version before could misread.
    const VERSION: u32 = 1;
    /// The kind of entity the event is about: `Order`.
    const AGGREGATE: &'static str;

    fn aggregate_id(&self) -> Id;
}

/// A domain event as it travels: EventBridge's `detail`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Envelope {
    /// Unique to the event, time-ordered (UUID version 7); consumers tell redeliveries by it.
    pub id: Uuid,
    #[serde(rename = "type")]
    pub event_type: String,
    pub version: u32,
    pub aggregate_type: String,
    pub aggregate_id: Id,
    pub correlation_id: String,
    /// The event that was being handled when this one was made.
    pub causation_id: Option<Uuid>,
    pub occurred_at: Timestamp,
    pub data: serde_json::Value,
}

/// An event's data did not have the shape that its type and version promise.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    #[error("{event_type} version {version} is newer than this consumer knows")]
    NewerVersion { event_type: String, version: u32 },
    #[error("{event_type} where {expected} was expected")]
    OtherType { event_type: String, expected: &'static str },
    #[error("{event_type}: {source}")]
    Malformed { event_type: String, source: serde_json::Error },
}

impl Envelope {
    /// An event that happens now, in the context of the running request or event.
    ///
    /// # Errors
    /// When the payload cannot be written as JSON, which a payload of plain fields always can.
    pub fn new<P: Payload>(payload: &P) -> Result<Self, serde_json::Error> {
        let Context { correlation_id, causation_id } = Context::current();
        Ok(Self {
            id: Uuid::now_v7(),
            event_type: P::TYPE.to_owned(),
            version: P::VERSION,
            aggregate_type: P::AGGREGATE.to_owned(),
            aggregate_id: payload.aggregate_id(),
            correlation_id,
            causation_id,
            occurred_at: Timestamp::now(),
            data: serde_json::to_value(payload)?,
        })
    }

    /// The payload, if the event is of type `P` and not of a newer version than `P`.
    pub fn payload<P: Payload>(&self) -> Result<P, PayloadError> {
        if self.event_type != P::TYPE {
            return Err(PayloadError::OtherType { event_type: self.event_type.clone(), expected: P::TYPE });
        }
        if self.version > P::VERSION {
            return Err(PayloadError::NewerVersion { event_type: self.event_type.clone(), version: self.version });
        }
        P::deserialize(&self.data)
            .map_err(|source| PayloadError::Malformed { event_type: self.event_type.clone(), source })
    }
}

/// Implements [`Payload`] for plain structs.
macro_rules! payload {
    ($($payload:ty = $event_type:literal, $aggregate:literal, $id:ident;)*) => {$(
        impl $crate::event::Payload for $payload {
            const TYPE: &'static str = $event_type;
            const AGGREGATE: &'static str = $aggregate;
            fn aggregate_id(&self) -> $crate::id::Id {
                self.$id
            }
        }
    )*};
}
use payload;
