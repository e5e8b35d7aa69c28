//! How far the read model is behind: the newest event that came, and the newest that was applied.

use async_trait::async_trait;
use aws_lambda_events::event::sqs::SqsEvent;
use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;
use lambda_runtime::LambdaEvent;
use serde::{Deserialize, Serialize};
use shared::{
    consumer::BusMessage,
    runtime::{self, Function},
    table::{Item, Key, Table, TableError, Transaction, Update},
    time::Timestamp,
};
use utoipa::ToSchema;
use uuid::Uuid;

/// Items that each mark is spread over.
const PARTS: u8 = 4;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Seen,
    Applied,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Seen => "SEEN",
            Self::Applied => "APPLIED",
        }
    }
}

/// When the newest event of a stage, in one part, occurred.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mark {
    occurred_at_ms: i64,
}

impl Item for Mark {
    const TYPE: &'static str = "mark";

    /// It is stored by updates, which are told its key; this one is of no stage.
    fn key(&self) -> Key {
        Key::new("PROGRESS", "PROGRESS")
    }
}

fn partition(part: u8) -> String {
    format!("PROGRESS#{part}")
}

/// The newest events by the moments at which they occurred; `None` before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Progress {
    pub newest_seen: Option<Timestamp>,
    pub newest_applied: Option<Timestamp>,
}

impl Progress {
    /// One Query for each part and stage.
    pub async fn read(table: &Table) -> Result<Self, TableError> {
        let (seen, applied) = futures::try_join!(newest(table, Stage::Seen), newest(table, Stage::Applied))?;
        Ok(Self { newest_seen: seen, newest_applied: applied })
    }

    /// How long before the newest event seen the newest event applied occurred, in milliseconds. An
    /// event that was seen when none has been applied counts from its own moment to `now`.
    pub fn lag_ms(&self, now: Timestamp) -> u128 {
        match (self.newest_seen, self.newest_applied) {
            (Some(seen), Some(applied)) => seen.since(applied).as_millis(),
            (Some(seen), None) => now.since(seen).as_millis(),
            (None, _) => 0,
        }
    }
}

async fn newest(table: &Table, stage: Stage) -> Result<Option<Timestamp>, TableError> {
    let partitions: Vec<String> = (0..PARTS).map(partition).collect();
    let reads = partitions.iter().map(|partition| table.range::<Mark>(partition, stage.name(), stage.name()));
    let marks = try_join_all(reads).await?;
    let newest = marks.into_iter().flatten().map(|mark| mark.occurred_at_ms).max();
    Ok(newest.map(Timestamp::from_unix_millis))
}

/// Moves a mark up, unless it is there already.
async fn raise(table: &Table, stage: Stage, occurred_at: Timestamp) -> Result<(), TableError> {
    let Ok(millis) = u64::try_from(occurred_at.unix_millis()) else { return Ok(()) };
    let part = Uuid::new_v4().as_bytes()[0] % PARTS;
    let update = Update::anyway(Mark::TYPE, Key::new(partition(part), stage.name()))
        .set("type", AttributeValue::S(Mark::TYPE.to_owned()))
        .set("schema", AttributeValue::N(Mark::SCHEMA.to_string()))
        .set("occurred_at_ms", AttributeValue::N(millis.to_string()))
        .require_below("occurred_at_ms", millis);
    match table.commit(Transaction::new().update(update)).await {
        Err(error) if error.failed(Mark::TYPE) => Ok(()),
        result => result,
    }
}

/// A consumer's function that notes down what it was given and what it has applied.
pub struct Tracked {
    pub function: Box<dyn Function>,
    pub table: Table,
}

#[async_trait]
impl Function for Tracked {
    async fn invoke(&self, event: LambdaEvent<serde_json::Value>) -> Result<serde_json::Value, runtime::Failure> {
        let moments = moments(&event.payload);
        self.note(Stage::Seen, moments.iter()).await;
        let answer = self.function.invoke(event).await?;
        let applied = moments.iter().filter(|(message_id, _)| !has_failed(&answer, message_id));
        self.note(Stage::Applied, applied).await;
        Ok(answer)
    }
}

impl Tracked {
    /// Marks are a help to whoever watches; events are applied without them.
    async fn note(&self, stage: Stage, moments: impl Iterator<Item = &(String, Timestamp)>) {
        let Some(newest) = moments.map(|(_, occurred_at)| *occurred_at).max() else { return };
        if let Err(error) = raise(&self.table, stage, newest).await {
            tracing::warn!(%error, ?stage, "the progress could not be noted");
        }
    }
}

/// The ids of a batch's messages that hold events, and when those occurred.
fn moments(payload: &serde_json::Value) -> Vec<(String, Timestamp)> {
    let batch: SqsEvent = serde_json::from_value(payload.clone()).unwrap_or_default();
    let moments = batch.records.into_iter().filter_map(|message| {
        let event: BusMessage = serde_json::from_str(&message.body?).ok()?;
        Some((message.message_id?, event.detail.occurred_at))
    });
    moments.collect()
}

fn has_failed(answer: &serde_json::Value, message_id: &str) -> bool {
    let failures = answer["batchItemFailures"].as_array().map(Vec::as_slice).unwrap_or_default();
    failures.iter().any(|failure| failure["itemIdentifier"] == message_id)
}
