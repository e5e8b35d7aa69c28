//! Messages that a consumer could not handle: looking at them, and sending them home.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures::future::{join_all, try_join_all};
use serde::Serialize;
use serde_json::Value;
use shared::{
    failure::FailureRecord,
    http::Problem,
    table::{Table, TableError},
    time::Timestamp,
};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::queues::{Depth, Message, NativeRedrive, Queue, QueueError, QueueName, Queues};

/// How long messages that are looked at are hidden from others, should they not be given back.
const LOOKED_AT: Duration = Duration::from_secs(15);
/// How long a message may take on its way home before another run takes it up again.
const ON_THE_WAY: Duration = Duration::from_secs(30);
/// How long one call goes on taking messages; well within API Gateway's 29 s.
const WORKING_TIME: Duration = Duration::from_secs(10);
/// The most that is shown of all messages' bodies together, in bytes: Lambda answers with 6 MB at most.
const SHOWN_BYTES: usize = 4 * 1024 * 1024;

/// What EventBridge says in the attributes of a message that it could not deliver.
const BUS_REASON: &str = "ERROR_MESSAGE";
const BUS_ATTEMPTS: &str = "RETRY_ATTEMPTS";
/// The reason of a message that nobody has given one for: the function crashed, or ran out of time.
const UNSAID: &str = "the function ended before it could say";

/// A message that waits in a dead-letter queue.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeadLetter {
    /// The queue that it could not be handled from.
    pub queue: QueueName,
    pub message_id: String,
    /// Why it was not handled the last time, or what kept the bus from delivering it.
    pub reason: String,
    /// How often it had been delivered then, or the bus had tried to.
    pub attempts: Option<u32>,
    pub failed_at: Option<Timestamp>,
    /// The function that could not handle it.
    pub consumer: Option<String>,
    pub sent_at: Timestamp,
    /// Who published it, as the bus says: `quayside.orders`.
    pub source: Option<String>,
    /// The message: JSON, or text if it is not.
    pub message: Value,
}

/// Why dead letters could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Table(#[from] TableError),
}

impl From<LookError> for Problem {
    fn from(error: LookError) -> Self {
        match error {
            LookError::Queue(error) => error.into(),
            LookError::Table(error) => error.into(),
        }
    }
}

/// Up to `limit` messages of a dead-letter queue, or of all of them, oldest first, with the reasons
/// that are known. They stay where they are; while they are looked at, others do not receive them.
pub async fn look(
    queues: &dyn Queues,
    platform: &Table,
    queue: Option<QueueName>,
    limit: usize,
) -> Result<Vec<DeadLetter>, LookError> {
    let names = match queue {
        Some(name) => vec![name],
        None => waiting(queues).await?,
    };
    let bytes = SHOWN_BYTES / names.len().max(1);
    let looks = join_all(names.iter().map(|name| messages(queues, name, limit, bytes))).await;
    let mut found = Vec::new();
    for (name, messages) in names.iter().zip(looks) {
        found.extend(messages?.into_iter().map(|message| (name, message)));
    }
    found.sort_by_key(|(_, message)| message.sent_at);
    found.truncate(limit);
    let mut bytes = 0;
    let shown = found.iter().take_while(|(_, message)| {
        bytes += message.body.len();
        bytes <= SHOWN_BYTES
    });
    found.truncate(shown.count().max(1));
    explain(queues, platform, found).await
}

/// The queues in whose dead-letter queues messages wait.
async fn waiting(queues: &dyn Queues) -> Result<Vec<QueueName>, QueueError> {
    let names = queues.names().await?;
    let dead_letters: Vec<Queue> = names.iter().cloned().map(Queue::DeadLetters).collect();
    let depths = try_join_all(dead_letters.iter().map(|queue| queues.depth(queue))).await?;
    Ok(names.into_iter().zip(depths).filter(|(_, depth)| depth.waiting > 0).map(|(name, _)| name).collect())
}

/// Up to `limit` messages of one dead-letter queue, or as many as have these bytes, which are given back
/// before this returns.
async fn messages(
    queues: &dyn Queues,
    name: &QueueName,
    limit: usize,
    bytes: usize,
) -> Result<Vec<Message>, QueueError> {
    let queue = Queue::DeadLetters(name.clone());
    let started = Instant::now();
    let mut found: Vec<Message> = Vec::new();
    let fits = |found: &[Message]| {
        found.len() < limit && found.iter().map(|message| message.body.len()).sum::<usize>() < bytes
    };
    while fits(&found) && started.elapsed() < WORKING_TIME {
        match queues.receive(&queue, LOOKED_AT).await {
            Ok(messages) if messages.is_empty() => break,
            Ok(messages) => found.extend(messages),
            Err(error) => {
                release(queues, &queue, &found).await;
                return Err(error);
            }
        }
    }
    release(queues, &queue, &found).await;
    // A message that is received twice, as SQS may have it, is still one.
    let mut seen = HashSet::new();
    found.retain(|message| seen.insert(message.id.clone()));
    Ok(found)
}

/// Gives messages back. One that cannot be comes back by itself.
async fn release(queues: &dyn Queues, queue: &Queue, messages: &[Message]) {
    for result in join_all(messages.iter().map(|message| queues.release(queue, message))).await {
        if let Err(error) = result {
            tracing::warn!(%queue, %error, "a message stays hidden for a while");
        }
    }
}

async fn explain(
    queues: &dyn Queues,
    platform: &Table,
    found: Vec<(&QueueName, Message)>,
) -> Result<Vec<DeadLetter>, LookError> {
    let full_name = |name: &QueueName| queues.full_name(&Queue::Consumer(name.clone()));
    let keys: Vec<_> =
        found.iter().map(|(name, message)| FailureRecord::key_of(&full_name(name), &message.id)).collect();
    let records: Vec<FailureRecord> = platform.get_many(&keys).await?;
    let mut records: HashMap<String, FailureRecord> =
        records.into_iter().map(|record| (record.message_id.clone(), record)).collect();
    let letters = found.into_iter().map(|(name, message)| {
        let record = records.remove(&message.id);
        letter(name.clone(), message, record)
    });
    Ok(letters.collect())
}

fn letter(queue: QueueName, message: Message, record: Option<FailureRecord>) -> DeadLetter {
    let said_by_bus = |name| message.attributes.get(name).and_then(|value| value.string_value()).map(str::to_owned);
    let (reason, attempts) = match &record {
        Some(record) => (Some(record.reason.clone()), Some(record.attempts)),
        None => (said_by_bus(BUS_REASON), said_by_bus(BUS_ATTEMPTS).and_then(|attempts| attempts.parse().ok())),
    };
    let body = serde_json::from_str(&message.body).unwrap_or(Value::String(message.body));
    DeadLetter {
        queue,
        message_id: message.id,
        attempts,
        failed_at: record.as_ref().map(|record| record.failed_at),
        consumer: record.map(|record| record.consumer),
        reason: reason.unwrap_or_else(|| UNSAID.to_owned()),
        sent_at: message.sent_at,
        source: body["source"].as_str().map(str::to_owned),
        message: body,
    }
}

/// What a redrive came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Redriven {
    pub queue: QueueName,
    pub dry_run: bool,
    pub method: Method,
    /// How many messages went home; in a dry run, or by the native redrive: will go home, approximately.
    pub messages: u64,
    /// Whether all that was asked for is done. If not, and the queue service is not at it, the same
    /// call again goes on with it.
    pub complete: bool,
}

/// Who moves the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = RedriveMethod)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The queue service, after the answer.
    Native,
    /// This call, one by one.
    ByHand,
    /// Nobody: a dry run.
    None,
}

/// Why a redrive did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedriveError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("no such message waits in the dead-letter queue")]
    NoSuchMessage,
    #[error("there are too many messages to find this one among; redrive all, or try again")]
    NotFoundInTime,
    #[error("the message is not there, or somebody else is looking at it; try again in a moment")]
    HeldByOthers,
    #[error("a redrive of this queue is going on")]
    Running,
}

impl From<RedriveError> for Problem {
    fn from(error: RedriveError) -> Self {
        match error {
            RedriveError::Queue(error) => error.into(),
            RedriveError::NoSuchMessage => Self::invalid_field("/message_id", error.to_string()),
            RedriveError::NotFoundInTime | RedriveError::HeldByOthers => Self::unavailable(error.to_string()),
            RedriveError::Running => Self::conflict("redrive_running", error.to_string()).retry_after(10),
        }
    }
}

/// Sends all messages of a dead-letter queue home: by the queue service's own redrive where there is
/// one, and if not one by one, for as long as a call may take.
pub async fn redrive_all(queues: &dyn Queues, name: &QueueName, dry_run: bool) -> Result<Redriven, RedriveError> {
    let waiting = queues.depth(&Queue::DeadLetters(name.clone())).await?.waiting;
    let answer = Redriven { queue: name.clone(), dry_run, method: Method::None, messages: waiting, complete: false };
    if dry_run {
        return Ok(answer);
    }
    match queues.redrive_natively(name).await? {
        NativeRedrive::Started => Ok(Redriven { method: Method::Native, ..answer }),
        NativeRedrive::Running => Err(RedriveError::Running),
        NativeRedrive::Unsupported => {
            let (messages, complete) = move_all(queues, name).await?;
            Ok(Redriven { method: Method::ByHand, messages, complete, ..answer })
        }
    }
}

/// Moves messages until none can be had, one does not go, or the time is up: how many went, and
/// whether none is left, not even one that somebody else holds.
async fn move_all(queues: &dyn Queues, name: &QueueName) -> Result<(u64, bool), QueueError> {
    let dead_letters = Queue::DeadLetters(name.clone());
    let (started, mut moved) = (Instant::now(), 0);
    while started.elapsed() < WORKING_TIME {
        let messages = match queues.receive(&dead_letters, ON_THE_WAY).await {
            Ok(messages) if messages.is_empty() => {
                return Ok((moved, queues.depth(&dead_letters).await == Ok(Depth::default())));
            }
            Ok(messages) => messages,
            Err(error) if moved == 0 => return Err(error),
            Err(_) => break,
        };
        let mut failure = None;
        for result in join_all(messages.iter().map(|message| send_home(queues, name, message))).await {
            match result {
                Ok(()) => moved += 1,
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if moved == 0 => return Err(error),
            Some(_) => break,
            None => {}
        }
    }
    Ok((moved, false))
}

/// Moves one message: it is deleted only after it is home, so it is never nowhere. Should this end in
/// between, the message is in both queues, and its event's second delivery is one of those that
/// consumers know to tell.
async fn send_home(queues: &dyn Queues, name: &QueueName, message: &Message) -> Result<(), QueueError> {
    let dead_letters = Queue::DeadLetters(name.clone());
    let home = Queue::Consumer(name.clone());
    if let Err(error) = queues.send(&home, &message.body, &message.attributes).await {
        release(queues, &dead_letters, std::slice::from_ref(message)).await;
        return Err(error);
    }
    if let Err(error) = queues.delete(&dead_letters, message).await {
        tracing::warn!(queue = %name, message.id, %error, "a message was sent home and will be once more");
    }
    Ok(())
}

/// Sends one message of a dead-letter queue home.
pub async fn redrive_one(
    queues: &dyn Queues,
    name: &QueueName,
    message_id: &str,
    dry_run: bool,
) -> Result<Redriven, RedriveError> {
    let dead_letters = Queue::DeadLetters(name.clone());
    let (found, others) = find(queues, &dead_letters, message_id).await;
    release(queues, &dead_letters, &others).await;
    let message = found?;
    if dry_run {
        release(queues, &dead_letters, std::slice::from_ref(&message)).await;
    } else {
        send_home(queues, name, &message).await?;
    }
    let method = if dry_run { Method::None } else { Method::ByHand };
    Ok(Redriven { queue: name.clone(), dry_run, method, messages: 1, complete: !dry_run })
}

/// The message with this id, received, and those that were received on the way to it.
async fn find(queues: &dyn Queues, queue: &Queue, message_id: &str) -> (Result<Message, RedriveError>, Vec<Message>) {
    let (started, mut others) = (Instant::now(), Vec::new());
    while started.elapsed() < WORKING_TIME {
        match queues.receive(queue, ON_THE_WAY).await {
            Ok(messages) if messages.is_empty() => return (Err(missing(queues, queue, others.len()).await), others),
            Ok(messages) => {
                let (mut found, rest): (Vec<_>, Vec<_>) =
                    messages.into_iter().partition(|message| message.id == message_id);
                others.extend(rest);
                if let Some(message) = found.pop() {
                    return (Ok(message), others);
                }
            }
            Err(error) => return (Err(error.into()), others),
        }
    }
    (Err(RedriveError::NotFoundInTime), others)
}

/// Why a message was not among the `received` ones, when no others can be received.
async fn missing(queues: &dyn Queues, queue: &Queue, received: usize) -> RedriveError {
    match queues.depth(queue).await {
        Ok(depth) if depth.in_flight > received as u64 => RedriveError::HeldByOthers,
        Ok(_) => RedriveError::NoSuchMessage,
        Err(error) => error.into(),
    }
}
