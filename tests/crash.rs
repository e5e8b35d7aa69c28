//! Functions that are killed in the middle of a request, on a running stack.
//!
//! Finds the emulator's function processes under `/proc`, so it runs on Linux only.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::Result;
use e2e::{Session, Stack, emulator::Feature, processes};
use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

async fn orders(customer: &Session, user_id: u64) -> Result<usize> {
    let list = customer.get(&format!("/api/orders/user/{user_id}?limit=100")).await?;
    Ok(list.body["data"].as_array().map_or(0, Vec::len))
}

/// The moment of the kill moves from round to round, until it has fallen between the write and the
/// answer a few times.
#[tokio::test]
async fn a_request_whose_function_is_killed_after_its_write_is_repeated_and_is_one_order() -> Result<()> {
    if !Feature::Processes.is_there() {
        return Ok(());
    }
    const ROUNDS: usize = 90;
    let stack = Stack::from_env()?;
    let (customer, user_id) = stack.newcomer().await?;
    let wish = json!({"user_id": user_id, "product_id": 2, "quantity": 1});
    let (mut written, mut unanswered) = (0, 0);
    let mut rounds = 0;
    while rounds < ROUNDS && unanswered < 3 {
        let key = Uuid::new_v4().to_string();
        let warm = customer.post_patiently("/api/orders", &key, json!({})).await?;
        assert_eq!(warm.status, StatusCode::UNPROCESSABLE_ENTITY);
        let keyed = customer.with_key(&key);
        let request = keyed.post("/api/orders", wish.clone());
        let kill = async {
            tokio::time::sleep(Duration::from_micros(500 * (rounds as u64 % 30))).await;
            processes::kill("local-orders-create")
        };
        let (answer, killed) = tokio::join!(request, kill);
        killed?;
        let answered = answer.is_ok_and(|answer| answer.status == StatusCode::CREATED);
        if !answered && orders(&customer, user_id).await? > written {
            unanswered += 1;
        }
        let again = customer.post_patiently("/api/orders", &key, wish.clone()).await?;
        assert_eq!(again.status, StatusCode::CREATED, "{}", again.body);
        written += 1;
        rounds += 1;
        assert_eq!(orders(&customer, user_id).await?, written, "after {rounds} rounds");
    }
    assert!(unanswered > 0, "no kill fell between a write and its answer in {rounds} rounds");
    println!("{unanswered} of {rounds} kills fell between a write and its answer");
    Ok(())
}
