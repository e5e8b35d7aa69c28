//! Every message of a dead-letter queue, however many there are: whether it says why it is there, and
//! removing it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use aws_sdk_sqs::{
    Client,
    types::{ChangeMessageVisibilityBatchRequestEntry, Message},
};

/// How long a message is hidden while the others are read, in seconds, should it not be given back.
const HIDDEN: i32 = 30;
/// What EventBridge says in a message that it could not deliver.
const BUS_REASON: &str = "ERROR_MESSAGE";

/// The messages of a queue that nobody else holds, by their ids. They stay where they are.
pub async fn all(sqs: &Client, url: &str) -> Result<BTreeMap<String, Message>> {
    let mut found = BTreeMap::new();
    let read = read(sqs, url, &mut found).await;
    let receipts: Vec<_> = found.values().filter_map(|message| message.receipt_handle.clone()).collect();
    let released = release(sqs, url, &receipts).await;
    read?;
    released?;
    Ok(found)
}

async fn read(sqs: &Client, url: &str, found: &mut BTreeMap<String, Message>) -> Result<()> {
    loop {
        let request = sqs.receive_message().queue_url(url).max_number_of_messages(10).wait_time_seconds(1);
        let request = request.visibility_timeout(HIDDEN).message_attribute_names("All");
        let messages = request.send().await?.messages.unwrap_or_default();
        if messages.is_empty() {
            return Ok(());
        }
        for message in messages {
            found.insert(message.message_id.clone().context("a message without an id")?, message);
        }
    }
}

async fn release(sqs: &Client, url: &str, receipts: &[String]) -> Result<()> {
    for receipts in receipts.chunks(10) {
        let entries = receipts.iter().enumerate().map(|(number, receipt)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(number.to_string());
            entry.receipt_handle(receipt).visibility_timeout(0).build()
        });
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        sqs.change_message_visibility_batch().queue_url(url).set_entries(Some(entries)).send().await?;
    }
    Ok(())
}

/// Removes those messages of a queue that are meant and nobody else holds.
pub async fn remove(sqs: &Client, url: &str, is_meant: impl Fn(&Message) -> bool) -> Result<()> {
    let mut others = Vec::new();
    loop {
        let request = sqs.receive_message().queue_url(url).max_number_of_messages(10).wait_time_seconds(1);
        let messages = request.visibility_timeout(HIDDEN).send().await?.messages.unwrap_or_default();
        if messages.is_empty() {
            return release(sqs, url, &others).await;
        }
        for message in messages {
            let receipt = message.receipt_handle.clone().context("a message without a receipt")?;
            if is_meant(&message) {
                sqs.delete_message().queue_url(url).receipt_handle(receipt).send().await?;
            } else {
                others.push(receipt);
            }
        }
    }
}

/// The ids of the messages that neither the bus nor a consumer has given a reason for.
pub fn without_reason<'a>(letters: &'a BTreeMap<String, Message>, explained: &BTreeSet<&str>) -> Vec<&'a str> {
    let silent = letters.iter().filter(|(id, letter)| !explained.contains(id.as_str()) && !bus_says_why(letter));
    silent.map(|(id, _)| id.as_str()).collect()
}

fn bus_says_why(letter: &Message) -> bool {
    let attributes = letter.message_attributes.as_ref();
    attributes.and_then(|attributes| attributes.get(BUS_REASON)).is_some_and(|reason| reason.string_value().is_some())
}
