//! No secret in a log. `make e2e` runs this after the suite, of which it reads what that has caused to be logged.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use aho_corasick::AhoCorasick;
use anyhow::{Context, Result, ensure};
use e2e::{Stack, functions_log, secrets};
use serde_json::json;
use uuid::Uuid;

/// What the secrets of second factors are sealed with.
async fn sealing_key() -> Result<String> {
    let client = aws_sdk_secretsmanager::Client::new(&shared::aws::sdk_config()?);
    let answer = client.get_secret_value().secret_id("local-auth-sealing-key").send().await?;
    answer.secret_string.context("no sealing key")
}

/// How often each secret is in a log, by its first characters.
fn leaks(secrets: &[String], log: &str) -> Result<BTreeMap<String, usize>> {
    let mut leaks = BTreeMap::new();
    for found in AhoCorasick::new(secrets)?.find_iter(log) {
        let secret = &secrets[found.pattern().as_usize()];
        *leaks.entry(secret.chars().take(6).collect()).or_default() += 1;
    }
    Ok(leaks)
}

/// What the functions have logged, once it says something of each of these requests.
async fn log_of(requests: &[String]) -> Result<String> {
    let started = Instant::now();
    loop {
        let log = functions_log()?;
        let missing: Vec<_> = requests.iter().filter(|request| !log.contains(*request)).collect();
        if missing.is_empty() {
            return Ok(log);
        }
        ensure!(started.elapsed() < Duration::from_secs(60), "the log says nothing of {missing:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn none_of_the_secrets_that_the_suite_used_is_in_any_log() -> Result<()> {
    let stack = Stack::from_env()?;
    let requests = [Uuid::new_v4().to_string(), Uuid::new_v4().to_string()];
    let [registry, sign_in] = requests.clone().map(|id| stack.nobody().with_header("x-correlation-id", &id));
    registry.with_api_key(&stack.api_key()).get("/registry").await?;
    let login = json!({"username": Uuid::new_v4().to_string(), "password": Uuid::new_v4().to_string()});
    sign_in.post("/auth/login", login).await?;
    let signing_keys = fs::read_to_string(stack.home().join("signing-key.json"))?;
    secrets::note(stack.home(), &serde_json::from_str(&signing_keys)?)?;
    secrets::note_all(stack.home(), &[&sealing_key().await?])?;
    let secrets: Vec<String> = secrets::noted(stack.home())?.into_iter().collect();
    let log = log_of(&requests).await?;
    assert_eq!(leaks(&secrets, &log)?, BTreeMap::new());
    let emulator = fs::read_to_string(stack.home().join("logs/emulator.log"))?;
    ensure!(!emulator.is_empty(), "the emulator has logged nothing");
    assert_eq!(leaks(&secrets, &emulator)?, BTreeMap::new());
    println!("{} secrets are not in {} MB of logs", secrets.len(), (log.len() + emulator.len()) / 1_000_000);
    Ok(())
}

#[test]
fn a_secret_that_is_in_a_log_is_found() {
    let secrets = ["correct horse battery".to_owned(), "qsk_1_abcdef".to_owned()];
    let log = "{\"password\":\"correct horse battery\"} and correct horse battery again";
    assert_eq!(leaks(&secrets, log).unwrap(), BTreeMap::from([("correc".to_owned(), 2)]));
}
