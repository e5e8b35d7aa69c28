//! What users are told, on a running stack: the mail as the emulator's SES has it.

#![allow(clippy::unwrap_used)]

use std::env;

use anyhow::{Context, Result};
use e2e::{Session, Stack, emulator::is_localstack};
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

/// The subjects of the mails that were sent to this address, oldest first.
async fn mails(address: &str) -> Result<Vec<String>> {
    let emulator = env::var("AWS_ENDPOINT_URL").context("no emulator: run `make e2e`")?;
    if is_localstack() {
        return mails_of_localstack(&emulator, address).await;
    }
    let answer: Value = reqwest::get(format!("{emulator}/_ministack/ses/messages")).await?.json().await?;
    let all = answer["messages"].as_object().into_iter().flatten().flat_map(|(_, mails)| mails.as_array().unwrap());
    let mut mine: Vec<&Value> = all.filter(|mail| mail["To"] == json!([address])).collect();
    mine.sort_by(|a, b| a["Timestamp"].as_f64().unwrap().total_cmp(&b["Timestamp"].as_f64().unwrap()));
    Ok(mine.iter().map(|mail| mail["Subject"].as_str().unwrap().to_owned()).collect())
}

async fn mails_of_localstack(emulator: &str, address: &str) -> Result<Vec<String>> {
    let answer: Value = reqwest::get(format!("{emulator}/_aws/ses")).await?.json().await?;
    let all = answer["messages"].as_array().into_iter().flatten();
    let mut mine: Vec<&Value> = all.filter(|mail| mail["Destination"]["ToAddresses"] == json!([address])).collect();
    mine.sort_by_key(|mail| mail["Timestamp"].to_string());
    Ok(mine.iter().map(|mail| mail["Subject"].as_str().unwrap().to_owned()).collect())
}

/// The texts that were sent to this number, oldest first.
async fn texts(number: &str) -> Result<Vec<String>> {
    let emulator = env::var("AWS_ENDPOINT_URL").context("no emulator: run `make e2e`")?;
    let whose = if is_localstack() { "_aws" } else { "_ministack" };
    let answer: Value = reqwest::get(format!("{emulator}/{whose}/sns/sms-messages")).await?.json().await?;
    let mine = answer["sms_messages"][number].as_array().cloned().unwrap_or_default();
    Ok(mine.iter().map(|text| text["Message"].as_str().unwrap().to_owned()).collect())
}

/// A notification of the user's history, once it is sent.
async fn sent(user: &Session, user_id: u64, template: &str) -> Result<Value> {
    let wanted = |history: &Value| {
        let data = history["data"].as_array().cloned().unwrap_or_default();
        data.into_iter().find(|seen| seen["template"] == template && seen["status"] == "SENT")
    };
    let path = format!("/api/notifications/user/{user_id}?limit=100");
    let history = user.eventually(&path, |history| wanted(history).is_some()).await?;
    Ok(wanted(&history).unwrap())
}

#[tokio::test]
async fn a_customer_is_told_of_the_account_the_declined_card_and_the_order_each_once() -> Result<()> {
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    let welcome = sent(&customer, user_id, "welcome").await?;
    assert!(welcome["provider_message_id"].is_string(), "{welcome}");
    let order = customer.post("/api/orders", json!({"user_id": user_id, "product_id": 2, "quantity": 1})).await?.body;
    let pay = |method: &str| json!({"order_id": order["id"], "payment_method": method});
    customer.post("/api/payments", pay("tok_declined")).await?;
    sent(&customer, user_id, "payment-failed").await?;
    assert_eq!(customer.post("/api/payments", pay("tok_ok")).await?.status, StatusCode::CREATED);
    let confirmed = sent(&customer, user_id, "order-confirmed").await?;
    let id = &order["id"];
    let mut subjects = mails(confirmed["to"].as_str().unwrap()).await?;
    assert!(subjects.remove(0).starts_with("Welcome, "));
    subjects.sort();
    assert_eq!(subjects, [format!("The payment for your order {id} failed"), format!("Your order {id} is confirmed")]);
    Ok(())
}

#[tokio::test]
async fn a_service_tells_a_user_something_in_their_language_and_where_they_are_reached_stays_unsaid() -> Result<()> {
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    sent(&customer, user_id, "welcome").await?;
    let preferences = format!("/api/notifications/preferences/{user_id}");
    assert_eq!(customer.put(&preferences, json!({"language": "de"})).await?.status, StatusCode::OK);
    let service = stack.nobody().with_api_key(&stack.api_key());
    let refund = json!({"user_id": user_id, "channel": "email", "template": "payment-refunded",
        "params": {"order_id": 42, "amount": 2999.97}});
    let key = Uuid::new_v4().to_string();
    let accepted = service.with_key(&key).post("/api/notifications/send", refund.clone()).await?;
    assert_eq!(accepted.status, StatusCode::CREATED, "{}", accepted.body);
    assert!(!accepted.body.to_string().contains('@'), "{}", accepted.body);
    assert_eq!(service.with_key(&key).post("/api/notifications/send", refund).await?.body, accepted.body);
    let seen = sent(&customer, user_id, "payment-refunded").await?;
    assert_eq!((&seen["id"], &seen["language"]), (&accepted.body["id"], &json!("de")));
    let subjects = mails(seen["to"].as_str().unwrap()).await?;
    assert_eq!(subjects[1..], ["Ihre Zahlung der Bestellung 42 ist erstattet"]);
    Ok(())
}

#[tokio::test]
async fn a_text_goes_to_the_number_that_is_the_users_once_and_to_nobody_who_opted_out() -> Result<()> {
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    sent(&customer, user_id, "welcome").await?;
    let number = format!("+4179{:07}", user_id % 10_000_000);
    let preferences = format!("/api/notifications/preferences/{user_id}");
    assert_eq!(customer.put(&preferences, json!({"phone": number})).await?.status, StatusCode::OK);
    let service = stack.nobody().with_api_key(&stack.api_key());
    let text = json!({"user_id": user_id, "channel": "sms", "template": "message",
        "params": {"subject": "News", "body": "Your parcel is here"}});
    let key = Uuid::new_v4().to_string();
    for _ in 0..2 {
        let accepted = service.with_key(&key).post("/api/notifications/send", text.clone()).await?;
        assert_eq!(accepted.status, StatusCode::CREATED, "{}", accepted.body);
    }
    let seen = sent(&customer, user_id, "message").await?;
    assert!(seen["provider_message_id"].is_string(), "{seen}");
    assert_eq!(texts(&number).await?, ["Your parcel is here"]);
    let unwanted = json!({"phone": number, "opt_out": [{"channel": "sms"}]});
    assert_eq!(customer.put(&preferences, unwanted).await?.status, StatusCode::OK);
    assert_eq!(service.post("/api/notifications/send", text).await?.status, StatusCode::CONFLICT);
    assert_eq!(texts(&number).await?.len(), 1);
    Ok(())
}
