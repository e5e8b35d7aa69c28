use analytics::{
    model::Model,
    rebuild::{self, EventLog, LogError, LogPage, Rebuild},
};
use anyhow::Result;
use async_trait::async_trait;
use events::{entry::LoggedEvent, store};
use shared::{
    event::{Payload, PaymentCompleted, PaymentRefunded},
    table::{Cursor, PageRequest, Table},
    time::Timestamp,
};

use crate::stack::Stack;

/// The log that the events service keeps.
struct Log {
    table: Table,
}

#[async_trait]
impl EventLog for Log {
    async fn page(&self, from: Timestamp, to: Timestamp, cursor: Option<&str>) -> Result<LogPage, LogError> {
        let failed = |error: &dyn std::fmt::Display| LogError(error.to_string());
        let types = [PaymentCompleted::TYPE, PaymentRefunded::TYPE].map(str::to_owned);
        let cursor = cursor.map(Cursor::parse).transpose().map_err(|error| failed(&error))?;
        let request = PageRequest { limit: Some(PageRequest::MAX_LIMIT), cursor };
        let page = self.table.page::<LoggedEvent>(&store::history(Some(&types), from, to), &request).await;
        let page = page.map_err(|error| failed(&error))?;
        let events = page.data.iter().map(LoggedEvent::event).collect::<Result<_, _>>();
        Ok(LogPage { events: events.map_err(|error| failed(&error))?, next: page.next })
    }
}

/// Makes the read model anew, lets it answer, and says what came of it.
pub async fn rebuild(stack: &Stack, accept_differences: bool) -> Result<()> {
    let (table, log) = (stack.table("analytics"), Log { table: stack.table("events") });
    let rebuilt = Rebuild { accept_differences, ..Rebuild::new(&table, &log) }.run().await?;
    let rebuild::Rebuilt { model, before, counted, unreadable } = rebuilt;
    println!("Version {model} answers now; it has {counted} payments and refunds from the log.");
    for event_id in unreadable {
        println!("Event {event_id} in the log cannot be read, and counts in no version.");
    }
    println!(
        "Version {before} is kept. When nothing reads it any more, in a minute, remove it: remove-analytics --version {before}"
    );
    Ok(())
}

/// Gives up a version that is being built.
pub async fn abandon(stack: &Stack, version: u32) -> Result<()> {
    rebuild::abandon(&stack.table("analytics"), Model(version)).await?;
    println!(
        "Version {version} is given up. When nothing feeds it any more, in a minute, remove it: remove-analytics --version {version}"
    );
    Ok(())
}

/// Removes a version that answers no more.
pub async fn remove(stack: &Stack, version: u32) -> Result<()> {
    let removed = rebuild::remove(&stack.table("analytics"), Model(version)).await?;
    println!("Version {version} and its {removed} items are gone.");
    Ok(())
}
