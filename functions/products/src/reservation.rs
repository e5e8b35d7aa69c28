//! The stock set aside for one order.

use serde::{Deserialize, Serialize};
use shared::{id::Id, time::Timestamp};

/// Where the stock of an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReservationState {
    /// Set aside.
    Reserved,
    /// Set aside, and the order is confirmed.
    Sold,
    /// There was not enough.
    Rejected,
    /// Back on sale.
    Released,
    /// The order was cancelled before stock was set aside for it; none will be.
    CancelledBefore,
}

/// One order's claim on a product's stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    pub order_id: Id,
    pub product_id: Id,
    pub quantity: u32,
    pub state: ReservationState,
    pub updated_at: Timestamp,
    pub version: u64,
}

impl Reservation {
    pub fn new(order_id: Id, product_id: Id, quantity: u32, state: ReservationState) -> Self {
        Self { order_id, product_id, quantity, state, updated_at: Timestamp::now(), version: 1 }
    }

    /// The same reservation in its next state.
    #[must_use]
    pub fn moved_to(&self, state: ReservationState) -> Self {
        Self { state, updated_at: Timestamp::now(), version: self.version + 1, ..self.clone() }
    }
}
