//! The checker finds what was planted: it would find a loss and a repetition that happened.

#![allow(clippy::unwrap_used)]

use std::{collections::HashMap, time::Duration};

use anyhow::Result;
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use e2e::{Stack, integrity};
use serde_json::json;

const TABLE: &str = "local-events";

async fn first_event(database: &Client) -> Result<HashMap<String, AttributeValue>> {
    let events = database.scan().table_name(TABLE).filter_expression("begins_with(pk, :event)");
    let events = events.expression_attribute_values(":event", AttributeValue::S("EVENT#".into()));
    Ok(events.into_paginator().items().send().next().await.unwrap()?)
}

#[tokio::test]
async fn a_planted_loss_and_a_planted_repetition_are_found_and_nothing_else() -> Result<()> {
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    let order = customer.post("/api/orders", json!({"user_id": user_id, "product_id": 2, "quantity": 1})).await?;
    let accepted = vec![("orders", "order", order.body["id"].to_string())];
    let sound = integrity::check(&stack, &accepted, Duration::from_secs(180)).await?;
    assert!(sound.are_sound(), "{sound}");

    let database = Client::new(&shared::aws::sdk_config()?);
    let event = first_event(&database).await?;
    let id = event["event_id"].as_s().unwrap().clone();
    let key = || event.iter().filter(|(name, _)| ["pk", "sk"].contains(&name.as_str()));
    let key = || Some(key().map(|(name, value)| (name.clone(), value.clone())).collect());
    let at_once = Duration::ZERO;

    database.delete_item().table_name(TABLE).set_key(key()).send().await?;
    let loss = integrity::check(&stack, &accepted, at_once).await?;
    assert_eq!((&loss.lost, loss.duplicated.len(), loss.are_sound()), (&vec![id.clone()], 0, false), "{loss}");

    database.put_item().table_name(TABLE).set_item(Some(event.clone())).send().await?;
    let mut copy = event.clone();
    copy.insert("pk".into(), AttributeValue::S("EVENT#copy".into()));
    database.put_item().table_name(TABLE).set_item(Some(copy.clone())).send().await?;
    let repetition = integrity::check(&stack, &accepted, at_once).await?;
    assert_eq!((&repetition.duplicated, repetition.lost.len(), repetition.are_sound()), (&vec![id], 0, false));

    let copied = HashMap::from([("pk".to_owned(), copy["pk"].clone()), ("sk".to_owned(), copy["sk"].clone())]);
    database.delete_item().table_name(TABLE).set_key(Some(copied)).send().await?;
    let missing = [("orders", "order", "1234567".to_owned())];
    let missing = integrity::check(&stack, &missing, at_once).await?;
    assert_eq!((missing.missing.len(), missing.are_sound()), (1, false), "{missing}");
    Ok(())
}
