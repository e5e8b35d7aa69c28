//! What must hold at any time, and what must once everything has come to rest.

use std::collections::HashSet;

use orders::order::{Order, OrderStatus};
use payments::payment::PaymentStatus;
use serde_json::Value;
use shared::id::Id;

use crate::shop::{PRODUCT, Shop, UNITS};

/// Stock is never negative.
pub fn check_at_any_time(shop: &Shop) {
    for product in shop.items("products", "product") {
        let counters = ["stock", "reserved", "sold"].map(|counter| &product[counter]["N"]);
        let negative = |units: &&Value| units.as_str().unwrap().starts_with('-');
        assert!(!counters.iter().any(negative), "{counters:?}");
    }
}

/// Stock is held for nobody; no order is charged twice; nothing is kept for a cancelled order; and
/// each change was published once.
pub async fn check(shop: &Shop) {
    let orders = orders(shop).await;
    assert_eq!(orders.len(), shop.orders.iter().collect::<HashSet<_>>().len(), "orders that nobody placed");
    assert_eq!(shop.orders.len(), orders.len(), "two requests came to one order");
    check_stock(shop, &orders).await;
    for order in &orders {
        check_money(shop, order).await;
    }
    assert!(shop.items("payments", "payment").len() <= shop.payments_asked_for, "one request made two payments");
    for ((event_type, id), times) in &shop.published {
        let repeatable = ["order.status_changed", "payment.refund_requested"].contains(&event_type.as_str());
        assert!(repeatable || *times == 1, "{event_type} of {id} was published {times} times");
    }
}

async fn orders(shop: &Shop) -> Vec<Order> {
    let mut orders = Vec::new();
    for item in shop.items("orders", "order") {
        let id: Id = item["id"]["N"].as_str().unwrap().parse().unwrap();
        orders.push(orders::store::get(&shop.tables["orders"], id).await.unwrap().unwrap());
    }
    orders
}

async fn check_stock(shop: &Shop, orders: &[Order]) {
    let id = Id::new(PRODUCT).unwrap();
    let product = products::store::get(&shop.tables["products"], id).await.unwrap().unwrap();
    assert_eq!(product.stock + product.reserved + product.sold, UNITS);
    let confirmed = orders.iter().filter(|order| order.status == OrderStatus::Paid && order.confirmed);
    let confirmed: i64 = confirmed.map(|order| i64::from(order.quantity)).sum();
    assert_eq!((product.reserved, product.sold), (0, confirmed), "stock is held for nobody");
}

async fn check_money(shop: &Shop, order: &Order) {
    let mut charges = 0;
    let mut refunds = 0;
    let mut in_time = 0;
    let mut declined = 0;
    for item in shop.items("payments", "payment") {
        if item["order_id"]["N"] != order.id.to_string() {
            continue;
        }
        let id: Id = item["id"]["N"].as_str().unwrap().parse().unwrap();
        let payment = payments::store::get(&shop.tables["payments"], id).await.unwrap().unwrap();
        let (charged, refunded) = (shop.ledger.charged(id), shop.ledger.refunded(id));
        let given_up = payment.decline_code.is_some();
        charges += u32::from(charged);
        refunds += u32::from(refunded);
        in_time += u32::from(charged && !given_up);
        declined += u32::from(given_up);
        let expected = match (charged, refunded) {
            (false, _) => PaymentStatus::Failed,
            (true, false) => PaymentStatus::Completed,
            (true, true) => PaymentStatus::Refunded,
        };
        assert_eq!(payment.status, expected);
    }
    assert_eq!(order.failed_payments, declined, "each decline counts once");
    assert!(in_time <= 1, "order {} was charged {in_time} times", order.id);
    match (order.status, order.payment_id) {
        (OrderStatus::Paid, Some(_)) => assert_eq!(charges - refunds, 1, "a paid order is paid for"),
        (OrderStatus::Paid, None) => assert_eq!(charges, refunds, "nothing is kept for an order paid in another way"),
        (OrderStatus::Cancelled, _) => assert_eq!(charges, refunds, "nothing is kept for a cancelled order"),
        (other, _) => panic!("the order stayed {other:?}"),
    }
}
