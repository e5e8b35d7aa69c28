//! Events that waited in an outbox for longer than its table's stream remembers.

use std::collections::HashMap;

use anyhow::Result;
use aws_sdk_dynamodb::types::AttributeValue;
use shared::{
    aws,
    outbox::{OutboxItem, publish_again},
    table::Item,
    time::Timestamp,
};

use crate::stack::Stack;

/// What is on the bus again, and what could not be put there.
pub struct Republished {
    pub events: usize,
    /// The keys of items that cannot be read, and why.
    pub unreadable: Vec<String>,
}

/// Puts what a service has published since then on the bus again, oldest first, and leaves what cannot
/// be read. Reads the service's whole table.
pub async fn republish(stack: &Stack, service: &str, since: Timestamp) -> Result<Republished> {
    let (mut items, unreadable) = read(stack.items(service, OutboxItem::TYPE).await?);
    items.retain(|item| item.occurred_at >= since);
    items.sort_by(|one, other| one.event_id.cmp(&other.event_id));
    let events = items.len();
    publish_again(&aws::sdk_config()?, &stack.resource("events"), service, items).await?;
    Ok(Republished { events, unreadable })
}

/// The items that can be read, and the keys of the others.
fn read(items: Vec<HashMap<String, AttributeValue>>) -> (Vec<OutboxItem>, Vec<String>) {
    let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
    for item in items {
        let key = ["pk", "sk"].map(|name| item.get(name).and_then(|value| value.as_s().ok()).cloned());
        match serde_dynamo::from_item(item) {
            Ok(item) => readable.push(item),
            Err(error) => unreadable.push(format!("{}: {error}", key.map(Option::unwrap_or_default).join(" "))),
        }
    }
    (readable, unreadable)
}

/// The moment that a text in RFC 3339 names.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_that_cannot_be_read_is_named_and_keeps_nothing_else_back() {
        let item = |id: &str| {
            let text = |value: &str| AttributeValue::S(value.to_owned());
            HashMap::from([
                ("pk".to_owned(), text("OUTBOX#Order#1")),
                ("sk".to_owned(), text(id)),
                ("event_id".to_owned(), text(id)),
                ("event_type".to_owned(), text("order.created")),
                ("aggregate".to_owned(), text("Order#1")),
                ("envelope".to_owned(), text("{}")),
                ("occurred_at".to_owned(), text("2026-01-15T10:30:45.123Z")),
            ])
        };
        let mut broken = item("broken");
        broken.remove("envelope");
        let (readable, unreadable) = read(vec![item("first"), broken, item("last")]);
        assert_eq!(readable.iter().map(|item| &*item.event_id).collect::<Vec<_>>(), ["first", "last"]);
        assert_eq!(unreadable.len(), 1);
        assert!(unreadable[0].starts_with("OUTBOX#Order#1 broken: "), "{unreadable:?}");
    }
}
