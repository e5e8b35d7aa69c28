//! The breaker in front of another service, and the client behind it.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use serde_json::{Value, json};
use shared::{
    breaker::{Breaker, BreakerState},
    client::{ClientError, Get, ServiceClient},
    table::{Key, Table, Transaction, Update},
    time::Timestamp,
};
use testing::{Behaviour, Database, Fault, Functions};

/// A breaker as a function's instance has it that has just started.
fn instance(table: &Table) -> Breaker {
    Breaker::new(table.clone(), "products")
}

async fn fail(table: &Table, times: usize) {
    for _ in 0..times {
        instance(table).admit().await.unwrap().failed().await;
    }
}

async fn state(table: &Table) -> BreakerState {
    Breaker::records(table, &["products"]).await.unwrap()[0].state(Timestamp::now())
}

/// Half a minute passes.
async fn wait(table: &Table) {
    let past = AttributeValue::N((Timestamp::now().unix_millis() - 1).to_string());
    let update = Update::existing("breaker", Key::new("BREAKER#products", "BREAKER")).set("retry_at", past);
    table.commit(Transaction::new().update(update)).await.unwrap();
}

#[tokio::test]
async fn three_failures_in_a_row_open_it_for_every_instance() {
    let table = Database::new().table("platform");
    fail(&table, 2).await;
    assert!(instance(&table).admit().await.is_ok());
    fail(&table, 1).await;
    assert!(instance(&table).admit().await.is_err());
    assert_eq!(state(&table).await, BreakerState::Open);
}

#[tokio::test]
async fn failures_with_a_success_between_them_do_not_add_up() {
    let table = Database::new().table("platform");
    fail(&table, 2).await;
    instance(&table).admit().await.unwrap().succeeded().await;
    fail(&table, 2).await;
    assert_eq!(state(&table).await, BreakerState::Closed);
}

#[tokio::test]
async fn calls_that_fail_at_the_same_time_open_it_together() {
    let table = Database::new().table("platform");
    let instances = [instance(&table), instance(&table), instance(&table)];
    let permits = join_all(instances.iter().map(Breaker::admit)).await;
    join_all(permits.into_iter().map(|permit| permit.unwrap().failed())).await;
    assert_eq!(state(&table).await, BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn of_a_hundred_callers_after_the_wait_one_probes() {
    let database = Database::new();
    let table = database.table("platform");
    fail(&table, 3).await;
    wait(&table).await;
    assert_eq!(state(&table).await, BreakerState::HalfOpen);
    database.interleave(vec![2, 0, 3, 1]);
    let instances: Vec<_> = (0..100).map(|_| instance(&table)).collect();
    let admitted = join_all(instances.iter().map(Breaker::admit)).await;
    assert_eq!(admitted.iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

#[tokio::test]
async fn a_probe_that_succeeds_closes_it_however_long_it_took() {
    let table = Database::new().table("platform");
    fail(&table, 3).await;
    wait(&table).await;
    let prober = instance(&table);
    let permit = prober.admit().await.unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    permit.succeeded().await;
    assert_eq!(state(&table).await, BreakerState::Closed);
    assert!(instance(&table).admit().await.is_ok());
}

#[tokio::test]
async fn a_call_that_began_before_it_opened_does_not_close_it() {
    let table = Database::new().table("platform");
    fail(&table, 1).await;
    let slow = instance(&table);
    let permit = slow.admit().await.unwrap();
    fail(&table, 2).await;
    permit.succeeded().await;
    assert_eq!(state(&table).await, BreakerState::Open);
}

#[tokio::test]
async fn a_failure_that_is_told_after_a_reset_does_not_open_it() {
    let table = Database::new().table("platform");
    fail(&table, 2).await;
    let slow = instance(&table);
    let permit = slow.admit().await.unwrap();
    instance(&table).reset().await.unwrap();
    permit.failed().await;
    assert_eq!(state(&table).await, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_whose_table_hangs_delays_a_call_by_half_a_second_and_lets_it_pass() {
    let database = Database::new();
    let table = database.table("platform");
    database.inject(Fault::Hanging);
    let started = tokio::time::Instant::now();
    assert!(instance(&table).admit().await.is_ok());
    assert!(started.elapsed() <= Duration::from_millis(600));
}

#[tokio::test]
async fn a_probe_that_fails_opens_it_again() {
    let table = Database::new().table("platform");
    fail(&table, 3).await;
    wait(&table).await;
    instance(&table).admit().await.unwrap().failed().await;
    assert_eq!(state(&table).await, BreakerState::Open);
}

#[tokio::test]
async fn a_breaker_whose_table_is_away_lets_calls_pass() {
    let database = Database::new();
    let table = database.table("platform");
    database.inject(Fault::Down);
    instance(&table).admit().await.unwrap().failed().await;
    assert!(instance(&table).admit().await.is_ok());
}

#[tokio::test]
async fn a_breaker_that_is_to_be_probed_lets_calls_pass_while_its_table_refuses_writes() {
    let database = Database::new();
    let table = database.table("platform");
    fail(&table, 3).await;
    wait(&table).await;
    database.inject(Fault::ReadOnly);
    assert!(instance(&table).admit().await.is_ok());
    instance(&table).admit().await.unwrap().succeeded().await;
    database.heal();
    assert_eq!(state(&table).await, BreakerState::HalfOpen);
}

async fn get(client: &ServiceClient) -> Result<Option<Value>, ClientError> {
    let path = "/api/products/2".to_owned();
    client.get(&Get { function: "products-get", path, query: vec![], authorization: None }).await
}

#[tokio::test(start_paused = true)]
async fn a_service_that_hangs_is_asked_three_times_and_after_three_requests_not_at_all() {
    let (functions, table) = (Functions::default(), Database::new().table("platform"));
    functions.set("products-get", Behaviour::Hangs);
    for _ in 0..3 {
        let started = tokio::time::Instant::now();
        assert!(matches!(get(&functions.client("products", &table)).await, Err(ClientError::Unavailable { .. })));
        assert!(started.elapsed() < Duration::from_secs(6));
        assert_eq!(functions.calls(), ["products-get"; 3]);
    }
    assert!(matches!(get(&functions.client("products", &table)).await, Err(ClientError::Open(_))));
    assert!(functions.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_service_refuses_is_an_answer_and_not_a_failure() {
    let (functions, table) = (Functions::default(), Database::new().table("platform"));
    let client = functions.client("products", &table);
    functions.set("products-get", Behaviour::Answers(404, json!({})));
    assert_eq!(get(&client).await.unwrap(), None);
    functions.set("products-get", Behaviour::Answers(403, json!({})));
    assert!(matches!(get(&client).await, Err(ClientError::Refused { status: 403, .. })));
    functions.set("products-get", Behaviour::Answers(200, json!({"id": 2})));
    assert_eq!(get(&client).await.unwrap(), Some(json!({"id": 2})));
    assert_eq!(functions.calls(), ["products-get"; 3]);
    assert_eq!(state(&table).await, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_a_failed_attempt_counts_as_a_success() {
    let (functions, table) = (Functions::default(), Database::new().table("platform"));
    functions.set("products-get", Behaviour::Crashes);
    let client = functions.client("products", &table);
    let recovers = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        functions.set("products-get", Behaviour::Answers(200, json!({"id": 2})));
    };
    let (answer, ()) = tokio::join!(get(&client), recovers);
    assert_eq!(answer.unwrap(), Some(json!({"id": 2})));
    assert_eq!(state(&table).await, BreakerState::Closed);
}
