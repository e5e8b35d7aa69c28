//! Sets stock aside for orders, counts it as sold, and puts it back on sale.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, Consumer, ConsumerError, Delivery},
    event::{
        InventoryRejected, InventoryReleased, InventoryReserved, OrderCancelled, OrderConfirmed, OrderCreated, Payload,
    },
    runtime::Function,
    table::{Table, TableError, Transaction},
};

use crate::{
    reservation::{Reservation, ReservationState},
    store::{self, STOCK, move_stock},
};

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
        if event.event_type == OrderCreated::TYPE {
            self.reserve(delivery, &event.payload()?).await
        } else if event.event_type == OrderConfirmed::TYPE {
            self.sell(delivery, &event.payload()?).await
        } else {
            self.release(delivery, &event.payload()?).await
        }
    }
}

impl OrderEvents {
    async fn reserve(&self, delivery: &Delivery, order: &OrderCreated) -> Result<(), ConsumerError> {
        let &OrderCreated { order_id, product_id, quantity, .. } = order;
        if store::reservation(&self.table, order_id).await?.is_some() {
            return Ok(self.table.commit(Transaction::new().once(delivery)).await?);
        }
        let units = i64::from(quantity);
        let reserve = Transaction::new()
            .update(move_stock(product_id, -units, units, 0))
            .insert(&Reservation::new(order_id, product_id, quantity, ReservationState::Reserved))
            .publish(&InventoryReserved { order_id, product_id, quantity })
            .once(delivery);
        match self.table.commit(reserve).await {
            Err(error) if out_of_stock(&error) => {
                let reject = store::without_stock(order_id, product_id, quantity, ReservationState::Rejected)
                    .publish(&InventoryRejected { order_id, product_id, quantity })
                    .once(delivery);
                Ok(self.table.commit(reject).await?)
            }
            result => Ok(result?),
        }
    }

    async fn sell(&self, delivery: &Delivery, order: &OrderConfirmed) -> Result<(), ConsumerError> {
        let reservation = store::reservation(&self.table, order.order_id).await?;
        let transaction = match reservation {
            Some(held) if held.state == ReservationState::Reserved => {
                let units = i64::from(held.quantity);
                Transaction::new()
                    .update(move_stock(held.product_id, 0, -units, units))
                    .replace(&held.moved_to(ReservationState::Sold))
            }
            _ => Transaction::new(),
        };
        Ok(self.table.commit(transaction.once(delivery)).await?)
    }

    async fn release(&self, delivery: &Delivery, order: &OrderCancelled) -> Result<(), ConsumerError> {
        let &OrderCancelled { order_id, product_id, quantity, .. } = order;
        let transaction = match store::reservation(&self.table, order_id).await? {
            Some(held) if matches!(held.state, ReservationState::Reserved | ReservationState::Sold) => {
                let units = i64::from(held.quantity);
                let (reserved, sold) = if held.state == ReservationState::Sold { (0, -units) } else { (-units, 0) };
                Transaction::new()
                    .update(move_stock(held.product_id, units, reserved, sold))
                    .replace(&held.moved_to(ReservationState::Released))
                    .publish(&InventoryReleased { order_id, product_id, quantity })
            }
            Some(_) => Transaction::new(),
            None => store::without_stock(order_id, product_id, quantity, ReservationState::CancelledBefore),
        };
        Ok(self.table.commit(transaction.once(delivery)).await?)
    }
}

/// Only the stock was missing; a redelivered event or a lost race fails other checks too.
fn out_of_stock(error: &TableError) -> bool {
    match error {
        TableError::Failed(checks) => checks.iter().all(|check| check.label == STOCK),
        _ => false,
    }
}
