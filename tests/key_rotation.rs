//! A new key signs the tokens, and nobody notices, on a running stack.

#![allow(clippy::unwrap_used)]

use std::{
    collections::HashSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use e2e::{Session, Stack, emulator::Feature, make, secrets};
use reqwest::StatusCode;
use serde_json::Value;

async fn published(stack: &Stack) -> Result<HashSet<String>> {
    let set = stack.nobody().get("/.well-known/jwks.json").await?.body;
    Ok(set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect())
}

/// The id of the key that a token was signed with.
fn kid(token: &str) -> String {
    let header = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

/// The private keys, as secrets that no log may hold.
fn note_keys(stack: &Stack) -> Result<()> {
    let keys = fs::read_to_string(stack.home().join("signing-key.json"))?;
    secrets::note(stack.home(), &serde_json::from_str(&keys)?)
}

/// Uses a token again and again until told to stop; how often, and what the answers were.
async fn use_on(session: Session, stop: Arc<AtomicBool>) -> Result<(usize, HashSet<StatusCode>)> {
    let (mut times, mut statuses) = (0, HashSet::new());
    while !stop.load(Ordering::Relaxed) {
        for path in ["/api/auth/verify", "/api/orders"] {
            statuses.insert(session.get(path).await?.status);
            times += 1;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok((times, statuses))
}

/// How functions of three services answer to a token.
async fn statuses_of(stack: &Stack, token: &str) -> Result<Vec<StatusCode>> {
    let session = stack.nobody().with_token(token);
    let paths = ["/api/auth/verify", "/api/orders", "/api/sensors/temperature/stats"];
    let mut statuses = Vec::new();
    for path in paths {
        statuses.push(session.get(path).await?.status);
    }
    Ok(statuses)
}

async fn refreshed(stack: &Stack, tokens: &Value) -> Result<Value> {
    let form = format!("refresh_token={}", tokens["refresh_token"].as_str().unwrap());
    let answer = stack.nobody().post_form("/auth/token", &form).await?;
    ensure!(answer.status == StatusCode::OK, "{}: {}", answer.status, answer.body);
    Ok(answer.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keys_are_good_during_a_rotation_that_signs_nobody_out_until_the_old_one_is_withdrawn() -> Result<()> {
    if !Feature::Commands.is_there() {
        return Ok(());
    }
    let stack = Stack::from_env()?;
    note_keys(&stack)?;
    let before = published(&stack).await?;
    let account = stack.sign_up().await?;
    let form = format!("username={}&password={}", account.username, account.password);
    let tokens = stack.nobody().post_form("/auth/token", &form).await?.body;
    let old = tokens["access_token"].as_str().unwrap();
    assert!(before.contains(&kid(old)));

    let stop = Arc::new(AtomicBool::new(false));
    let user = tokio::spawn(use_on(stack.nobody().with_token(old), stop.clone()));
    tokio::task::spawn_blocking(|| make("rotate-signing-key")).await??;
    note_keys(&stack)?;
    stop.store(true, Ordering::Relaxed);
    let (times, statuses) = user.await??;
    assert!(times > 10, "{times}");
    let signed_out = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
    assert!(
        statuses.contains(&StatusCode::OK) && !signed_out.iter().any(|status| statuses.contains(status)),
        "{statuses:?}"
    );

    let after = published(&stack).await?;
    assert_eq!((after.len(), after.contains(&kid(old))), (2, true), "{after:?}");
    let started = Instant::now();
    let mut new = refreshed(&stack, &tokens).await?;
    while kid(new["access_token"].as_str().unwrap()) == kid(old) {
        ensure!(started.elapsed() < Duration::from_secs(90), "the new key does not sign");
        tokio::time::sleep(Duration::from_secs(2)).await;
        new = refreshed(&stack, &new).await?;
    }
    let signed_by_new = new["access_token"].as_str().unwrap();
    assert!(after.contains(&kid(signed_by_new)) && !before.contains(&kid(signed_by_new)));
    for token in [old, signed_by_new] {
        assert_eq!(statuses_of(&stack, token).await?, [StatusCode::OK; 3]);
    }

    tokio::task::spawn_blocking(|| make("retire-signing-key")).await??;
    assert_eq!(published(&stack).await?, HashSet::from([kid(signed_by_new)]));
    assert_eq!(statuses_of(&stack, old).await?, [StatusCode::UNAUTHORIZED; 3]);
    let refreshed = refreshed(&stack, &new).await?;
    assert_eq!(statuses_of(&stack, refreshed["access_token"].as_str().unwrap()).await?, [StatusCode::OK; 3]);
    Ok(())
}
