//! Keeps the replica of the orders, and has the payment of a cancelled order given back.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, Consumer, ConsumerError, Delivery},
    event::{OrderCancelled, OrderCreated, OrderStatus, OrderStatusChanged, Payload, RefundReason, RefundRequested},
    runtime::Function,
    table::{Table, Transaction},
};

use crate::{payment::PayableOrder, store};

pub struct OrderEvents {
    pub table: Table,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(consumer::function(OrderEvents { table: Table::from_env()? }))
}

#[async_trait]
impl Consumer for OrderEvents {
    fn name(&self) -> &'static str {
        "order-events"
    }

    async fn handle(&self, delivery: &Delivery) -> Result<(), ConsumerError> {
        let event = &delivery.event;
        let transaction = if event.event_type == OrderCreated::TYPE {
            self.created(event.payload()?).await?
        } else if event.event_type == OrderCancelled::TYPE {
            self.cancelled(event.payload()?).await?
        } else {
            self.status_changed(event.payload()?).await?
        };
        Ok(self.table.commit(transaction.once(delivery)).await?)
    }
}

impl OrderEvents {
    async fn created(&self, order: OrderCreated) -> Result<Transaction, ConsumerError> {
        let known = store::order(&self.table, order.order_id).await?;
        let open = PayableOrder::open(order.order_id, order.user_id, order.total);
        let open = PayableOrder { category: order.category, ..open };
        Ok(if known.is_some() { Transaction::new() } else { Transaction::new().insert(&open) })
    }

    async fn cancelled(&self, order: OrderCancelled) -> Result<Transaction, ConsumerError> {
        let Some(known) = store::order(&self.table, order.order_id).await? else {
            let open = PayableOrder::open(order.order_id, order.user_id, order.total);
            return Ok(Transaction::new().insert(&PayableOrder { closed: true, ..open }));
        };
        let transaction = Transaction::new().replace(&known.close());
        Ok(match known.paid_by {
            Some(payment_id) => transaction.publish(&RefundRequested {
                payment_id,
                order_id: order.order_id,
                reason: RefundReason::OrderCancelled,
            }),
            None => transaction,
        })
    }

    /// An order that became `PAID` without a payment made here was paid in another way: nobody is to pay
    /// for it any more, whatever becomes of a payment that is being made.
    async fn status_changed(&self, change: OrderStatusChanged) -> Result<Transaction, ConsumerError> {
        if change.to != OrderStatus::Paid {
            return Ok(Transaction::new());
        }
        let known = store::order(&self.table, change.order_id).await?;
        let known =
            known.ok_or_else(|| ConsumerError::Rejected(format!("order {} is not known yet", change.order_id)))?;
        let paid_elsewhere = known.paid_by.is_none() && !known.closed;
        Ok(if paid_elsewhere { Transaction::new().replace(&known.close()) } else { Transaction::new() })
    }
}
