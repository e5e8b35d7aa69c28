//! Gives the money of a payment back, once.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, Consumer, ConsumerError, Delivery},
    event::RefundRequested,
    runtime::Function,
    table::Transaction,
};

use crate::{
    Payments,
    payment::{Payment, PaymentStatus},
    store,
};

pub struct RefundRequests {
    pub payments: Payments,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(consumer::function(RefundRequests { payments: Payments::from_env()? }))
}

#[async_trait]
impl Consumer for RefundRequests {
    fn name(&self) -> &'static str {
        "refund-requests"
    }

    async fn handle(&self, delivery: &Delivery) -> Result<(), ConsumerError> {
        let request: RefundRequested = delivery.event.payload()?;
        let table = &self.payments.table;
        let payment = store::get(table, request.payment_id).await?;
        let payment = payment.ok_or_else(|| ConsumerError::Rejected(format!("no payment {}", request.payment_id)))?;
        let transaction = match payment.status {
            PaymentStatus::Pending => {
                return Err(ConsumerError::Rejected(format!("payment {} is not settled yet", payment.id)));
            }
            PaymentStatus::Failed | PaymentStatus::Refunded => Transaction::new(),
            PaymentStatus::Completed => {
                let refunding = payment.refunding(request.reason);
                table.commit(store::refund_start(&refunding)).await?;
                self.give_back(&refunding).await
            }
            PaymentStatus::Refunding => self.give_back(&payment).await,
        };
        Ok(table.commit(transaction.once(delivery)).await?)
    }
}

impl RefundRequests {
    /// What is to be stored; nothing while the provider is away: `payments-reconcile` asks it again.
    async fn give_back(&self, refunding: &Payment) -> Transaction {
        self.payments.give_back(refunding).await.unwrap_or_else(|error| {
            tracing::warn!(payment_id = %refunding.id, %error, "the refund is left to reconciliation");
            Transaction::new()
        })
    }
}
