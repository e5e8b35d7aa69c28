//! Delivering notifications: each claimed before its provider is asked, so that no two processes ask.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use shared::{
    aws::ConfigError,
    consumer::{BusMessage, ConsumerError},
    event::NotificationRequested,
    failure::{FailureRecord, Failures},
    id::Id,
    retry::{backoff, deciding_anew},
    table::{Table, TableError},
    telemetry::{self, function_name},
    time::Timestamp,
};

use crate::{
    aws_provider::Aws,
    notification::{Channel, Next, Notification, NotificationFailure, Outcome, Status, Step},
    pauses::Pauses,
    provider::Provider,
    queue::{DeliveryQueue, Sqs},
    recipient::{Reach, Unreached},
    store,
};

/// How often what came of asking the provider is written before that is left to the claim's end.
const RECORD_ATTEMPTS: u32 = 5;
const RECORD_BACKOFF: Duration = Duration::from_millis(100);
/// The longest that SQS delays a message; what is due later is put back once more.
const LONGEST_DELAY: Duration = Duration::from_secs(900);
const SHORTEST_DELAY: Duration = Duration::from_secs(1);

/// A message that asks for a notification's delivery: the event, as the bus wraps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeliveryMessage {
    #[serde(flatten)]
    pub bus: BusMessage,
    /// Which series of attempts it belongs to. A dead letter belongs to the next: sending it home is the
    /// decision to begin that.
    #[serde(default = "first_series")]
    pub series: u32,
}

fn first_series() -> u32 {
    1
}

impl DeliveryMessage {
    /// Reads a message of the queue.
    pub fn parse(body: &str) -> Result<Self, ConsumerError> {
        serde_json::from_str(body)
            .map_err(|error| ConsumerError::Rejected(format!("not a request to deliver a notification: {error}")))
    }

    fn text(&self) -> Result<String, ConsumerError> {
        serde_json::to_string(self).map_err(|error| ConsumerError::Rejected(error.to_string()))
    }
}

/// Delivers notifications.
pub struct Deliveries {
    pub table: Table,
    pub provider: Arc<dyn Provider>,
    pub queue: Arc<dyn DeliveryQueue>,
    /// Where the reasons of dead letters are kept.
    pub failures: Failures,
    pauses: Pauses,
}

/// What is to be done about a message.
enum Decision {
    Nothing,
    Later(Timestamp),
    /// It is claimed: ask the provider.
    Ask(Notification),
    GiveUp(Notification),
}

impl Deliveries {
    pub fn new(table: Table, provider: Arc<dyn Provider>, queue: Arc<dyn DeliveryQueue>, failures: Failures) -> Self {
        Self { table, provider, queue, failures, pauses: Pauses::default() }
    }

    pub fn from_env() -> Result<Self, ConfigError> {
        let (provider, queue) = (Arc::new(Aws::from_env()?), Arc::new(Sqs::from_env()?));
        Ok(Self::new(Table::from_env()?, provider, queue, Failures::from_env()))
    }

    /// Does what a message asks for at this moment, or has it come again.
    ///
    /// # Errors
    /// When the table or the queue is away; the message is to be delivered again.
    pub async fn deliver(&self, message: &DeliveryMessage, now: Timestamp) -> Result<(), ConsumerError> {
        let requested: NotificationRequested = message.bus.detail.payload()?;
        let id = requested.notification_id;
        match deciding_anew(|| self.decide(id, message.series, now)).await? {
            Decision::Nothing => Ok(()),
            Decision::Later(moment) => self.later(message, moment, now).await,
            Decision::GiveUp(notification) => self.settle(message, notification.lost(now), now).await,
            Decision::Ask(notification) => {
                let started = Instant::now();
                let outcome = self.provider.send(&notification).await;
                let now = now.plus(started.elapsed());
                tell(&notification, &outcome);
                self.pauses.learn(notification.channel, &outcome, now);
                self.settle(message, notification.settled(&outcome, now), now).await
            }
        }
    }

    async fn decide(&self, id: Id, series: u32, now: Timestamp) -> Result<Decision, ConsumerError> {
        let stored = store::get(&self.table, id).await?;
        let notification = stored.ok_or_else(|| ConsumerError::Rejected(format!("no notification {id}")))?;
        match notification.step(series, now) {
            Step::Done => Ok(Decision::Nothing),
            Step::Wait(moment) => Ok(Decision::Later(moment)),
            Step::Lost => Ok(Decision::GiveUp(notification)),
            Step::Send => match self.pauses.until(notification.channel, now) {
                Some(moment) => Ok(Decision::Later(moment)),
                None => self.begin(&notification, series, now).await,
            },
        }
    }

    /// Claims a notification if its recipient is to be told now, as the recipient is and wishes now; what
    /// was known when it was queued may be hours old.
    async fn begin(&self, notification: &Notification, series: u32, now: Timestamp) -> Result<Decision, ConsumerError> {
        let Notification { id, user_id, channel, category, urgent, .. } = *notification;
        let recipient = store::recipient(&self.table, user_id).await?;
        let reach = recipient.as_ref().ok_or(Unreached::Gone);
        let next = match reach.and_then(|recipient| recipient.reach(channel, category, urgent, now)) {
            Ok(Reach { held_until: Some(until), .. }) => notification.held(series, until, now),
            Ok(Reach { to, .. }) => notification.claimed(series, to, now),
            Err(reason) => notification.unwanted(reason, now),
        };
        self.write(&next).await?;
        match (next.status, &next.refusal) {
            (Status::Sending, _) => return Ok(Decision::Ask(next)),
            (Status::Failed, Some(refusal)) => not_sent(id, channel, "NotificationsUnwanted", &refusal.code),
            _ => tracing::info!(notification_id = %id, ?channel, until = %next.due_at, "held back by quiet hours"),
        }
        Ok(Decision::Nothing)
    }

    /// Records what a notification came to, after making sure of what is to follow a failure.
    async fn settle(
        &self,
        message: &DeliveryMessage,
        (settled, next): (Notification, Next),
        now: Timestamp,
    ) -> Result<(), ConsumerError> {
        if next == Next::DeadLetter {
            self.dead_letter(message, &settled, now).await?;
        }
        self.record(&settled).await?;
        match next {
            Next::Again(moment) => self.later(message, moment, now).await,
            Next::Nothing | Next::DeadLetter => Ok(()),
        }
    }

    async fn later(&self, message: &DeliveryMessage, moment: Timestamp, now: Timestamp) -> Result<(), ConsumerError> {
        let delay = moment.since(now).clamp(SHORTEST_DELAY, LONGEST_DELAY);
        Ok(self.queue.later(&message.text()?, delay).await?)
    }

    async fn dead_letter(
        &self,
        message: &DeliveryMessage,
        failed: &Notification,
        now: Timestamp,
    ) -> Result<(), ConsumerError> {
        let letter = DeliveryMessage { series: failed.series + 1, ..message.clone() };
        let message_id = self.queue.dead_letter(&letter.text()?).await?;
        let record = FailureRecord {
            queue: self.queue.name().to_owned(),
            message_id,
            consumer: function_name(),
            reason: reason(failed),
            attempts: failed.attempts.max(1),
            failed_at: now,
        };
        self.failures.keep(vec![record]).await;
        Ok(())
    }

    /// Writes a notification as it is after the provider was asked, again and again: nothing else knows
    /// what the provider said.
    async fn record(&self, settled: &Notification) -> Result<(), TableError> {
        let mut attempt = 0;
        loop {
            match self.write(settled).await {
                Err(error) if attempt < RECORD_ATTEMPTS && !matches!(error, TableError::Malformed { .. }) => {
                    tracing::warn!(notification_id = %settled.id, %error, "what became of a notification is not recorded yet");
                    tokio::time::sleep(backoff(RECORD_BACKOFF, attempt)).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Writes a changed notification; one whose answer was lost may be written, and is looked for.
    async fn write(&self, changed: &Notification) -> Result<(), TableError> {
        match self.table.commit(store::update(changed)).await {
            Err(error @ TableError::Malformed { .. }) => Err(error),
            Err(error) if store::get(&self.table, changed.id).await?.as_ref() != Some(changed) => Err(error),
            _ => Ok(()),
        }
    }
}

fn reason(failed: &Notification) -> String {
    let why = match failed.failure {
        Some(NotificationFailure::OutcomeUnknown) => "may have been sent",
        _ => "was not sent",
    };
    let refusal = failed.refusal.as_ref().map(|refusal| format!("{}: {}", refusal.code, refusal.reason));
    format!("notification {} {why}: {}", failed.id, refusal.unwrap_or_default())
}

/// The provider's own words stay out of the log: they may name the recipient.
fn tell(notification: &Notification, outcome: &Outcome) {
    let (notification_id, channel) = (notification.id, notification.channel);
    let (metric, code) = match outcome {
        Outcome::Sent(provider_message_id) => {
            telemetry::count("NotificationsSent");
            tracing::info!(%notification_id, ?channel, provider_message_id, "sent");
            return;
        }
        Outcome::Refused(refusal) => ("NotificationsRefused", &refusal.code),
        Outcome::Unavailable(refusal) => ("NotificationsNotTaken", &refusal.code),
        Outcome::Throttled(refusal) => ("NotificationsThrottled", &refusal.code),
        Outcome::Unknown(refusal) => ("NotificationsUnanswered", &refusal.code),
    };
    not_sent(notification_id, channel, metric, code);
}

fn not_sent(notification_id: Id, channel: Channel, metric: &'static str, code: &str) {
    telemetry::count(metric);
    tracing::warn!(%notification_id, ?channel, code, outcome = metric, "not sent");
}
