//! Stock reserved, refused or released for an order.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, Consumer, ConsumerError, Delivery},
    event::{InventoryRejected, InventoryReleased, InventoryReserved, Payload},
    runtime::Function,
    table::Table,
};

use super::apply;
use crate::order::Order;

pub struct InventoryEvents {
    pub table: Table,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(consumer::function(InventoryEvents { table: Table::from_env()? }))
}

#[async_trait]
impl Consumer for InventoryEvents {
    fn name(&self) -> &'static str {
        "inventory-events"
    }

    async fn handle(&self, delivery: &Delivery) -> Result<(), ConsumerError> {
        let event = &delivery.event;
        if event.event_type == InventoryReserved::TYPE {
            let reserved: InventoryReserved = event.payload()?;
            apply(&self.table, delivery, reserved.order_id, Order::stock_reserved).await
        } else if event.event_type == InventoryReleased::TYPE {
            let released: InventoryReleased = event.payload()?;
            apply(&self.table, delivery, released.order_id, Order::stock_released).await
        } else {
            let rejected: InventoryRejected = event.payload()?;
            apply(&self.table, delivery, rejected.order_id, Order::stock_rejected).await
        }
    }
}
