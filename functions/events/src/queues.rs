//! The consumers' queues and their dead-letter queues, as this service sees them.

use std::{collections::HashMap, fmt, str::FromStr, time::Duration};

use async_trait::async_trait;
use aws_sdk_sqs::types::MessageAttributeValue;
use serde::Serialize;
use serde_json::Value;
use shared::{http::Problem, time::Timestamp};
use utoipa::ToSchema;

pub(crate) const DEAD_LETTERS_SUFFIX: &str = "-dlq";

/// The name of a consumer's queue without the stack's: `orders-on-user-events`.
///
/// Always `<service>-on-<what>`, which tells the queues of a stack from those of another whose name
/// begins with the same words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
pub struct QueueName(String);

/// The text is not the name of a consumer's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a queue is named <service>-on-<what>, as in orders-on-user-events")]
pub struct InvalidQueueName;

impl QueueName {
    const MAX_LENGTH: usize = 80;

    /// The service whose consumer the queue feeds.
    pub fn service(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for QueueName {
    type Err = InvalidQueueName;

    fn from_str(text: &str) -> Result<Self, InvalidQueueName> {
        let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let mut parts = text.split('-');
        let named = parts.next().is_some_and(word) && parts.next() == Some("on");
        let rest: Vec<&str> = parts.collect();
        let valid = named && !rest.is_empty() && rest.iter().all(|part| word(part)) && rest.last() != Some(&"dlq");
        if valid && text.len() <= Self::MAX_LENGTH { Ok(Self(text.to_owned())) } else { Err(InvalidQueueName) }
    }
}

/// A queue: a consumer's own, or the one for what that consumer could not handle.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Queue {
    Consumer(QueueName),
    DeadLetters(QueueName),
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consumer(name) => name.fmt(f),
            Self::DeadLetters(name) => write!(f, "{name}{DEAD_LETTERS_SUFFIX}"),
        }
    }
}

/// How many messages a queue holds, approximately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Can be received now, or after a delay.
    pub waiting: u64,
    /// Received, and neither deleted nor given back yet.
    pub in_flight: u64,
}

/// A message that was received, and that nobody else receives for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub id: String,
    pub body: String,
    pub attributes: HashMap<String, MessageAttributeValue>,
    pub sent_at: Timestamp,
    /// Names this reception to [`Queues::delete`] and [`Queues::release`].
    pub receipt: String,
}

/// A value in a rule's event pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Match {
    Exactly(String),
    Prefix(String),
}

impl Match {
    fn parse(pattern: &Value) -> Option<Self> {
        match pattern {
            Value::String(text) => Some(Self::Exactly(text.clone())),
            Value::Object(operator) if operator.len() == 1 => {
                Some(Self::Prefix(operator.get("prefix")?.as_str()?.to_owned()))
            }
            _ => None,
        }
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exactly(text) => value == text,
            Self::Prefix(prefix) => value.starts_with(prefix),
        }
    }
}

/// What the bus puts into a queue: the queue's rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    sources: Option<Vec<Match>>,
    types: Option<Vec<Match>>,
}

impl Subscription {
    /// Reads a rule's event pattern; `None` when there is more in it than sources and event types,
    /// each by name or prefix.
    pub fn parse(pattern: &str) -> Option<Self> {
        let Value::Object(pattern) = serde_json::from_str(pattern).ok()? else { return None };
        if pattern.keys().any(|key| key != "source" && key != "detail-type") {
            return None;
        }
        let matches = |key: &str| match pattern.get(key) {
            None => Some(None),
            Some(values) => Some(Some(values.as_array()?.iter().map(Match::parse).collect::<Option<Vec<_>>>()?)),
        };
        Some(Self { sources: matches("source")?, types: matches("detail-type")? })
    }

    /// Whether the bus puts an event of this type from this source into the queue.
    pub fn takes(&self, source: &str, event_type: &str) -> bool {
        let any = |matches: &Option<Vec<Match>>, value: &str| {
            matches.as_ref().is_none_or(|matches| matches.iter().any(|one| one.matches(value)))
        };
        any(&self.sources, source) && any(&self.types, event_type)
    }

    /// Whether the bus puts events of this type into the queue, from some source.
    pub fn takes_type(&self, event_type: &str) -> bool {
        self.types.as_ref().is_none_or(|matches| matches.iter().any(|one| one.matches(event_type)))
    }

    /// The event types that the queue gets, when the rule names each of them.
    pub fn types(&self) -> Option<Vec<String>> {
        let names = self.types.as_ref()?.iter().map(|one| match one {
            Match::Exactly(name) => Some(name.clone()),
            Match::Prefix(_) => None,
        });
        names.collect()
    }
}

/// How far the queue service itself is with moving the messages of a dead-letter queue back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeRedrive {
    /// It has begun to.
    Started,
    /// It is at it since an earlier request.
    Running,
    /// It does not offer to, or has failed at it; the messages have to be moved one by one.
    Unsupported,
}

/// Why a queue did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    #[error("there is no such queue")]
    Missing,
    #[error("the queues are unavailable: {0}")]
    Unavailable(String),
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Missing => Self::not_found("queue"),
            QueueError::Unavailable(reason) => {
                tracing::error!(reason, "the queues are unavailable");
                Self::unavailable("the queues are unavailable")
            }
        }
    }
}

/// The queues of one stack.
#[async_trait]
pub trait Queues: Send + Sync {
    /// The queue's name in the queue service, the stack's included.
    fn full_name(&self, queue: &Queue) -> String;

    /// Every consumer's queue, in alphabetical order.
    async fn names(&self) -> Result<Vec<QueueName>, QueueError>;

    async fn depth(&self, queue: &Queue) -> Result<Depth, QueueError>;

    /// How long the oldest message of each of these queues has been waiting, as far as that is known.
    async fn ages(&self, queues: &[Queue]) -> Result<HashMap<Queue, Duration>, QueueError>;

    /// The queue's rule; `None` when it is not fed by the bus, or its rule says more than a
    /// [`Subscription`] can.
    async fn subscription(&self, queue: &QueueName) -> Result<Option<Subscription>, QueueError>;

    /// Takes up to ten messages, which nobody else receives for as long as `hidden`. None only when
    /// there are none, or others hold them.
    async fn receive(&self, queue: &Queue, hidden: Duration) -> Result<Vec<Message>, QueueError>;

    /// Puts a message into a queue.
    async fn send(
        &self,
        queue: &Queue,
        body: &str,
        attributes: &HashMap<String, MessageAttributeValue>,
    ) -> Result<(), QueueError>;

    /// Removes a received message for good.
    async fn delete(&self, queue: &Queue, message: &Message) -> Result<(), QueueError>;

    /// Gives a received message back, for anybody to receive at once.
    async fn release(&self, queue: &Queue, message: &Message) -> Result<(), QueueError>;

    /// Has the queue service move all messages of a dead-letter queue to where they came from.
    async fn redrive_natively(&self, queue: &QueueName) -> Result<NativeRedrive, QueueError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_consumers_queue_has_a_queues_name() {
        for name in ["orders-on-user-events", "events-on-all-events", "payments-on-x"] {
            assert_eq!(name.parse::<QueueName>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
        let foreign = ["", "orders", "orders-on", "orders-on-", "two-orders-on-user-events", "Orders-on-x", "a-on-b/c"];
        for name in foreign.into_iter().chain(["orders-on-user-events-dlq", "orders-on-ä", &"a-on-b".repeat(99)]) {
            assert_eq!(name.parse::<QueueName>(), Err(InvalidQueueName), "{name}");
        }
    }

    #[test]
    fn a_subscription_takes_what_its_rule_takes() {
        let rule =
            Subscription::parse(r#"{"source":["quayside.users"],"detail-type":["user.created","user.deleted"]}"#);
        let rule = rule.unwrap();
        assert!(rule.takes("quayside.users", "user.deleted"));
        assert!(!rule.takes("quayside.users", "user.updated"));
        assert!(!rule.takes("quayside.auth", "user.deleted"));
        assert_eq!(rule.types().unwrap(), ["user.created", "user.deleted"]);
        let all = Subscription::parse(r#"{"source":[{"prefix":"quayside."}]}"#).unwrap();
        assert!(all.takes("quayside.sensors", "anything") && !all.takes("aws.s3", "anything"));
        assert_eq!(all.types(), None);
    }

    #[test]
    fn a_rule_that_says_more_is_not_misread() {
        for pattern in [
            r#"{"source":["a"],"detail":{"x":[1]}}"#,
            r#"{"source":[{"anything-but":["a"]}]}"#,
            r#"{"source":[{"prefix":"a","suffix":"b"}]}"#,
            r#"{"source":"a"}"#,
            "[]",
            "",
        ] {
            assert_eq!(Subscription::parse(pattern), None, "{pattern}");
        }
    }
}
