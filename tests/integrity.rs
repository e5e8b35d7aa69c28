//! The checker finds what was planted: it would find a loss and a repetition that happened.

#![allow(clippy::unwrap_used)]

use std::{collections::HashMap, time::Duration};

use anyhow::Result;
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use aws_sdk_sqs::types::{Message, SendMessageBatchRequestEntry};
use e2e::{
    Session, Stack, dead_letters,
    integrity::{self, Accepted, Attributes, Findings},
    resilience,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// A stack at a quiet moment, and an event in its log.
struct Planting {
    stack: Stack,
    database: Client,
    sqs: aws_sdk_sqs::Client,
    event: Attributes,
}

const LOG: &str = "local-events";
const ORDERS: &str = "local-orders";
const DEAD_LETTERS: &str = "local-products-on-order-events-dlq";
/// More than `events-dead-letters` shows at once.
const SILENT_LETTERS: usize = 120;
/// What a message says that a test has sent.
const PLANTED: &str = "planted";
const REPUBLISH: [&str; 5] = ["republish", "--service", "orders", "--since", "2026-01-01T00:00:00Z"];
const PATIENCE: Duration = Duration::from_secs(180);

impl Planting {
    async fn find(&self) -> Result<Findings> {
        integrity::check(&self.stack, &[], Duration::ZERO).await
    }

    async fn put(&self, table: &str, item: &Attributes) -> Result<()> {
        self.database.put_item().table_name(table).set_item(Some(item.clone())).send().await?;
        Ok(())
    }

    async fn delete(&self, table: &str, item: &Attributes) -> Result<()> {
        let key = ["pk", "sk"].map(|name| (name.to_owned(), item[name].clone()));
        self.database.delete_item().table_name(table).set_key(Some(key.into())).send().await?;
        Ok(())
    }

    /// What is found while there is an item more.
    async fn find_with(&self, table: &str, item: &Attributes) -> Result<Findings> {
        self.put(table, item).await?;
        let found = self.find().await;
        self.delete(table, item).await?;
        found
    }

    async fn dead_letters(&self) -> Result<String> {
        Ok(self.sqs.get_queue_url().queue_name(DEAD_LETTERS).send().await?.queue_url.unwrap())
    }

    async fn send_silent_letters(&self) -> Result<()> {
        let url = self.dead_letters().await?;
        let numbers: Vec<usize> = (0..SILENT_LETTERS).collect();
        for numbers in numbers.chunks(10) {
            let letter = |number: &usize| {
                SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(PLANTED).build().unwrap()
            };
            let entries = numbers.iter().map(letter).collect();
            self.sqs.send_message_batch().queue_url(&url).set_entries(Some(entries)).send().await?;
        }
        Ok(())
    }

    /// Removes the messages that were planted.
    async fn remove_letters(&self) -> Result<()> {
        let is_planted = |letter: &Message| letter.body.as_deref() == Some(PLANTED);
        dead_letters::remove(&self.sqs, &self.dead_letters().await?, is_planted).await
    }

    /// An outbox item that no relay comes to: the stream tells of its insertion when it is none yet.
    async fn put_unnoticed(&self, item: &Attributes) -> Result<()> {
        let mut unlike = item.clone();
        unlike.insert("type".into(), text(PLANTED));
        self.put(ORDERS, &unlike).await?;
        let key = ["pk", "sk"].map(|name| (name.to_owned(), item[name].clone()));
        let update = self.database.update_item().table_name(ORDERS).set_key(Some(key.into()));
        let update = update.update_expression("SET #type = :type").expression_attribute_names("#type", "type");
        update.expression_attribute_values(":type", text("outbox")).send().await?;
        Ok(())
    }

    /// The event under another key, as if it had been logged again.
    fn copy(&self) -> Attributes {
        let mut copy = self.event.clone();
        copy.insert("pk".into(), text("EVENT#copy"));
        copy
    }
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// The event that tells of this order.
async fn event_of(log: &Client, order: &str) -> Result<Attributes> {
    let events = log
        .scan()
        .table_name(LOG)
        .filter_expression("begins_with(pk, :event) AND #aggregate = :order AND event_type = :created")
        .expression_attribute_names("#aggregate", "aggregate");
    let values = [(":event", "EVENT#"), (":order", &format!("Order:{order}")), (":created", "order.created")];
    let values = values.map(|(name, value)| (name.to_owned(), text(value)));
    let events = events.set_expression_attribute_values(Some(values.into()));
    Ok(events.into_paginator().items().send().next().await.unwrap()?)
}

/// Waits until nothing is found.
async fn sound(stack: &Stack, accepted: &[Accepted]) -> Result<()> {
    let found = integrity::check(stack, accepted, PATIENCE).await?;
    assert!(found.are_sound(), "{found}");
    Ok(())
}

async fn order(customer: &Session, user_id: u64) -> Result<u64> {
    let order = customer.post("/api/orders", json!({"user_id": user_id, "product_id": 2, "quantity": 1})).await?;
    Ok(order.body["id"].as_u64().unwrap())
}

#[tokio::test]
async fn events_published_again_change_nothing_and_what_is_planted_is_found_and_nothing_else() -> Result<()> {
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    let (kept, cancelled) = (order(&customer, user_id).await?, order(&customer, user_id).await?);
    assert!(customer.delete(&format!("/api/orders/{cancelled}")).await?.status.is_success());
    let accepted = [Accepted::new("orders", "order", kept), Accepted::cancelled(cancelled)];
    sound(&stack, &accepted).await?;

    let republished = resilience::operator(&REPUBLISH)?;
    assert!(!republished.contains(" 0 "), "{republished}");
    sound(&stack, &accepted).await?;

    let config = shared::aws::sdk_config()?;
    let (database, sqs) = (Client::new(&config), aws_sdk_sqs::Client::new(&config));
    let event = event_of(&database, &kept.to_string()).await?;
    let planting = Planting { stack, database, sqs, event };
    a_loss_and_repetitions_are_found(&planting, kept).await?;
    dead_letters_without_a_reason_are_found_however_many_there_are(&planting).await?;
    the_kept_payment_of_a_cancelled_order_is_found(&planting, cancelled).await?;
    wrong_figures_are_found(&planting).await?;
    an_event_that_no_relay_came_to_is_found_and_brought_back(&planting, kept).await?;

    let missing = [Accepted::new("orders", "order", 1_234_567), Accepted::cancelled(kept)];
    let missing = integrity::check(&planting.stack, &missing, Duration::ZERO).await?;
    assert_eq!(missing.missing, ["order 1234567".to_owned(), format!("order {kept} CANCELLED")]);
    assert!(!missing.are_sound());
    sound(&planting.stack, &accepted).await
}

async fn a_loss_and_repetitions_are_found(planting: &Planting, order: u64) -> Result<()> {
    let id = planting.event["event_id"].as_s().unwrap().clone();
    let change = format!("Order:{order} order.created");

    planting.delete(LOG, &planting.event).await?;
    let loss = planting.find().await;
    planting.put(LOG, &planting.event).await?;
    let loss = loss?;
    assert_eq!((&loss.lost, &loss.untold, loss.duplicated.len()), (&vec![id.clone()], &vec![change.clone()], 0));
    assert!(!loss.are_sound());

    let repetition = planting.find_with(LOG, &planting.copy()).await?;
    assert_eq!((&repetition.duplicated, repetition.lost.len(), repetition.told_twice.len()), (&vec![id], 0, 0));
    assert!(!repetition.are_sound());

    let mut retold = planting.copy();
    retold.insert("event_id".into(), text(&Uuid::now_v7().to_string()));
    let retelling = planting.find_with(LOG, &retold).await?;
    assert_eq!((&retelling.told_twice, retelling.duplicated.len()), (&vec![format!("{change} 2 times")], 0));
    assert!(!retelling.are_sound());
    Ok(())
}

async fn dead_letters_without_a_reason_are_found_however_many_there_are(planting: &Planting) -> Result<()> {
    planting.send_silent_letters().await?;
    let silent = planting.find().await;
    planting.remove_letters().await?;
    let silent = silent?;
    assert_eq!(silent.without_reason.len(), SILENT_LETTERS, "{silent}");
    assert!(!silent.are_sound());
    Ok(())
}

async fn the_kept_payment_of_a_cancelled_order_is_found(planting: &Planting, order: u64) -> Result<()> {
    let payment = HashMap::from([
        ("pk".to_owned(), text("PAYMENT#planted")),
        ("sk".to_owned(), text("PAYMENT")),
        ("type".to_owned(), text("payment")),
        ("id".to_owned(), number(7)),
        ("order_id".to_owned(), number(order)),
        ("status".to_owned(), text("COMPLETED")),
        ("amount".to_owned(), number(10)),
    ]);
    let kept = planting.find_with("local-payments", &payment).await?;
    assert_eq!(kept.kept, ["payment 7"]);
    assert!(!kept.are_sound());
    Ok(())
}

async fn wrong_figures_are_found(planting: &Planting) -> Result<()> {
    let add = async |orders: &str| {
        let key = ["pk", "sk"].map(|name| (name.to_owned(), text("DASHBOARD")));
        let update = planting.database.update_item().table_name("local-gateway").set_key(Some(key.into()));
        let update = update.update_expression("ADD orders :orders");
        update.expression_attribute_values(":orders", AttributeValue::N(orders.into())).send().await
    };
    add("1").await?;
    let wrong = planting.find().await;
    add("-1").await?;
    let wrong = wrong?;
    let (shown, counted) = wrong.figures.clone().unwrap();
    assert_eq!(shown["total_orders"].as_u64(), counted["total_orders"].as_u64().map(|orders| orders + 1));
    assert!(!wrong.are_sound());
    Ok(())
}

/// An outbox item about an order, and the id of its event, of a type that only the log takes.
fn outbox_item(event: &Attributes, order: u64) -> Result<(String, Attributes)> {
    let id = Uuid::now_v7().to_string();
    let mut envelope: Value = serde_json::from_str(event["envelope"].as_s().unwrap())?;
    (envelope["id"], envelope["type"]) = (json!(id), json!("order.planted"));
    let occurred_at = envelope["occurred_at"].as_str().unwrap().to_owned();
    let item = [
        ("pk", format!("OUTBOX#Order#{order}")),
        ("sk", id.clone()),
        ("type", "outbox".into()),
        ("event_id", id.clone()),
        ("event_type", "order.planted".into()),
        ("aggregate", format!("Order#{order}")),
        ("envelope", envelope.to_string()),
        ("occurred_at", occurred_at),
    ];
    Ok((id, item.map(|(name, value)| (name.to_owned(), text(&value))).into()))
}

async fn an_event_that_no_relay_came_to_is_found_and_brought_back(planting: &Planting, order: u64) -> Result<()> {
    let (id, item) = outbox_item(&planting.event, order)?;
    let (unreadable_id, mut unreadable) = outbox_item(&planting.event, order)?;
    unreadable.remove("envelope");
    planting.put_unnoticed(&item).await?;
    planting.put_unnoticed(&unreadable).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let unnoticed = planting.find().await;
    let republished = resilience::operator(&REPUBLISH);
    planting.delete(ORDERS, &unreadable).await?;
    assert_eq!(unnoticed?.lost, [id.clone(), unreadable_id.clone()]);
    let complaint = format!("{:#}", republished.unwrap_err());
    assert!(complaint.contains(&unreadable_id) && !complaint.contains(&id), "{complaint}");
    sound(&planting.stack, &[]).await
}
