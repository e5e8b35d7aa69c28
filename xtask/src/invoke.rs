//! Invoking a function of the running stack with its sample event.

use std::{
    fs,
    io::ErrorKind,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use samples::{Sample, Stack};
use serde_json::Value;

use crate::{
    emulator,
    settings::{STACK, Settings},
    tools,
};

/// How many names are suggested for one that is not known, and how like it they must be (0 to 1).
const SUGGESTED: usize = 3;
const LIKENESS: f64 = 0.8;

/// Invokes it, and prints what it answers; succeeds when the answer is no error.
pub fn invoke(settings: &Settings, function: &str) -> Result<ExitCode> {
    let sample = find(settings, function)?;
    emulator::must_run(settings)?;
    tools::install(settings)?;
    let event = Stack::of(&settings.credentials())?.fill(&sample)?.text;
    let (answer, took) = send(settings, function, &event)?;
    let outcome = Outcome::of(&answer);
    println!("{function} · {} · {} ms\n", outcome.summary, took.as_millis());
    println!("{}", outcome.body);
    if !outcome.good {
        eprintln!("\nWhat it logged: make logs SERVICE={}", sample.service);
    }
    Ok(if outcome.good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the event that [`invoke`] would send, for other tools.
pub fn print_sample(settings: &Settings, function: &str) -> Result<()> {
    let sample = find(settings, function)?;
    emulator::must_run(settings)?;
    print!("{}", Stack::of(&settings.credentials())?.fill(&sample)?.text);
    Ok(())
}

fn find(settings: &Settings, function: &str) -> Result<Sample> {
    let mut samples = Sample::all(&settings.root)?;
    if let Some(sample) = samples.remove(function) {
        return Ok(sample);
    }
    let names: Vec<&str> = samples.keys().map(String::as_str).collect();
    bail!("{}", unknown(function, &names));
}

fn unknown(function: &str, names: &[&str]) -> String {
    let near = near(function, names);
    if function.is_empty() || near.is_empty() {
        let said = if function.is_empty() { "Which function? FN=…" } else { "There is no such function. There are:" };
        return format!("{said}\n  {}", names.join("\n  "));
    }
    format!("There is no function called {function}. Did you mean {}?", near.join(", "))
}

/// The names most like this one, and those that hold it.
fn near<'a>(function: &str, names: &[&'a str]) -> Vec<&'a str> {
    let likeness = |name: &str| match name.contains(function) {
        true => 1.0,
        false => strsim::jaro_winkler(function, name),
    };
    let mut near: Vec<_> = names.iter().map(|name| (likeness(name), *name)).collect();
    near.retain(|(likeness, _)| *likeness > LIKENESS);
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().map(|(_, name)| name).take(SUGGESTED).collect()
}

/// Has cargo-lambda send it to Lambda's Invoke API.
fn send(settings: &Settings, function: &str, event: &str) -> Result<(Value, Duration)> {
    // It has tokens in it: in the stack's own folder, which its owner alone may read.
    let file = settings.home.join(format!("invoke-{}.json", std::process::id()));
    fs::write(&file, event)?;
    let mut cargo_lambda = settings.tool("cargo-lambda");
    cargo_lambda
        .args(["lambda", "invoke", "--remote", "--endpoint-url", &settings.emulator_url(), "--data-file"])
        .arg(&file)
        .arg(format!("{STACK}-{function}"));
    let started = Instant::now();
    let output = cargo_lambda.output();
    let took = started.elapsed();
    match fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let output = output.context("cargo-lambda cannot be started")?;
    if !output.status.success() {
        bail!("{function} failed:\n{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok((serde_json::from_slice(&output.stdout).context("the answer is no JSON")?, took))
}

/// An answer, for people.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    good: bool,
    summary: String,
    body: String,
}

impl Outcome {
    fn of(answer: &Value) -> Self {
        if let Some(status) = answer["statusCode"].as_u64() {
            let body = answer["body"].as_str().unwrap_or_default();
            let body = serde_json::from_str(body).map_or_else(|_| body.to_owned(), |json: Value| readable(&json));
            return Self { good: status < 400, summary: format!("HTTP {status}"), body };
        }
        let failures = answer["batchItemFailures"].as_array().map_or(0, Vec::len);
        let summary = match failures {
            0 => "done".to_owned(),
            failures => format!("{failures} of the batch's messages not handled: they would come again"),
        };
        Self { good: failures == 0, summary, body: readable(answer) }
    }
}

fn readable(json: &Value) -> String {
    format!("{json:#}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mistyped_name_is_answered_with_those_most_like_it() {
        let names = ["orders-create", "orders-cancel", "payments-create", "users-list"];
        assert_eq!(near("order-create", &names)[0], "orders-create");
        assert_eq!(near("cancel", &names), ["orders-cancel"]);
        assert!(unknown("zzz", &names).contains("users-list"));
        assert!(unknown("order-create", &names).contains("Did you mean orders-create"));
    }

    #[test]
    fn a_request_is_good_below_400_and_a_batch_when_all_of_it_was_handled() {
        let answered = Outcome::of(&json!({"statusCode": 201, "body": "{\"id\":1}"}));
        assert_eq!((answered.good, &*answered.summary, &*answered.body), (true, "HTTP 201", "{\n  \"id\": 1\n}"));
        assert!(!Outcome::of(&json!({"statusCode": 503, "body": ""})).good);
        assert!(Outcome::of(&json!({"batchItemFailures": []})).good);
        assert!(!Outcome::of(&json!({"batchItemFailures": [{"itemIdentifier": "1"}]})).good);
        assert!(Outcome::of(&json!(null)).good);
    }
}
