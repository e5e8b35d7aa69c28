//! A payment made, declined or given back for an order.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, Consumer, ConsumerError, Delivery},
    event::{Payload, PaymentCompleted, PaymentFailed, PaymentRefunded},
    runtime::Function,
    table::Table,
};

use super::apply;
use crate::order::Order;

pub struct PaymentEvents {
    pub table: Table,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(consumer::function(PaymentEvents { table: Table::from_env()? }))
}

#[async_trait]
impl Consumer for PaymentEvents {
    fn name(&self) -> &'static str {
        "payment-events"
    }

    async fn handle(&self, delivery: &Delivery) -> Result<(), ConsumerError> {
        let event = &delivery.event;
        if event.event_type == PaymentCompleted::TYPE {
            let paid: PaymentCompleted = event.payload()?;
            apply(&self.table, delivery, paid.order_id, |order| order.payment_completed(paid.payment_id)).await
        } else if event.event_type == PaymentRefunded::TYPE {
            let refunded: PaymentRefunded = event.payload()?;
            apply(&self.table, delivery, refunded.order_id, |order| order.payment_refunded(refunded.payment_id)).await
        } else {
            let failed: PaymentFailed = event.payload()?;
            apply(&self.table, delivery, failed.order_id, Order::payment_failed).await
        }
    }
}
