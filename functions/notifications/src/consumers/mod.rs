//! What notifications does when something is told.

pub mod delivery_requests;
pub mod domain_events;
pub mod user_events;

use shared::{
    consumer::{ConsumerError, Delivery},
    table::{Item, Table, TableError, Transaction},
    time::Timestamp,
};

use crate::{
    composing::NotTold,
    notification::{Draft, Notification},
    occasions::Occasion,
    recording::{distinct_ids, stored_before},
    store::{self, Origin},
};

fn once(delivery: &Delivery) -> Transaction {
    Transaction::new().once(delivery)
}

/// An event for which there are no words is a defect, or not what it says it is.
fn words(error: NotTold) -> ConsumerError {
    ConsumerError::Rejected(match error.field_errors() {
        Some(errors) => errors.iter().map(|error| format!("{}: {}; ", error.pointer, error.detail)).collect(),
        None => error.to_string(),
    })
}

/// Stores what is to be told on an occasion, in one transaction with `also`; what was told before is
/// left out.
async fn tell(
    table: &Table,
    occasion: &Occasion,
    drafts: Vec<Draft>,
    also: impl Fn() -> Transaction + Send,
    now: Timestamp,
) -> Result<(), TableError> {
    let mut left: Vec<(Origin, Notification)> = drafts
        .into_iter()
        .zip(distinct_ids())
        .map(|(draft, id)| {
            let notification = Notification::new(id, draft, now);
            (origin(occasion, &notification), notification)
        })
        .collect();
    loop {
        let transaction = left.iter().fold(also(), |transaction, (origin, notification)| {
            transaction.and(store::insertion(notification)).insert(origin)
        });
        if transaction.is_empty() {
            return Ok(());
        }
        let Err(error) = table.commit(transaction).await else { return Ok(()) };
        let told = stored_before(&error)?;
        let before = left.len();
        left.retain(|(origin, _)| !told.contains_key(&origin.name));
        if left.len() == before || error.failed_checks().iter().any(|check| check.label != Origin::TYPE) {
            return Err(error);
        }
    }
}

fn origin(occasion: &Occasion, notification: &Notification) -> Origin {
    let Notification { id, user_id, channel, requested_at, .. } = *notification;
    let name = format!("{}#{user_id}#{channel:?}", occasion.name);
    Origin { name, notification_id: id, fingerprint: None, requested_at }
}
