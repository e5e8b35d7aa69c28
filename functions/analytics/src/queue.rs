//! How full the queue is that events come by.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::{Client, error::DisplayErrorContext, types::QueueAttributeName};
use serde::Serialize;
use shared::aws::{self, ConfigError};
use utoipa::ToSchema;

/// How long the queues may take to tell.
const DEADLINE: Duration = Duration::from_millis(1500);
const QUEUE: &str = "analytics-on-payment-events";
const DEAD_LETTERS: &str = "analytics-on-payment-events-dlq";

/// Messages, approximately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueueDepth {
    pub waiting: u64,
    pub in_flight: u64,
    /// Could not be handled, and wait for an operator.
    pub dead_letters: u64,
}

/// The queue could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queues are unavailable: {0}")]
pub struct QueueError(pub String);

/// The queue of this service's consumer.
#[async_trait]
pub trait EventQueue: Send + Sync {
    async fn depth(&self) -> Result<QueueDepth, QueueError>;
}

/// The queue as it is.
pub struct Sqs {
    client: Client,
    stack: String,
}

impl Sqs {
    /// The queue of the stack named by `STACK_NAME`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self { client: Client::new(&aws::sdk_config()?), stack: aws::required("STACK_NAME")? })
    }

    async fn counts<const N: usize>(
        &self,
        queue: &str,
        names: [QueueAttributeName; N],
    ) -> Result<[u64; N], QueueError> {
        let failed = |error: String| QueueError(error);
        let url = self.client.get_queue_url().queue_name(format!("{}-{queue}", self.stack)).send().await;
        let url = url.map_err(|error| failed(DisplayErrorContext(error).to_string()))?.queue_url;
        let request = self.client.get_queue_attributes().set_queue_url(url);
        let answer = request.set_attribute_names(Some(names.to_vec())).send().await;
        let attributes = answer.map_err(|error| failed(DisplayErrorContext(error).to_string()))?.attributes;
        let attributes = attributes.unwrap_or_default();
        Ok(names.map(|name| attributes.get(&name).and_then(|count| count.parse().ok()).unwrap_or_default()))
    }
}

#[async_trait]
impl EventQueue for Sqs {
    async fn depth(&self) -> Result<QueueDepth, QueueError> {
        use QueueAttributeName::{ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible};
        let asked = async {
            futures::try_join!(
                self.counts(QUEUE, [ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible]),
                self.counts(DEAD_LETTERS, [ApproximateNumberOfMessages]),
            )
        };
        let answer = tokio::time::timeout(DEADLINE, asked).await;
        let ([waiting, in_flight], [dead_letters]) =
            answer.map_err(|_| QueueError(format!("no answer within {DEADLINE:?}")))??;
        Ok(QueueDepth { waiting, in_flight, dead_letters })
    }
}
