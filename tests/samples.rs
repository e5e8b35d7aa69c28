//! Every sample event of `events/`, sent to its function on a running stack.

#![allow(clippy::unwrap_used)]

use std::{env, path::PathBuf, time::Duration};

use anyhow::Result;
use aws_sdk_lambda::{
    Client,
    config::{Builder, retry::RetryConfig, timeout::TimeoutConfig},
    primitives::Blob,
};
use e2e::secrets;
use futures::{StreamExt, stream};
use samples::{Filled, Sample, Stack};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const AT_ONCE: usize = 4;

/// Lambda, called once and waited for: a second call would find the work done.
fn lambda() -> Result<Client> {
    let patience = Duration::from_secs(60);
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(patience).operation_timeout(patience).build();
    let config = Builder::from(&shared::aws::sdk_config()?).timeout_config(timeouts);
    Ok(Client::from_conf(config.retry_config(RetryConfig::disabled()).build()))
}

/// What is wrong with an answer, if anything is.
fn fault(sample: &Sample, error: Option<&str>, answer: &Value) -> Option<String> {
    let right = if error.is_some() {
        false
    } else if sample.is_request() {
        answer["statusCode"].as_u64().is_some_and(|status| (200..300).contains(&status))
    } else {
        answer.get("batchItemFailures").is_none_or(|failures| *failures == json!([]))
    };
    (!right).then(|| format!("{}: {} {answer}", sample.function, error.unwrap_or_default()))
}

async fn send(lambda: &Client, stack: &Stack, sample: Sample) -> Result<Option<String>> {
    let (maker, about) = (stack.clone(), sample.clone());
    let Filled { text, values } = spawn_blocking(move || maker.fill(&about)).await??;
    let is_secret = |name: &str| !name.ends_with("_ID") && !name.ends_with("NAME");
    let known: Vec<&str> = values.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| value.as_str()).collect();
    secrets::note_all(e2e::Stack::from_env()?.home(), &known)?;
    let function = format!("local-{}", sample.function);
    let output = lambda.invoke().function_name(function).payload(Blob::new(text)).send().await?;
    let answer = serde_json::from_slice(output.payload().map(Blob::as_ref).unwrap_or(b"null"))?;
    Ok(fault(&sample, output.function_error(), &answer))
}

/// Has enough of the product that samples are about, whatever was bought before.
async fn restock() -> Result<()> {
    let admin = e2e::Stack::from_env()?.demo("admin").await?;
    let product = admin.get("/api/products/2").await?.body;
    let stocked =
        json!({"name": product["name"], "category": product["category"], "price": product["price"], "stock": 1000});
    let answer = admin.put("/api/products/2", stocked).await?;
    assert!(answer.status.is_success(), "{}", answer.body);
    Ok(())
}

#[tokio::test]
async fn every_function_of_a_running_stack_does_what_its_sample_asks_for() -> Result<()> {
    let stack = Stack::of(&PathBuf::from(env::var("QUAYSIDE_LOCAL_JSON")?))?;
    let (lambda, samples) = (lambda()?, Sample::all(ROOT.as_ref())?);
    restock().await?;
    assert!(samples.len() > 90, "{} samples", samples.len());
    let answers = samples.into_values().map(|sample| send(&lambda, &stack, sample));
    let faults: Vec<Option<String>> = stream::iter(answers)
        .buffer_unordered(AT_ONCE)
        .map(|answer| answer.unwrap_or_else(|error| Some(format!("{error:#}"))))
        .collect()
        .await;
    let faults: Vec<String> = faults.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[test]
fn an_answer_that_is_no_success_is_a_fault() {
    let sample = |text: &str| Sample {
        function: "orders-get".into(),
        service: "orders".into(),
        file: PathBuf::new(),
        text: text.into(),
    };
    let (request, batch) = (sample("{\"httpMethod\": \"GET\"}"), sample("{\"Records\": []}"));
    assert_eq!(fault(&request, None, &json!({"statusCode": 200})), None);
    assert_eq!(fault(&batch, None, &json!({"batchItemFailures": []})), None);
    assert_eq!(fault(&batch, None, &Value::Null), None);
    for answer in [json!({"statusCode": 503}), json!({"statusCode": 401}), json!(null)] {
        assert!(fault(&request, None, &answer).is_some(), "{answer}");
    }
    assert!(fault(&batch, None, &json!({"batchItemFailures": [{"itemIdentifier": "1"}]})).is_some());
    assert!(fault(&batch, Some("Unhandled"), &json!({"errorMessage": "exit"})).is_some());
}
