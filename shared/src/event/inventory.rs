use serde::{Deserialize, Serialize};

use super::payload;
use crate::id::Id;

/// Stock is set aside for an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InventoryReserved {
    pub order_id: Id,
    pub product_id: Id,
    pub quantity: u32,
}

/// There was not enough stock for an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InventoryRejected {
    pub order_id: Id,
    pub product_id: Id,
    pub quantity: u32,
}

/// The stock set aside for an order is back on sale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InventoryReleased {
    pub order_id: Id,
    pub product_id: Id,
    pub quantity: u32,
}

payload! {
    InventoryReserved = "inventory.reserved", "Reservation", order_id;
    InventoryRejected = "inventory.rejected", "Reservation", order_id;
    InventoryReleased = "inventory.released", "Reservation", order_id;
}
