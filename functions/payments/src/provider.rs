//! The payment provider, and the simulator that is built in.
//!
//! The simulator knows these tokens, as a provider's test mode knows its test cards. It keeps no
//! state: the same charge always comes to the same end.
//!
//! | `payment_method` | what happens |
//! |---|---|
//! | `tok_ok` (the default) | approved |
//! | `tok_declined` | declined: `card_declined` |
//! | `tok_insufficient_funds` | declined: `insufficient_funds` |
//! | `tok_expired_card` | declined: `expired_card` |
//! | `tok_timeout` | charged, but the answer is lost; a notification follows |
//! | `tok_timeout_lost` | never charged, and no answer |
//! | `tok_answers_twice` | approved, and the notification of it comes twice |

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::{Client, error::DisplayErrorContext};
use serde::{Deserialize, Serialize};
use shared::{
    aws::{self, ConfigError},
    id::Id,
    money::Money,
};

/// The token that is approved.
pub const APPROVED: &str = "tok_ok";
/// How long the simulator keeps a caller waiting whose answer is lost.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Money to take, or to give back. The payment's id is the provider's idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub payment_id: Id,
    pub amount: Money,
    pub method: String,
}

/// What the provider decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Approved,
    Declined { code: String },
}

/// The provider did not answer; whether it did what it was asked to is not known.
#[derive(Debug, thiserror::Error)]
#[error("the payment provider did not answer: {0}")]
pub struct NoAnswer(pub String);

/// Takes and gives back money. Every call may be repeated: the payment's id makes it one.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Whether there is such a payment method.
    fn accepts(&self, method: &str) -> bool;

    /// Takes the money, unless it was taken before.
    async fn charge(&self, charge: &Charge) -> Result<Outcome, NoAnswer>;

    /// What a charge came to; `None` when it never reached the provider, and never will.
    async fn find(&self, charge: &Charge) -> Result<Option<Outcome>, NoAnswer>;

    /// Gives the money back, unless it was given back before.
    async fn refund(&self, charge: &Charge) -> Result<(), NoAnswer>;
}

/// What the provider tells of its own accord, by a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    pub payment_id: Id,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// A provider for development and tests; takes no money.
pub struct Simulator {
    notifications: Option<(Client, String)>,
}

impl Simulator {
    /// A simulator that notifies nobody.
    pub fn silent() -> Self {
        Self { notifications: None }
    }

    /// A simulator that notifies the queue named by `PROVIDER_EVENTS_QUEUE_URL`, if it is set.
    pub fn from_env() -> Result<Self, ConfigError> {
        let Some(queue_url) = aws::optional("PROVIDER_EVENTS_QUEUE_URL") else { return Ok(Self::silent()) };
        Ok(Self { notifications: Some((Client::new(&aws::sdk_config()?), queue_url)) })
    }

    async fn notify(&self, charge: &Charge, outcome: Outcome, times: usize) -> Result<(), NoAnswer> {
        let Some((queue, url)) = &self.notifications else { return Ok(()) };
        let notification = Notification { payment_id: charge.payment_id, outcome };
        let body = serde_json::to_string(&notification).map_err(|error| NoAnswer(error.to_string()))?;
        for _ in 0..times {
            let sent = queue.send_message().queue_url(url).message_body(&body).delay_seconds(1).send().await;
            sent.map_err(|error| NoAnswer(DisplayErrorContext(error).to_string()))?;
        }
        Ok(())
    }
}

/// What becomes of a charge to this test token; `None` when it never arrives.
fn decide(method: &str) -> Option<Outcome> {
    let declined = |code: &str| Some(Outcome::Declined { code: code.to_owned() });
    match method {
        "tok_declined" => declined("card_declined"),
        "tok_insufficient_funds" => declined("insufficient_funds"),
        "tok_expired_card" => declined("expired_card"),
        "tok_timeout_lost" => None,
        _ => Some(Outcome::Approved),
    }
}

#[async_trait]
impl Provider for Simulator {
    fn accepts(&self, method: &str) -> bool {
        [
            APPROVED,
            "tok_declined",
            "tok_insufficient_funds",
            "tok_expired_card",
            "tok_timeout",
            "tok_timeout_lost",
            "tok_answers_twice",
        ]
        .contains(&method)
    }

    async fn charge(&self, charge: &Charge) -> Result<Outcome, NoAnswer> {
        let lost = || NoAnswer("timed out".to_owned());
        let outcome = decide(&charge.method);
        match (charge.method.as_str(), outcome) {
            ("tok_timeout", Some(outcome)) => {
                self.notify(charge, outcome, 1).await?;
                tokio::time::sleep(TIMEOUT).await;
                Err(lost())
            }
            ("tok_answers_twice", Some(outcome)) => {
                self.notify(charge, outcome.clone(), 2).await?;
                Ok(outcome)
            }
            (_, Some(outcome)) => Ok(outcome),
            (_, None) => {
                tokio::time::sleep(TIMEOUT).await;
                Err(lost())
            }
        }
    }

    async fn find(&self, charge: &Charge) -> Result<Option<Outcome>, NoAnswer> {
        Ok(decide(&charge.method))
    }

    async fn refund(&self, _: &Charge) -> Result<(), NoAnswer> {
        Ok(())
    }
}
