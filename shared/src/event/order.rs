use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::payload;
use crate::{id::Id, money::Money};

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum OrderStatus {
    Pending,
    Paid,
    Shipped,
    Completed,
    Cancelled,
}

/// Why an order was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// By the customer or an admin.
    Requested,
    OutOfStock,
    /// Not paid within the payment window.
    Unpaid,
    /// An admin gave the payment back before the order was shipped.
    Refunded,
}

/// An order was placed: `PENDING`, its total fixed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderCreated {
    pub order_id: Id,
    pub user_id: Id,
    pub product_id: Id,
    pub product: String,
    /// The product's when the order was placed. `None` when it had none, or in events from before there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    pub quantity: u32,
    pub total: Money,
}

/// An order ended `CANCELLED`: its stock is to be released and its payment to be given back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderCancelled {
    pub order_id: Id,
    pub user_id: Id,
    pub product_id: Id,
    pub quantity: u32,
    pub total: Money,
    pub reason: CancelReason,
}

/// An order moved along `PENDING → PAID → SHIPPED → COMPLETED`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderStatusChanged {
    pub order_id: Id,
    pub user_id: Id,
    pub from: OrderStatus,
    pub to: OrderStatus,
}

/// An order is paid and its stock is reserved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderConfirmed {
    pub order_id: Id,
    pub user_id: Id,
    pub product_id: Id,
    pub quantity: u32,
    pub total: Money,
}

payload! {
    OrderCreated = "order.created", "Order", order_id;
    OrderCancelled = "order.cancelled", "Order", order_id;
    OrderStatusChanged = "order.status_changed", "Order", order_id;
    OrderConfirmed = "order.confirmed", "Order", order_id;
}
