//! Why messages were not handled, kept in the platform's table for whoever looks at a dead-letter
//! queue: SQS itself knows of no reasons.

use std::{sync::OnceLock, time::Duration};

use aws_lambda_events::event::sqs::SqsMessage;
use futures::future::join_all;
use serde::{Deserialize, Serialize};

use crate::{
    consumer::ConsumerError,
    table::{Item, Key, Table, TableError, Transaction},
    telemetry::function_name,
    time::Timestamp,
};

/// How long a reason is kept: longer than any dead-letter queue keeps its message.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a batch may take to keep its reasons, which it is not there for.
const DEADLINE: Duration = Duration::from_millis(1000);
const MAX_REASON_CHARS: usize = 1000;

/// How a consumer last failed to handle a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// The queue's name. A message keeps its id on the way to the dead-letter queue.
    pub queue: String,
    pub message_id: String,
    /// The function's name.
    pub consumer: String,
    /// At most a thousand characters.
    pub reason: String,
    /// How often the message had been delivered.
    pub attempts: u32,
    pub failed_at: Timestamp,
}

impl FailureRecord {
    pub(crate) fn of(message: &SqsMessage, error: &ConsumerError) -> Self {
        let arn = message.event_source_arn.as_deref().unwrap_or_default();
        let attempts = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok());
        Self {
            queue: arn.rsplit(':').next().unwrap_or_default().to_owned(),
            message_id: message.message_id.clone().unwrap_or_default(),
            consumer: function_name(),
            reason: error.to_string().chars().take(MAX_REASON_CHARS).collect(),
            attempts: attempts.unwrap_or(1),
            failed_at: Timestamp::now(),
        }
    }

    /// The key of the record of a message that came from this queue.
    pub fn key_of(queue: &str, message_id: &str) -> Key {
        Key::new(format!("FAILURE#{queue}#{message_id}"), "FAILURE")
    }
}

impl Item for FailureRecord {
    const TYPE: &'static str = "failure";

    fn key(&self) -> Key {
        Self::key_of(&self.queue, &self.message_id)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.failed_at.plus(RETENTION))
    }
}

/// Where failures are kept.
#[derive(Debug, Default)]
pub struct Failures {
    table: OnceLock<Option<Table>>,
}

impl Failures {
    pub fn new(platform: Table) -> Self {
        Self { table: OnceLock::from(Some(platform)) }
    }

    /// In the table named by `PLATFORM_TABLE_NAME`, whose client is made at the first failure;
    /// nowhere without it.
    pub fn from_env() -> Self {
        Self::default()
    }

    /// Keeps the records, or says in the log that it could not: the messages come again either way.
    pub async fn keep(&self, records: Vec<FailureRecord>) {
        if records.is_empty() {
            return;
        }
        let table = self.table.get_or_init(|| Table::from_env_variable("PLATFORM_TABLE_NAME").ok());
        let Some(table) = table else { return };
        let writes = records.iter().map(|record| table.commit(Transaction::new().upsert(record)));
        match tokio::time::timeout(DEADLINE, join_all(writes)).await {
            Ok(results) => results.into_iter().filter_map(Result::err).for_each(|error| not_kept(&error)),
            Err(_) => tracing::warn!("the reasons of failures could not be kept in time"),
        }
    }
}

fn not_kept(error: &TableError) {
    tracing::warn!(%error, "the reason of a failure could not be kept");
}
