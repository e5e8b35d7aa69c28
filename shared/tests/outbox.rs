//! What is published, and what is not.

#![allow(clippy::unwrap_used)]

use serde::{Deserialize, Serialize};
use shared::{
    event::Payload,
    id::Id,
    outbox::MAX_EVENT_BYTES,
    table::{TableError, Transaction},
};
use testing::Database;

#[derive(Serialize, Deserialize)]
struct Noted {
    id: Id,
    text: String,
}

impl Payload for Noted {
    const TYPE: &'static str = "note.made";
    const AGGREGATE: &'static str = "Note";

    fn aggregate_id(&self) -> Id {
        self.id
    }
}

#[tokio::test]
async fn an_event_that_the_bus_would_never_take_is_refused_with_its_change() {
    let database = Database::new();
    let table = database.table("notes");
    let noted = |bytes| Noted { id: Id::new(1).unwrap(), text: "x".repeat(bytes) };
    let refused = table.commit(Transaction::new().publish(&noted(MAX_EVENT_BYTES))).await;
    assert!(matches!(refused, Err(TableError::Malformed { item: "outbox", .. })), "{refused:?}");
    assert!(database.calls().is_empty());
    table.commit(Transaction::new().publish(&noted(MAX_EVENT_BYTES - 1000))).await.unwrap();
    assert_eq!(database.published(&table).len(), 1);
}
