//! The notifications endpoints.

pub mod get_notification;
pub mod get_preferences;
pub mod health;
pub mod notifications_by_user;
pub mod send;
pub mod send_batch;
pub mod set_preferences;

use serde::{Deserialize, Serialize};
use shared::{
    event::NotificationFailure,
    http::{Problem, Resource},
    id::Id,
    time::Timestamp,
};
use utoipa::ToSchema;

use crate::{
    composing::NotTold,
    notification::{Category, Channel, Notification, Status},
    templates::{Language, TemplateName},
};

/// What the endpoints say of themselves.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    get_notification::get_notification,
    get_preferences::get_preferences,
    health::endpoint,
    notifications_by_user::notifications_by_user,
    send::send,
    send_batch::send_batch,
    set_preferences::set_preferences,
))]
pub struct Documentation;

impl From<NotTold> for Problem {
    fn from(reason: NotTold) -> Self {
        match (reason.field_errors(), &reason) {
            (Some(errors), _) => Self::invalid(errors),
            (None, NotTold::OptedOut) => Self::conflict("opted_out", reason.to_string()),
            (None, _) => Self::internal(reason),
        }
    }
}

/// What the sender of a notification is told: nothing of where the user is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AcceptedNotification)]
pub struct Accepted {
    pub id: Id,
    pub user_id: Id,
    pub channel: Channel,
    pub category: Category,
    pub template: TemplateName,
    pub template_version: u32,
    pub language: Language,
    pub status: Status,
    /// When it is sent, at the earliest.
    pub due_at: Timestamp,
    pub requested_at: Timestamp,
}

impl From<&Notification> for Accepted {
    fn from(notification: &Notification) -> Self {
        let Notification { id, user_id, channel, category, template, template_version, language, status, .. } =
            *notification;
        let Notification { due_at, requested_at, .. } = *notification;
        Self { id, user_id, channel, category, template, template_version, language, status, due_at, requested_at }
    }
}

impl Resource for Accepted {
    const COLLECTION: &'static str = "/api/notifications";

    fn id(&self) -> Id {
        self.id
    }
}

/// A notification as its recipient sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Notification)]
struct View {
    #[serde(flatten)]
    accepted: Accepted,
    to: String,
    subject: Option<String>,
    text: String,
    /// How often the provider failed to take it.
    attempts: u32,
    provider_message_id: Option<String>,
    failure: Option<NotificationFailure>,
    /// Why it was not sent the last time; of a provider, in its own words.
    reason: Option<String>,
    sent_at: Option<Timestamp>,
    failed_at: Option<Timestamp>,
}

impl From<Notification> for View {
    fn from(notification: Notification) -> Self {
        Self {
            accepted: Accepted::from(&notification),
            to: notification.to,
            subject: notification.content.subject,
            text: notification.content.text,
            attempts: notification.attempts,
            provider_message_id: notification.provider_message_id,
            failure: notification.failure,
            reason: notification.refusal.map(|refusal| refusal.reason),
            sent_at: notification.sent_at,
            failed_at: notification.failed_at,
        }
    }
}
