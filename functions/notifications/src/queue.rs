//! The queue that deliveries are done behind.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::{Client, error::DisplayErrorContext};
use aws_types::SdkConfig;
use shared::{
    aws::{self, ConfigError},
    consumer::ConsumerError,
};
use tokio::sync::OnceCell;

/// The queue's name without the stack's.
pub const QUEUE: &str = "notifications-on-requests";

/// The queue did not take a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue {queue} did not take a message: {reason}")]
pub struct QueueError {
    pub queue: String,
    pub reason: String,
}

impl From<QueueError> for ConsumerError {
    fn from(error: QueueError) -> Self {
        Self::Rejected(error.to_string())
    }
}

/// Takes back what could not be delivered.
#[async_trait]
pub trait DeliveryQueue: Send + Sync {
    /// The queue's name, the stack's included.
    fn name(&self) -> &str;

    /// Has a message come after `delay`, of at most 15 minutes.
    async fn later(&self, body: &str, delay: Duration) -> Result<(), QueueError>;

    /// Puts a message where an operator can send it home from; answers with its id.
    async fn dead_letter(&self, body: &str) -> Result<String, QueueError>;
}

/// The queue as it is: in SQS.
pub struct Sqs {
    client: Client,
    name: String,
    url: OnceCell<String>,
    dead_letters: String,
    dead_letters_url: OnceCell<String>,
}

impl Sqs {
    /// The queue of the stack named by `STACK_NAME`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self::of(&aws::sdk_config()?, &aws::required("STACK_NAME")?))
    }

    /// The queue of this stack.
    pub fn of(config: &SdkConfig, stack: &str) -> Self {
        let name = format!("{stack}-{QUEUE}");
        Self {
            client: Client::new(config),
            dead_letters: format!("{name}-dlq"),
            name,
            url: OnceCell::new(),
            dead_letters_url: OnceCell::new(),
        }
    }

    async fn find(&self, name: &str) -> Result<String, QueueError> {
        let answer = self.client.get_queue_url().queue_name(name).send().await;
        let answer = answer.map_err(|error| failed(name, DisplayErrorContext(error)))?;
        answer.queue_url.ok_or_else(|| failed(name, "there is none"))
    }

    async fn send(&self, name: &str, url: &str, body: &str, delay: Duration) -> Result<String, QueueError> {
        // Rounded up: a message that comes too early has to be put back once more.
        let seconds = i32::try_from(delay.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let request = self.client.send_message().queue_url(url).message_body(body).delay_seconds(seconds);
        let answer = request.send().await.map_err(|error| failed(name, DisplayErrorContext(error)))?;
        answer.message_id.ok_or_else(|| failed(name, "it does not name the message"))
    }
}

fn failed(queue: &str, reason: impl ToString) -> QueueError {
    QueueError { queue: queue.to_owned(), reason: reason.to_string() }
}

#[async_trait]
impl DeliveryQueue for Sqs {
    fn name(&self) -> &str {
        &self.name
    }

    async fn later(&self, body: &str, delay: Duration) -> Result<(), QueueError> {
        let url = self.url.get_or_try_init(|| self.find(&self.name)).await?;
        self.send(&self.name, url, body, delay).await.map(|_| ())
    }

    async fn dead_letter(&self, body: &str) -> Result<String, QueueError> {
        let url = self.dead_letters_url.get_or_try_init(|| self.find(&self.dead_letters)).await?;
        self.send(&self.dead_letters, url, body, Duration::ZERO).await
    }
}
