use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::payload;
use crate::{id::Id, money::Money};

/// Why a payment is to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundReason {
    /// The order was cancelled, before or after the payment.
    OrderCancelled,
    /// The order had been paid for already.
    AlreadyPaid,
    /// By an admin.
    Requested,
    /// The provider had charged a payment that had been given up.
    LateCharge,
}

/// Money was taken for an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaymentCompleted {
    pub payment_id: Id,
    pub order_id: Id,
    pub user_id: Id,
    pub amount: Money,
    /// The category of what was paid for. `None` when it has none, or in events from before there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}

/// The provider declined; no money was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaymentFailed {
    pub payment_id: Id,
    pub order_id: Id,
    pub user_id: Id,
    pub amount: Money,
    /// The provider's decline code: `card_declined`.
    pub reason: String,
}

/// The money of a payment was given back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaymentRefunded {
    pub payment_id: Id,
    pub order_id: Id,
    pub user_id: Id,
    pub amount: Money,
    /// The category of what was paid for. `None` when it has none, or in events from before there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    pub reason: RefundReason,
}

/// The money of a payment has to be given back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefundRequested {
    pub payment_id: Id,
    pub order_id: Id,
    pub reason: RefundReason,
}

payload! {
    PaymentCompleted = "payment.completed", "Payment", payment_id;
    PaymentFailed = "payment.failed", "Payment", payment_id;
    PaymentRefunded = "payment.refunded", "Payment", payment_id;
    RefundRequested = "payment.refund_requested", "Payment", payment_id;
}
