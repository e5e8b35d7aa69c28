//! Settling payments whose answer was lost, and giving back those whose refund was, with nobody
//! waiting for it any more.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    id::Id,
    runtime::Function,
    schedule::{self, Job},
    table::{Shard, TableError},
    time::Timestamp,
};

use crate::{
    Payments,
    payment::PaymentStatus,
    settlement::SettleError,
    store::{self, UNSETTLED, Unsettled},
};

/// Payments taken in one Query.
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
        let mut settled = 0;
        for partition in Shard::all(UNSETTLED) {
            let mut position = None;
            loop {
                let (due, next) =
                    self.payments.table.due::<Unsettled>("gsi1", &partition, &now.to_string(), BATCH, position).await?;
                for Unsettled { payment_id, .. } in due {
                    settled += usize::from(self.settled(payment_id).await?);
                }
                position = next;
                if position.is_none() {
                    break;
                }
            }
        }
        Ok(settled)
    }
}

impl Reconcile {
    /// Whether the payment was settled, or given back, now. One that cannot be does not keep the others
    /// waiting.
    async fn settled(&self, payment_id: Id) -> Result<bool, TableError> {
        match self.settle(payment_id).await {
            Err(SettleError::Table(error @ TableError::Unavailable(_))) => Err(error),
            Err(error) => {
                tracing::warn!(%payment_id, %error, "left for the next run");
                Ok(false)
            }
            Ok(settled) => Ok(settled),
        }
    }

    async fn settle(&self, payment_id: Id) -> Result<bool, SettleError> {
        let table = &self.payments.table;
        let payment = store::get(table, payment_id).await?.ok_or(SettleError::Unknown(payment_id))?;
        match payment.status {
            PaymentStatus::Pending => self.payments.look_into(&payment).await.map(|_| true),
            PaymentStatus::Refunding => {
                table.commit(self.payments.give_back(&payment).await?).await?;
                Ok(true)
            }
            PaymentStatus::Completed | PaymentStatus::Failed | PaymentStatus::Refunded => Ok(false),
        }
    }
}
