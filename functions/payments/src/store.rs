//! The payments table.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::{
    event::{RefundReason, RefundRequested},
    id::Id,
    table::{
        IndexKey, Indexes, Item, Key, Listing, Page, PageError, PageRequest, Shard, Table, TableError, Transaction,
    },
    time::Timestamp,
};

use crate::payment::{IN_DOUBT_AFTER, PayableOrder, Payment, PaymentStatus};

const PAYMENTS: &str = "PAYMENTS";
/// The list of payments that the provider has not answered, by the moment they become doubtful.
pub(crate) const UNSETTLED: &str = "UNSETTLED";

impl Item for Payment {
    const TYPE: &'static str = "payment";

    fn key(&self) -> Key {
        payment_key(self.id)
    }

    fn indexes(&self) -> Indexes {
        Indexes {
            gsi1: Some(IndexKey::new(Shard::of(PAYMENTS, self.id), self.id.sortable())),
            gsi2: Some(IndexKey::new(payments_of(self.user_id), self.id.sortable())),
        }
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

impl shared::http::Resource for Payment {
    const COLLECTION: &'static str = "/api/payments";

    fn id(&self) -> Id {
        self.id
    }
}

impl Item for PayableOrder {
    const TYPE: &'static str = "payable_order";

    fn key(&self) -> Key {
        order_key(self.order_id)
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

fn payment_key(id: Id) -> Key {
    Key::new(format!("PAYMENT#{id}"), "PAYMENT")
}

fn order_key(id: Id) -> Key {
    Key::new(format!("ORDER#{id}"), "ORDER")
}

fn payments_of(user_id: Id) -> String {
    format!("USER_PAYMENTS#{user_id}")
}

/// Says that a payment waits for the provider, to charge it or to give it back, and when to look into it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unsettled {
    pub payment_id: Id,
    pub due_at: Timestamp,
}

impl Unsettled {
    const KEPT_AFTER: Duration = Duration::from_secs(30 * 24 * 3600);

    fn of(payment: &Payment) -> Self {
        Self { payment_id: payment.id, due_at: payment.updated_at.plus(IN_DOUBT_AFTER) }
    }
}

impl Item for Unsettled {
    const TYPE: &'static str = "unsettled";

    fn key(&self) -> Key {
        Key::new(format!("PAYMENT#{}", self.payment_id), "UNSETTLED")
    }

    fn indexes(&self) -> Indexes {
        Indexes {
            gsi1: Some(IndexKey::new(Shard::of(UNSETTLED, self.payment_id), self.due_at.to_string())),
            gsi2: None,
        }
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.due_at.plus(Self::KEPT_AFTER))
    }
}

/// Starts a payment: nobody else can pay for the order until it is settled.
pub fn claim(payment: &Payment, order: &PayableOrder) -> Transaction {
    Transaction::new().insert_new(payment).replace(&order.claimed_by(payment.id)).insert(&Unsettled::of(payment))
}

/// Stores a payment and its order as the provider's answer left them, and publishes the outcome.
pub fn settlement(payment: &Payment, order: &PayableOrder) -> Transaction {
    let transaction =
        Transaction::new().replace(payment).replace(order).delete(Unsettled::TYPE, Unsettled::of(payment).key());
    match payment.status {
        PaymentStatus::Failed => transaction.publish(&payment.failed_event()),
        _ => transaction.publish(&payment.completed_event()),
    }
}

/// Marks a payment as being given back, to be looked into if it is not before long.
pub fn refund_start(refunding: &Payment) -> Transaction {
    Transaction::new().replace(refunding).insert(&Unsettled::of(refunding))
}

/// Marks a payment as being given back and publishes that it is to be.
pub fn refund_request(refunding: &Payment, reason: RefundReason) -> Transaction {
    let request = RefundRequested { payment_id: refunding.id, order_id: refunding.order_id, reason };
    refund_start(refunding).publish(&request)
}

/// Stores that a payment was given back, and publishes it.
pub fn refund_end(refunded: &Payment) -> Transaction {
    let unsettled = Unsettled::of(refunded).key();
    Transaction::new().replace(refunded).delete(Unsettled::TYPE, unsettled).publish(&refunded.refunded_event())
}

/// The payment with this id.
pub async fn get(table: &Table, id: Id) -> Result<Option<Payment>, TableError> {
    table.get(&payment_key(id)).await
}

/// What is known of an order.
pub async fn order(table: &Table, id: Id) -> Result<Option<PayableOrder>, TableError> {
    table.get(&order_key(id)).await
}

/// All payments, newest first.
pub async fn page(table: &Table, request: &PageRequest) -> Result<Page<Payment>, PageError> {
    table.page(&Listing::sharded("gsi1", PAYMENTS), request).await
}

/// One user's payments, newest first.
pub async fn page_of(table: &Table, user_id: Id, request: &PageRequest) -> Result<Page<Payment>, PageError> {
    table.page(&Listing::partition("gsi2", payments_of(user_id)), request).await
}
