//! Those who bring notifications to their recipients.

use async_trait::async_trait;

use crate::notification::{Notification, Outcome};

/// Takes notifications for their recipients.
///
/// Neither SES nor SNS (for SMS and push) knows an idempotency token: what is sent twice arrives twice.
/// So an implementation asks once for each call, and tells an answer from the lack of one.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Asks the provider of the notification's channel to take it, once.
    async fn send(&self, notification: &Notification) -> Outcome;
}
