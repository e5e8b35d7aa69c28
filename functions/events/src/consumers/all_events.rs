//! Keeps the log.

use std::time::Duration;

use async_trait::async_trait;
use shared::{
    aws::{self, ConfigError},
    consumer::{self, BatchConsumer, ConsumerError, Delivery, Group},
    event::Envelope,
    runtime::Function,
    table::{Key, Table},
    time::Timestamp,
};

use crate::{entry::LoggedEvent, store};

/// Shorter, an event could be delivered again after the log has forgotten it: queue and dead-letter
/// queue keep a message for 14 days each.
const SHORTEST_RETENTION_DAYS: u64 = 30;

/// Logs each event once, dozens in one transaction. The log's own item takes the place of an inbox
/// record: it is there for as long as the log is, and saves a third of the writes.
pub struct AllEvents {
    pub table: Table,
    /// How long an event stays in the log; `None` for ever.
    pub retention: Option<Duration>,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(consumer::batches(AllEvents { table: Table::from_env()?, retention: retention()? }))
}

fn retention() -> Result<Option<Duration>, ConfigError> {
    let variable = "EVENT_RETENTION_DAYS";
    let Some(text) = aws::optional(variable) else { return Ok(None) };
    match text.parse::<u64>() {
        Ok(0) => Ok(None),
        Ok(days) if days >= SHORTEST_RETENTION_DAYS => Ok(Some(Duration::from_secs(days * 24 * 3600))),
        _ => Err(ConfigError {
            variable,
            reason: format!("not 0 (for ever) or a number of days from {SHORTEST_RETENTION_DAYS}"),
        }),
    }
}

#[async_trait]
impl BatchConsumer for AllEvents {
    fn name(&self) -> &'static str {
        "all-events"
    }

    fn limit(&self) -> usize {
        store::AT_ONCE
    }

    /// An event is logged once even if it is replayed to the log for a rebuild.
    fn once_key(&self, delivery: &Delivery) -> Key {
        store::key_of(delivery.event.id)
    }

    /// Any events can be logged together.
    fn group(&self, _: &Envelope) -> Result<Group, ConsumerError> {
        Ok(Group { lane: "log".into(), name: "log".into() })
    }

    async fn handle(&self, deliveries: &[Delivery]) -> Result<(), ConsumerError> {
        let kept_until = self.retention.map(|retention| Timestamp::now().plus(retention));
        let entries = deliveries.iter().map(|delivery| entry(delivery, kept_until)).collect::<Result<Vec<_>, _>>()?;
        Ok(store::log(&self.table, &entries).await?)
    }
}

fn entry(delivery: &Delivery, kept_until: Option<Timestamp>) -> Result<LoggedEvent, ConsumerError> {
    let service = delivery.service.as_deref();
    let service = service.ok_or_else(|| ConsumerError::Rejected("not from a service of this system".into()))?;
    LoggedEvent::new(&delivery.event, service, kept_until).map_err(|error| ConsumerError::Rejected(error.to_string()))
}
