//! What a payment's event adds to the figures.

use serde::{Deserialize, Serialize};
use shared::{
    event::{Envelope, Payload, PayloadError, PaymentCompleted, PaymentRefunded, RefundReason},
    id::Id,
    money::Money,
    time::Timestamp,
};
use uuid::Uuid;

/// The category of what has none.
pub const UNCATEGORISED: &str = "uncategorised";

/// Which way money went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// From a customer to the business.
    Payment,
    /// Back to the customer.
    Refund,
}

/// Money that moved. A payment is one fact, and its refund another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub kind: Kind,
    pub payment_id: Id,
    pub user_id: Id,
    pub category: String,
    pub amount: Money,
    /// When the event occurred: the moment that the figures count it at.
    pub at: Timestamp,
    pub event_id: Uuid,
}

impl Fact {
    /// What an event says; `None` for the refund of a charge that no `payment.completed` ever told of
    /// (the payment had failed, and was found charged later): the customer neither bought nor got
    /// anything.
    ///
    /// # Errors
    /// When the event is neither a payment's completion nor its refund, or cannot be read.
    pub fn of(event: &Envelope) -> Result<Option<Self>, PayloadError> {
        let (kind, payment_id, user_id, amount, category) = if event.event_type == PaymentRefunded::TYPE {
            let refund: PaymentRefunded = event.payload()?;
            if refund.reason == RefundReason::LateCharge {
                return Ok(None);
            }
            (Kind::Refund, refund.payment_id, refund.user_id, refund.amount, refund.category)
        } else {
            let payment: PaymentCompleted = event.payload()?;
            (Kind::Payment, payment.payment_id, payment.user_id, payment.amount, payment.category)
        };
        let category = category_name(category.as_deref().unwrap_or_default());
        Ok(Some(Self { kind, payment_id, user_id, category, amount, at: event.occurred_at, event_id: event.id }))
    }
}

/// A category's name as the figures know it.
pub fn category_name(text: &str) -> String {
    let name = text.trim();
    if name.is_empty() { UNCATEGORISED.to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: u64) -> Id {
        Id::new(value).unwrap()
    }

    fn refund(reason: RefundReason) -> Envelope {
        let amount = Money::from_minor_units(999).unwrap();
        let (payment_id, order_id, user_id) = (id(1), id(2), id(3));
        Envelope::new(&PaymentRefunded { payment_id, order_id, user_id, amount, category: None, reason }).unwrap()
    }

    #[test]
    fn a_refund_of_a_charge_that_was_never_a_payment_is_no_income() {
        assert_eq!(Fact::of(&refund(RefundReason::LateCharge)).unwrap(), None);
        for reason in [RefundReason::Requested, RefundReason::AlreadyPaid, RefundReason::OrderCancelled] {
            assert_eq!(Fact::of(&refund(reason)).unwrap().unwrap().kind, Kind::Refund);
        }
    }

    #[test]
    fn what_has_no_category_is_uncategorised() {
        for text in ["", "  ", UNCATEGORISED] {
            assert_eq!(category_name(text), UNCATEGORISED);
        }
        assert_eq!(category_name(" home & garden "), "home & garden");
    }
}
