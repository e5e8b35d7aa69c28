//! Events that waited in an outbox for longer than its table's stream remembers.

use anyhow::Result;
use shared::{
    aws,
    outbox::{OutboxItem, publish_again},
    time::Timestamp,
};

use crate::stack::Stack;

/// Puts what a service has published since then on the bus again, oldest first; answers with how many
/// events that were. Reads the service's whole table.
pub async fn republish(stack: &Stack, service: &str, since: Timestamp) -> Result<usize> {
    let mut items: Vec<OutboxItem> = stack.items(service).await?;
    items.retain(|item| item.occurred_at >= since);
    items.sort_by(|one, other| one.event_id.cmp(&other.event_id));
    let events = items.len();
    publish_again(&aws::sdk_config()?, &stack.resource("events"), service, items).await?;
    Ok(events)
}

/// The moment that a text in RFC 3339 names.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}
