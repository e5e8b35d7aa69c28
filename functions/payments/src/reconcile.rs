//! Settling payments whose answer was lost, with nobody waiting for it any more.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    runtime::Function,
    schedule::{self, Job},
    table::{Shard, TableError},
    time::Timestamp,
};

use crate::{
    Payments,
    settlement::SettleError,
    store::{self, UNSETTLED, Unsettled},
};

/// Payments taken from each shard in one run.
const BATCH: i32 = 100;

/// The scheduled job behind `payments-reconcile`.
pub struct Reconcile {
    pub payments: Payments,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(schedule::function(Reconcile { payments: Payments::from_env()? }))
}

#[async_trait]
impl Job for Reconcile {
    async fn run(&self, now: Timestamp) -> Result<usize, TableError> {
        let table = &self.payments.table;
        let mut settled = 0;
        for partition in Shard::all(UNSETTLED) {
            let due: Vec<Unsettled> = table.due("gsi1", &partition, &now.to_string(), BATCH).await?;
            for Unsettled { payment_id, .. } in due {
                let Some(payment) = store::get(table, payment_id).await? else { continue };
                match self.payments.look_into(&payment).await {
                    Ok(_) => settled += 1,
                    Err(SettleError::Table(error)) if !error.is_race() => return Err(error),
                    Err(error) => tracing::warn!(%payment_id, %error, "left for the next run"),
                }
            }
        }
        Ok(settled)
    }
}
