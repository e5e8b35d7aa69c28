use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::payload;
use crate::id::Id;

/// How a notification reaches its recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Email,
    Sms,
    Push,
}

/// What a notification is about: what users opt out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    Account,
    Orders,
    Payments,
    Sensors,
    General,
}

/// Why a notification was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationFailure {
    /// The provider does not take it, and never will.
    Refused,
    /// The provider could not take it, however often it was asked.
    AttemptsExhausted,
    /// The provider was asked and its answer is not known: it may have been sent.
    OutcomeUnknown,
    /// The recipient did not want it any more when it was to be sent.
    OptedOut,
    /// The recipient was gone when it was to be sent, or had no address for the channel any more.
    Unreachable,
}

/// A notification is to be sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotificationRequested {
    pub notification_id: Id,
    pub user_id: Id,
    pub channel: Channel,
    pub category: Category,
}

/// The provider took a notification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotificationSent {
    pub notification_id: Id,
    pub user_id: Id,
    pub channel: Channel,
    pub category: Category,
    /// The provider's name for it.
    pub provider_message_id: String,
}

/// A notification was given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotificationFailed {
    pub notification_id: Id,
    pub user_id: Id,
    pub channel: Channel,
    pub category: Category,
    pub failure: NotificationFailure,
    /// The provider's error code: `MessageRejected`.
    pub code: String,
}

payload! {
    NotificationRequested = "notification.requested", "Notification", notification_id;
    NotificationSent = "notification.sent", "Notification", notification_id;
    NotificationFailed = "notification.failed", "Notification", notification_id;
}
