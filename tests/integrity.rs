//! The checker finds what was planted: it would find a loss and a repetition that happened.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::Result;
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use e2e::{
    Stack,
    integrity::{self, Attributes, Findings},
    resilience,
};
use serde_json::json;
use uuid::Uuid;

/// A stack at a quiet moment, and an event in its log.
struct Planting {
    stack: Stack,
    log: Client,
    event: Attributes,
}

const TABLE: &str = "local-events";

impl Planting {
    async fn find(&self) -> Result<Findings> {
        integrity::check(&self.stack, &[], Duration::ZERO).await
    }

    async fn put(&self, event: &Attributes) -> Result<()> {
        self.log.put_item().table_name(TABLE).set_item(Some(event.clone())).send().await?;
        Ok(())
    }

    async fn delete(&self, event: &Attributes) -> Result<()> {
        let key = ["pk", "sk"].map(|name| (name.to_owned(), event[name].clone()));
        self.log.delete_item().table_name(TABLE).set_key(Some(key.into())).send().await?;
        Ok(())
    }

    /// The event under another key, as if it had been logged again.
    fn copy(&self) -> Attributes {
        let mut copy = self.event.clone();
        copy.insert("pk".into(), text("EVENT#copy"));
        copy
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// The event that tells of this order.
async fn event_of(log: &Client, order: &str) -> Result<Attributes> {
    let events = log
        .scan()
        .table_name(TABLE)
        .filter_expression("begins_with(pk, :event) AND #aggregate = :order AND event_type = :created")
        .expression_attribute_names("#aggregate", "aggregate");
    let values = [(":event", "EVENT#"), (":order", &format!("Order:{order}")), (":created", "order.created")];
    let values = values.map(|(name, value)| (name.to_owned(), text(value)));
    let events = events.set_expression_attribute_values(Some(values.into()));
    Ok(events.into_paginator().items().send().next().await.unwrap()?)
}

#[tokio::test]
async fn events_published_again_change_nothing_and_a_planted_loss_and_planted_repetitions_are_found_and_nothing_else()
-> Result<()> {
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    let order = customer.post("/api/orders", json!({"user_id": user_id, "product_id": 2, "quantity": 1})).await?;
    let order = order.body["id"].to_string();
    let accepted = vec![("orders", "order", order.clone())];
    let sound = integrity::check(&stack, &accepted, Duration::from_secs(180)).await?;
    assert!(sound.are_sound(), "{sound}");

    let republished = resilience::operator(&["republish", "--service", "orders", "--since", "2026-01-01T00:00:00Z"])?;
    assert!(!republished.contains(" 0 "), "{republished}");
    let sound = integrity::check(&stack, &accepted, Duration::from_secs(180)).await?;
    assert!(sound.are_sound(), "{sound}");

    let log = Client::new(&shared::aws::sdk_config()?);
    let event = event_of(&log, &order).await?;
    let planting = Planting { stack, log, event };
    let id = planting.event["event_id"].as_s().unwrap().clone();
    let change = format!("Order:{order} order.created");

    planting.delete(&planting.event).await?;
    let loss = planting.find().await?;
    assert_eq!((&loss.lost, &loss.untold, loss.duplicated.len()), (&vec![id.clone()], &vec![change.clone()], 0));
    assert!(!loss.are_sound());
    planting.put(&planting.event).await?;

    planting.put(&planting.copy()).await?;
    let repetition = planting.find().await?;
    assert_eq!((&repetition.duplicated, repetition.lost.len(), repetition.told_twice.len()), (&vec![id], 0, 0));
    assert!(!repetition.are_sound());

    let mut retold = planting.copy();
    retold.insert("event_id".into(), text(&Uuid::now_v7().to_string()));
    planting.put(&retold).await?;
    let retelling = planting.find().await?;
    assert_eq!((&retelling.told_twice, retelling.duplicated.len()), (&vec![format!("{change} 2 times")], 0));
    assert!(!retelling.are_sound());
    planting.delete(&retold).await?;

    let missing = [("orders", "order", "1234567".to_owned())];
    let missing = integrity::check(&planting.stack, &missing, Duration::ZERO).await?;
    assert_eq!((missing.missing.len(), missing.are_sound()), (1, false), "{missing}");
    Ok(())
}
