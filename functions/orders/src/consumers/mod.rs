//! What orders does when the other services tell of something.

pub mod inventory_events;
pub mod payment_events;
pub mod product_events;
pub mod user_events;

use shared::{
    consumer::{ConsumerError, Delivery},
    id::Id,
    table::Table,
};

use crate::{
    order::{Order, OrderEvent},
    store,
};

/// Applies what an event says to the order it is about.
async fn apply(
    table: &Table,
    delivery: &Delivery,
    order_id: Id,
    change: impl FnOnce(&mut Order) -> Vec<OrderEvent>,
) -> Result<(), ConsumerError> {
    let order = store::get(table, order_id).await?;
    let order = order.ok_or_else(|| ConsumerError::Rejected(format!("no order {order_id}")))?;
    Ok(table.commit(store::update(&order, change).once(delivery)).await?)
}
