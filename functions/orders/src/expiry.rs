//! Cancelling orders that were not paid within the payment window.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    runtime::Function,
    schedule::{self, Job},
    table::{Item, Shard, Table, TableError, Transaction},
    time::Timestamp,
};

use crate::{
    order::{CancelReason, OrderStatus},
    store::{self, PaymentDeadline, UNPAID},
};

/// Deadlines taken from each shard in one Query.
const BATCH: i32 = 50;

/// The scheduled job behind `orders-expire-unpaid`.
pub struct ExpireUnpaid {
    pub table: Table,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(schedule::function(ExpireUnpaid { table: Table::from_env()? }))
}

#[async_trait]
impl Job for ExpireUnpaid {
    async fn run(&self, now: Timestamp) -> Result<usize, TableError> {
        let mut cancelled = 0;
        for partition in Shard::all(UNPAID) {
            let mut position = None;
            loop {
                let (due, next) = self.table.due("gsi1", &partition, &now.to_string(), BATCH, position).await?;
                for deadline in due {
                    cancelled += usize::from(self.expired(&deadline).await?);
                }
                position = next;
                if position.is_none() {
                    break;
                }
            }
        }
        Ok(cancelled)
    }
}

impl ExpireUnpaid {
    /// Whether the order was cancelled now. One that cannot be does not keep the others waiting.
    async fn expired(&self, deadline: &PaymentDeadline) -> Result<bool, TableError> {
        match self.expire(deadline).await {
            Err(error @ TableError::Unavailable(_)) => Err(error),
            Err(error) => {
                tracing::error!(order_id = %deadline.order_id, %error, "left for the next run");
                Ok(false)
            }
            outcome => outcome,
        }
    }

    /// Cancels the order if it is still unpaid, and in the same transaction forgets its deadline.
    async fn expire(&self, deadline: &PaymentDeadline) -> Result<bool, TableError> {
        let order = store::get(&self.table, deadline.order_id).await?;
        let unpaid = order.filter(|order| order.status == OrderStatus::Pending);
        let transaction = unpaid.as_ref().map_or_else(Transaction::new, |order| {
            store::update(order, |order| order.cancel(CancelReason::Unpaid).unwrap_or_default())
        });
        self.table.commit(transaction.delete(PaymentDeadline::TYPE, deadline.key())).await?;
        Ok(unpaid.is_some())
    }
}
