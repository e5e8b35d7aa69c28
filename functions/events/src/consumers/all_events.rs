//! Keeps the log.

use std::time::Duration;

use async_trait::async_trait;
use shared::{
    aws::{self, ConfigError},
    consumer::{self, Consumer, ConsumerError, Delivery},
    runtime::Function,
    table::{Item, Table},
    time::Timestamp,
};

use crate::{entry::LoggedEvent, store};

/// Shorter, an event could be delivered again after the log has forgotten it: queue and dead-letter
/// queue keep a message for 14 days each.
const SHORTEST_RETENTION_DAYS: u64 = 30;

/// Logs each event once. The log's own item takes the place of an inbox record: it is there for as
/// long as the log is, and for half the writes.
pub struct AllEvents {
    pub table: Table,
    /// How long an event stays in the log; `None` for ever.
    pub retention: Option<Duration>,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(consumer::function(AllEvents { table: Table::from_env()?, retention: retention()? }))
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
impl Consumer for AllEvents {
    fn name(&self) -> &'static str {
        "all-events"
    }

    fn once_check(&self) -> &'static str {
        LoggedEvent::TYPE
    }

    async fn handle(&self, delivery: &Delivery) -> Result<(), ConsumerError> {
        let service = delivery.service.as_deref();
        let service = service.ok_or_else(|| ConsumerError::Rejected("not from a service of this system".into()))?;
        let kept_until = self.retention.map(|retention| Timestamp::now().plus(retention));
        let entry = LoggedEvent::new(&delivery.event, service, kept_until)
            .map_err(|error| ConsumerError::Rejected(error.to_string()))?;
        Ok(store::log(&self.table, &entry).await?)
    }
}
