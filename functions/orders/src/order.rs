//! An order and its state machine.
//!
//! Facts arrive late, twice and in any order; every method comes to the same end whatever the order.

use std::time::Duration;

use garde::Validate;
use serde::{Deserialize, Serialize};
pub use shared::event::{CancelReason, OrderStatus};
use shared::{
    event::{OrderCancelled, OrderConfirmed, OrderCreated, OrderStatusChanged, RefundReason, RefundRequested},
    id::Id,
    money::Money,
    time::Timestamp,
};
use utoipa::ToSchema;

/// The most units of a product in one order.
pub const MAX_QUANTITY: u32 = 10_000;

/// A request to place an order, for a product by id or by name.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    #[garde(skip)]
    pub user_id: Id,
    #[garde(custom(either(&self.product)))]
    pub product_id: Option<Id>,
    #[garde(inner(length(chars, min = 1, max = 200)))]
    #[schema(min_length = 1, max_length = 200)]
    pub product: Option<String>,
    #[garde(range(min = 1, max = MAX_QUANTITY))]
    #[schema(minimum = 1, maximum = 10_000)]
    pub quantity: u32,
    /// What the client believes the order costs; refused if it does not.
    #[garde(skip)]
    pub total: Option<Money>,
}

fn either(name: &Option<String>) -> impl FnOnce(&Option<Id>, &()) -> garde::Result + '_ {
    move |id, ()| match (id, name) {
        (Some(_), None) | (None, Some(_)) => Ok(()),
        _ => Err(garde::Error::new("give either product_id or product (a name)")),
    }
}

/// A product as orders knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    pub product_id: Id,
    pub name: String,
    pub price: Money,
    #[serde(default)]
    pub category: Option<String>,
    /// Of the product's description and price.
    pub version: u64,
}

/// Where an order's stock stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderStock)]
#[serde(rename_all = "UPPERCASE")]
pub enum Stock {
    #[default]
    Awaited,
    Reserved,
    Rejected,
    Released,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": 890461113135316_u64, "user_id": 2, "product_id": 2, "product": "Laptop", "category": "computers",
    "quantity": 1, "unit_price": 999.99, "total": 999.99, "status": "PENDING", "stock": "AWAITED",
    "confirmed": false, "payment_id": null, "refunded_payments": [], "failed_payments": 0, "cancel_reason": null,
    "payment_due_at": "2026-01-15T11:00:45.123Z", "created_at": "2026-01-15T10:30:45.123Z",
    "updated_at": "2026-01-15T10:30:45.123Z", "version": 1,
}))]
pub struct Order {
    pub id: Id,
    pub user_id: Id,
    pub product_id: Id,
    /// The product's name when the order was placed.
    pub product: String,
    /// The product's category when the order was placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    pub quantity: u32,
    pub unit_price: Money,
    pub total: Money,
    pub status: OrderStatus,
    pub stock: Stock,
    /// Paid, with the stock reserved; only a confirmed order can be shipped.
    pub confirmed: bool,
    /// The payment that paid for it.
    pub payment_id: Option<Id>,
    /// Payments that were given back.
    #[serde(default)]
    pub refunded_payments: Vec<Id>,
    /// How many payments the provider declined.
    pub failed_payments: u32,
    pub cancel_reason: Option<CancelReason>,
    /// Unpaid at this moment, the order is cancelled.
    pub payment_due_at: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: u64,
}

/// What a change of an order tells the other services.
#[derive(Clone, Debug, PartialEq)]
pub enum OrderEvent {
    Cancelled(OrderCancelled),
    StatusChanged(OrderStatusChanged),
    Confirmed(OrderConfirmed),
    RefundRequested(RefundRequested),
}

/// An order cannot be placed as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    #[error("the order costs {0}")]
    OtherTotal(Money),
    #[error("the total is out of range")]
    TooExpensive,
}

/// The order's status does not allow the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IllegalTransition {
    #[error("an order that is {from:?} cannot become {to:?}")]
    Status { from: OrderStatus, to: OrderStatus },
    #[error("an order is shipped only after its stock is reserved")]
    NotConfirmed,
}

type Events = Vec<OrderEvent>;

impl Order {
    /// A new order at the quoted price.
    pub fn place(id: Id, new: &NewOrder, quote: &Quote, payment_window: Duration) -> Result<Self, PlaceError> {
        let total = quote.price.times(new.quantity).map_err(|_| PlaceError::TooExpensive)?;
        if new.total.is_some_and(|expected| expected != total) {
            return Err(PlaceError::OtherTotal(total));
        }
        let now = Timestamp::now();
        Ok(Self {
            id,
            user_id: new.user_id,
            product_id: quote.product_id,
            product: quote.name.clone(),
            category: quote.category.clone(),
            quantity: new.quantity,
            unit_price: quote.price,
            total,
            status: OrderStatus::Pending,
            stock: Stock::Awaited,
            confirmed: false,
            payment_id: None,
            refunded_payments: Vec::new(),
            failed_payments: 0,
            cancel_reason: None,
            payment_due_at: now.plus(payment_window),
            created_at: now,
            updated_at: now,
            version: 1,
        })
    }

    /// What tells the others that the order was placed.
    pub fn created(&self) -> OrderCreated {
        OrderCreated {
            order_id: self.id,
            user_id: self.user_id,
            product_id: self.product_id,
            product: self.product.clone(),
            category: self.category.clone(),
            quantity: self.quantity,
            total: self.total,
        }
    }

    /// Moves along `PENDING → PAID → SHIPPED → COMPLETED`, or to `CANCELLED` from the first two.
    pub fn set_status(&mut self, to: OrderStatus) -> Result<Events, IllegalTransition> {
        use OrderStatus::{Cancelled, Completed, Paid, Pending, Shipped};
        match (self.status, to) {
            (_, Cancelled) => self.cancel(CancelReason::Requested),
            (Pending, Paid) => Ok(self.pay(None)),
            (Paid, Shipped) if !self.confirmed => Err(IllegalTransition::NotConfirmed),
            (Paid, Shipped) | (Shipped, Completed) => Ok(vec![self.move_to(to)]),
            (from, to) => Err(IllegalTransition::Status { from, to }),
        }
    }

    /// Cancels the order; its stock is released and its payment given back by the others.
    pub fn cancel(&mut self, reason: CancelReason) -> Result<Events, IllegalTransition> {
        if !matches!(self.status, OrderStatus::Pending | OrderStatus::Paid) {
            return Err(IllegalTransition::Status { from: self.status, to: OrderStatus::Cancelled });
        }
        Ok(vec![self.end(reason)])
    }

    /// Stock was set aside.
    pub fn stock_reserved(&mut self) -> Events {
        if self.stock != Stock::Awaited {
            return Vec::new();
        }
        self.stock = Stock::Reserved;
        self.confirm()
    }

    /// There was not enough stock: an order that can still be cancelled is.
    pub fn stock_rejected(&mut self) -> Events {
        if self.stock != Stock::Awaited {
            return Vec::new();
        }
        self.stock = Stock::Rejected;
        self.cancel(CancelReason::OutOfStock).unwrap_or_default()
    }

    /// The stock of the cancelled order is back on sale.
    pub fn stock_released(&mut self) -> Events {
        self.stock = Stock::Released;
        Vec::new()
    }

    /// Money was taken: for a pending order it pays; for any other it must be given back.
    pub fn payment_completed(&mut self, payment_id: Id) -> Events {
        if self.payment_id == Some(payment_id) {
            return Vec::new();
        }
        let given_back = self.refunded_payments.contains(&payment_id);
        match self.status {
            OrderStatus::Pending if given_back => vec![self.end(CancelReason::Refunded)],
            OrderStatus::Pending => self.pay(Some(payment_id)),
            _ if given_back => Vec::new(),
            OrderStatus::Cancelled => vec![self.give_back(payment_id, RefundReason::OrderCancelled)],
            OrderStatus::Paid | OrderStatus::Shipped | OrderStatus::Completed => {
                vec![self.give_back(payment_id, RefundReason::AlreadyPaid)]
            }
        }
    }

    /// The provider declined a payment.
    pub fn payment_failed(&mut self) -> Events {
        self.failed_payments = self.failed_payments.saturating_add(1);
        Vec::new()
    }

    /// A payment was given back: if it had paid for an order not shipped yet, that order ends.
    pub fn payment_refunded(&mut self, payment_id: Id) -> Events {
        if !self.refunded_payments.contains(&payment_id) {
            self.refunded_payments.push(payment_id);
        }
        if self.status == OrderStatus::Paid && self.payment_id == Some(payment_id) {
            return vec![self.end(CancelReason::Refunded)];
        }
        Vec::new()
    }

    fn pay(&mut self, payment_id: Option<Id>) -> Events {
        self.payment_id = payment_id;
        let mut events = vec![self.move_to(OrderStatus::Paid)];
        events.extend(self.confirm());
        events
    }

    fn confirm(&mut self) -> Events {
        if self.confirmed || self.status != OrderStatus::Paid || self.stock != Stock::Reserved {
            return Vec::new();
        }
        self.confirmed = true;
        vec![OrderEvent::Confirmed(OrderConfirmed {
            order_id: self.id,
            user_id: self.user_id,
            product_id: self.product_id,
            quantity: self.quantity,
            total: self.total,
        })]
    }

    fn move_to(&mut self, to: OrderStatus) -> OrderEvent {
        let from = std::mem::replace(&mut self.status, to);
        OrderEvent::StatusChanged(OrderStatusChanged { order_id: self.id, user_id: self.user_id, from, to })
    }

    fn end(&mut self, reason: CancelReason) -> OrderEvent {
        self.status = OrderStatus::Cancelled;
        self.cancel_reason = Some(reason);
        OrderEvent::Cancelled(OrderCancelled {
            order_id: self.id,
            user_id: self.user_id,
            product_id: self.product_id,
            quantity: self.quantity,
            total: self.total,
            reason,
        })
    }

    fn give_back(&self, payment_id: Id, reason: RefundReason) -> OrderEvent {
        OrderEvent::RefundRequested(RefundRequested { payment_id, order_id: self.id, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: u64) -> Id {
        Id::new(value).unwrap()
    }

    fn order() -> Order {
        let new = NewOrder { user_id: id(1), product_id: Some(id(2)), product: None, quantity: 3, total: None };
        let price = Money::from_minor_units(99_999).unwrap();
        let quote = Quote { product_id: id(2), name: "Laptop".into(), price, category: None, version: 1 };
        Order::place(id(1), &new, &quote, Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn three_laptops_cost_2999_97() {
        assert_eq!(order().total.to_string(), "2999.97");
    }

    #[test]
    fn only_the_documented_transitions_are_legal() {
        use OrderStatus::{Cancelled, Completed, Paid, Pending, Shipped};
        let all = [Pending, Paid, Shipped, Completed, Cancelled];
        let legal = [(Pending, Paid), (Paid, Shipped), (Shipped, Completed), (Pending, Cancelled), (Paid, Cancelled)];
        for from in all {
            for to in all {
                let mut order = Order { status: from, confirmed: true, ..order() };
                assert_eq!(order.set_status(to).is_ok(), legal.contains(&(from, to)), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn a_paid_order_without_stock_is_not_shipped() {
        let mut order = Order { status: OrderStatus::Paid, ..order() };
        assert_eq!(order.set_status(OrderStatus::Shipped), Err(IllegalTransition::NotConfirmed));
    }

    #[test]
    fn payment_and_stock_confirm_an_order_once_in_either_order() {
        let confirmations =
            |events: &[OrderEvent]| events.iter().filter(|e| matches!(e, OrderEvent::Confirmed(_))).count();
        let mut paid_first = order();
        let mut events = paid_first.payment_completed(id(7));
        events.extend(paid_first.stock_reserved());
        let mut reserved_first = order();
        let mut other = reserved_first.stock_reserved();
        other.extend(reserved_first.payment_completed(id(7)));
        other.extend(reserved_first.payment_completed(id(7)));
        assert_eq!((confirmations(&events), confirmations(&other)), (1, 1));
    }

    #[test]
    fn a_payment_for_a_cancelled_order_is_asked_back() {
        let mut order = order();
        order.cancel(CancelReason::Requested).unwrap();
        let expected = RefundRequested { payment_id: id(7), order_id: id(1), reason: RefundReason::OrderCancelled };
        assert_eq!(order.payment_completed(id(7)), [OrderEvent::RefundRequested(expected)]);
    }

    #[test]
    fn a_second_payment_for_a_paid_order_is_asked_back() {
        let mut order = order();
        order.payment_completed(id(7));
        assert!(matches!(order.payment_completed(id(8))[..], [OrderEvent::RefundRequested(_)]));
    }

    #[test]
    fn a_refund_that_overtakes_its_payment_comes_to_the_same_end() {
        let mut in_order = order();
        in_order.payment_completed(id(7));
        in_order.payment_refunded(id(7));
        let mut overtaken = order();
        overtaken.payment_refunded(id(7));
        overtaken.payment_completed(id(7));
        assert_eq!((in_order.status, overtaken.status), (OrderStatus::Cancelled, OrderStatus::Cancelled));
    }
}
