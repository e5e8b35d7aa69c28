//! A payment, and the order it pays for.

use std::time::Duration;

use garde::Validate;
use serde::{Deserialize, Serialize};
use shared::{
    event::{OrderStatus, PaymentCompleted, PaymentFailed, PaymentRefunded, RefundReason},
    id::Id,
    money::Money,
    time::Timestamp,
};
use utoipa::ToSchema;

use crate::provider::{self, Charge, Outcome};

/// After this time a payment that the provider has not answered is looked into.
pub const IN_DOUBT_AFTER: Duration = Duration::from_secs(60);

/// A request to pay for an order.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPayment {
    #[garde(skip)]
    pub order_id: Id,
    /// The provider's token for a card; see [`provider`].
    #[serde(default = "default_method")]
    #[garde(length(chars, min = 1, max = 100))]
    #[schema(min_length = 1, max_length = 100)]
    pub payment_method: String,
}

fn default_method() -> String {
    provider::APPROVED.to_owned()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum PaymentStatus {
    /// The provider is being asked, or its answer was lost.
    Pending,
    Completed,
    Failed,
    Refunding,
    Refunded,
}

/// One attempt to take money for an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": 890461113790377_u64, "order_id": 890461113135316_u64, "user_id": 2, "amount": 999.99,
    "category": "computers", "status": "COMPLETED", "payment_method": "tok_ok", "decline_code": null,
    "refund_reason": null, "created_at": "2026-01-15T10:31:02.456Z", "updated_at": "2026-01-15T10:31:02.471Z",
    "version": 2,
}))]
pub struct Payment {
    pub id: Id,
    pub order_id: Id,
    pub user_id: Id,
    pub amount: Money,
    /// Of what is paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    pub status: PaymentStatus,
    pub payment_method: String,
    /// The provider's decline code.
    pub decline_code: Option<String>,
    pub refund_reason: Option<RefundReason>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: u64,
}

/// What payments knows of an order: a replica fed by events, and who may pay for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayableOrder {
    pub order_id: Id,
    pub user_id: Id,
    pub total: Money,
    #[serde(default)]
    pub category: Option<String>,
    /// Cancelled, or paid for in another way.
    pub closed: bool,
    /// The payment being made.
    pub claim: Option<Id>,
    /// The payment that paid for it.
    pub paid_by: Option<Id>,
    pub version: u64,
}

/// An order as the orders service answers.
#[derive(Clone, Debug, Deserialize)]
pub struct Order {
    id: Id,
    user_id: Id,
    total: Money,
    #[serde(default)]
    category: Option<String>,
    status: OrderStatus,
}

impl From<Order> for PayableOrder {
    fn from(order: Order) -> Self {
        let closed = order.status != OrderStatus::Pending;
        Self { closed, category: order.category, ..Self::open(order.id, order.user_id, order.total) }
    }
}

/// Why an order cannot be paid for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPayable {
    #[error("the order is cancelled or closed")]
    Closed,
    #[error("the order has been paid for")]
    Paid,
    #[error("a payment for this order is being made")]
    Claimed(Id),
}

impl PayableOrder {
    pub fn open(order_id: Id, user_id: Id, total: Money) -> Self {
        Self { order_id, user_id, total, category: None, closed: false, claim: None, paid_by: None, version: 1 }
    }

    pub fn check(&self) -> Result<(), NotPayable> {
        match (self.paid_by, self.claim) {
            (Some(_), _) => Err(NotPayable::Paid),
            _ if self.closed => Err(NotPayable::Closed),
            (None, Some(payment)) => Err(NotPayable::Claimed(payment)),
            (None, None) => Ok(()),
        }
    }

    /// The order while this payment is being made.
    #[must_use]
    pub fn claimed_by(&self, payment: Id) -> Self {
        Self { claim: Some(payment), version: self.version + 1, ..self.clone() }
    }

    /// The order that nobody may pay for any more.
    #[must_use]
    pub fn close(&self) -> Self {
        Self { closed: true, version: self.version + 1, ..self.clone() }
    }
}

impl Payment {
    /// A payment that the provider is about to be asked for.
    pub fn start(id: Id, order: &PayableOrder, payment_method: &str) -> Self {
        let now = Timestamp::now();
        Self {
            id,
            order_id: order.order_id,
            user_id: order.user_id,
            amount: order.total,
            category: order.category.clone(),
            status: PaymentStatus::Pending,
            payment_method: payment_method.to_owned(),
            decline_code: None,
            refund_reason: None,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    pub fn charge(&self) -> Charge {
        Charge { payment_id: self.id, amount: self.amount, method: self.payment_method.clone() }
    }

    /// Whether the provider's answer is overdue.
    pub fn is_in_doubt(&self, now: Timestamp) -> bool {
        self.status == PaymentStatus::Pending && now.since(self.created_at) >= IN_DOUBT_AFTER
    }

    /// The payment and its order after the provider's answer.
    pub fn settled(&self, order: &PayableOrder, outcome: &Outcome) -> (Self, PayableOrder) {
        let mut order = PayableOrder { version: order.version + 1, ..order.clone() };
        if order.claim == Some(self.id) {
            order.claim = None;
        }
        match outcome {
            Outcome::Approved => {
                order.paid_by.get_or_insert(self.id);
                (self.moved_to(PaymentStatus::Completed), order)
            }
            Outcome::Declined { code } => {
                let failed = Self { decline_code: Some(code.clone()), ..self.moved_to(PaymentStatus::Failed) };
                (failed, order)
            }
        }
    }

    /// The payment whose money is being given back.
    #[must_use]
    pub fn refunding(&self, reason: RefundReason) -> Self {
        Self { refund_reason: Some(reason), ..self.moved_to(PaymentStatus::Refunding) }
    }

    /// The payment whose money was given back.
    #[must_use]
    pub fn refunded(&self) -> Self {
        self.moved_to(PaymentStatus::Refunded)
    }

    fn moved_to(&self, status: PaymentStatus) -> Self {
        Self { status, updated_at: Timestamp::now(), version: self.version + 1, ..self.clone() }
    }

    pub fn completed_event(&self) -> PaymentCompleted {
        PaymentCompleted {
            payment_id: self.id,
            order_id: self.order_id,
            user_id: self.user_id,
            amount: self.amount,
            category: self.category.clone(),
        }
    }

    pub fn failed_event(&self) -> PaymentFailed {
        PaymentFailed {
            payment_id: self.id,
            order_id: self.order_id,
            user_id: self.user_id,
            amount: self.amount,
            reason: self.decline_code.clone().unwrap_or_default(),
        }
    }

    pub fn refunded_event(&self) -> PaymentRefunded {
        PaymentRefunded {
            payment_id: self.id,
            order_id: self.order_id,
            user_id: self.user_id,
            amount: self.amount,
            category: self.category.clone(),
            reason: self.refund_reason.unwrap_or(RefundReason::Requested),
        }
    }
}
