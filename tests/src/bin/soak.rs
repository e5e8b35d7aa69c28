//! `make soak`: customers who go on for some minutes while functions are killed, the bus is removed
//! twice and a consumer is poisoned; then whether anything is lost or doubled.

use std::{env, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use e2e::{Stack, functions_log, integrity, policy, soak};
use serde_json::json;
use tokio::time::Instant;

/// How long what was interrupted may take to be done: visibility timeouts, and the provider's news.
const SETTLING: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let minutes: f64 = env::args().nth(1).unwrap_or_else(|| "10".into()).parse().context("how many minutes?")?;
    let stack = Stack::from_env()?;
    // Three attempts fit into the tenth of the time for which the consumer is poisoned, and no message comes
    // again while it is being handled, however busy the machine is.
    let hastened = policy::hasten(soak::POISONED, (minutes * 1.5).max(1.0) as u32).await?;
    let started = Instant::now();
    let soak = soak::run(&stack, Duration::from_secs_f64(minutes * 60.0)).await?;
    let seconds = started.elapsed().as_secs_f64();
    println!("\nminutes                  {:.1}", seconds / 60.0);
    println!("requests                 {}, {:.0} a second", soak.requests, soak.requests as f64 / seconds);
    println!("  repeated               {} times", soak.repeated);
    println!("functions killed         {}", soak.kills);
    let before = integrity::check(&stack, &soak.accepted, SETTLING).await?;
    println!("{before}");
    let redrive = format!("/api/events/dead-letters/{}/redrive", soak::POISONED);
    let admin = stack.demo("admin").await?;
    while admin.post(&redrive, json!({})).await?.body["complete"] == false {}
    println!("after the redrive of what the poisoned consumer left:");
    let after = integrity::check(&stack, &soak.accepted, SETTLING).await?;
    println!("{after}");
    hastened.restore().await?;
    let refused = policy::refused(stack.home(), &functions_log()?)?;
    if !refused.is_empty() {
        println!("refused by their policies {refused:?}");
    }
    let faults_were_real = soak.kills > 0 && before.dead_letters > 0;
    let sound =
        faults_were_real && before.are_sound() && after.are_sound() && after.dead_letters == 0 && refused.is_empty();
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
