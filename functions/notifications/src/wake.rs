//! Asking for the delivery of what quiet hours held back, when they end.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    runtime::Function,
    schedule::{self, Job},
    table::{Shard, Table, TableError},
    time::Timestamp,
};

use crate::{
    notification::Notification,
    store::{self, HELD},
};

/// Notifications taken in one Query.
const BATCH: i32 = 100;

/// The scheduled job behind `notifications-wake`.
pub struct Wake {
    pub table: Table,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(schedule::function(Wake { table: Table::from_env()? }))
}

#[async_trait]
impl Job for Wake {
    async fn run(&self, now: Timestamp) -> Result<usize, TableError> {
        let mut woken = 0;
        // Above every sort key of a moment up to now.
        let up_to = format!("{now}$");
        for partition in Shard::all(HELD) {
            let mut position = None;
            loop {
                let (due, next) = self.table.due::<Notification>("gsi1", &partition, &up_to, BATCH, position).await?;
                for notification in due {
                    woken += usize::from(self.wake(&notification).await?);
                }
                position = next;
                if position.is_none() {
                    break;
                }
            }
        }
        Ok(woken)
    }
}

impl Wake {
    /// Whether the notification was woken now; the index may still show one that was before.
    async fn wake(&self, notification: &Notification) -> Result<bool, TableError> {
        match self.table.commit(store::release(&notification.woken())).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_race() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
