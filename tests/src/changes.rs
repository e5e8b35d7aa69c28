//! What the items in the services' tables say has happened, as the event log must tell it: each change
//! in one event, and each event of a change that happened.

use std::collections::{BTreeMap, BTreeSet};

use crate::integrity::{Attributes, Items, number, text};

/// What an event tells of, `Order:42`, and its type.
type Change = (String, String);

/// Events that are published once in the life of what they tell of.
const ONCE: [&str; 13] = [
    "user.registered",
    "user.created",
    "product.created",
    "order.created",
    "order.cancelled",
    "order.confirmed",
    "payment.completed",
    "payment.failed",
    "payment.refunded",
    "inventory.reserved",
    "inventory.rejected",
    "inventory.released",
    "sensor.reading_recorded",
];

/// Changes that the log does not tell of.
pub fn untold(tables: &BTreeMap<&str, Items>, log: &Items) -> Vec<String> {
    let told: BTreeSet<Change> = told(log).into_keys().collect();
    let due = tables.iter().flat_map(|(table, items)| items.iter().flat_map(|item| due(table, item)));
    due.filter(|change| !told.contains(change)).map(|(aggregate, event)| format!("{aggregate} {event}")).collect()
}

/// Changes that can happen once and that events of different ids tell of.
pub fn told_twice(log: &Items) -> Vec<String> {
    let twice = told(log).into_iter().filter(|((_, event), ids)| ids.len() > 1 && ONCE.contains(&event.as_str()));
    twice.map(|((aggregate, event), ids)| format!("{aggregate} {event} {} times", ids.len())).collect()
}

/// The ids of the events in the log that tell of each change.
fn told(log: &Items) -> BTreeMap<Change, BTreeSet<&str>> {
    let events = log.iter().filter(|item| text(item, "type") == "event");
    events.fold(BTreeMap::new(), |mut told, item| {
        let change = (text(item, "aggregate").to_owned(), text(item, "event_type").to_owned());
        told.entry(change).or_default().insert(text(item, "event_id"));
        told
    })
}

/// The changes that an item is the outcome of, as far as it shows them.
fn due(table: &str, item: &Attributes) -> Vec<Change> {
    let id = |name: &str| number(item, name) as u64;
    let (aggregate, events) = match (table, text(item, "type")) {
        ("auth", "account") => (format!("User:{}", id("id")), vec!["user.registered"]),
        ("users", "user") => (format!("User:{}", id("id")), vec!["user.created"]),
        ("products", "product") => (format!("Product:{}", id("id")), vec!["product.created"]),
        ("products", "reservation") => (format!("Reservation:{}", id("order_id")), of_reservation(item)),
        ("orders", "order") => (format!("Order:{}", id("id")), of_order(item)),
        ("payments", "payment") => (format!("Payment:{}", id("id")), of_payment(item)),
        ("sensors", "reading") => (format!("Reading:{}", id("id")), vec!["sensor.reading_recorded"]),
        _ => return Vec::new(),
    };
    events.into_iter().map(|event| (aggregate.clone(), event.to_owned())).collect()
}

fn of_order(order: &Attributes) -> Vec<&'static str> {
    let mut events = vec!["order.created"];
    if text(order, "status") == "CANCELLED" {
        events.push("order.cancelled");
    }
    if ["PAID", "SHIPPED", "COMPLETED"].contains(&text(order, "status")) {
        events.push("order.status_changed");
    }
    if order.get("confirmed").and_then(|value| value.as_bool().ok()) == Some(&true) {
        events.push("order.confirmed");
    }
    events
}

fn of_payment(payment: &Attributes) -> Vec<&'static str> {
    match text(payment, "status") {
        "COMPLETED" => vec!["payment.completed"],
        "FAILED" => vec!["payment.failed"],
        "REFUNDED" => vec!["payment.refunded"],
        _ => Vec::new(),
    }
}

fn of_reservation(reservation: &Attributes) -> Vec<&'static str> {
    match text(reservation, "state") {
        "RESERVED" | "SOLD" => vec!["inventory.reserved"],
        "RELEASED" => vec!["inventory.reserved", "inventory.released"],
        "REJECTED" => vec!["inventory.rejected"],
        _ => Vec::new(),
    }
}
