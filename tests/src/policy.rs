//! What a function's role allows, restricted for a while, and how soon what fails by that comes again.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use aws_sdk_sqs::types::QueueAttributeName;

/// What is taken away.
#[derive(Clone, Copy, Debug)]
pub enum Restriction<'a> {
    /// An action.
    Take(&'a str),
    /// All items but those whose partition keys begin like this.
    Narrow(&'a str),
}

/// Restricts what a function may do; answers with its policies as they were.
pub fn restrict(function: &str, restriction: Restriction<'_>) -> Result<Vec<u8>> {
    let (command, argument) = match restriction {
        Restriction::Take(action) => ("take", action),
        Restriction::Narrow(prefix) => ("narrow", prefix),
    };
    run(&[command, &format!("local-{function}"), argument], b"")
}

/// Puts a function's policies back.
pub fn restore(function: &str, policies: &[u8]) -> Result<()> {
    run(&["give", &format!("local-{function}")], policies).map(|_| ())
}

/// Has a consumer's queue give its messages again after a second, rather than a minute.
pub async fn hasten(queue: &str) -> Result<()> {
    let sqs = aws_sdk_sqs::Client::new(&shared::aws::sdk_config()?);
    let url = sqs.get_queue_url().queue_name(format!("local-{queue}")).send().await?.queue_url;
    sqs.set_queue_attributes().set_queue_url(url).attributes(QueueAttributeName::VisibilityTimeout, "1").send().await?;
    Ok(())
}

fn run(arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut process = Command::new(format!("{root}/.quayside/tools/bin/python"))
        .arg(format!("{root}/tests/policy.py"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    process.stdin.take().context("no standard input")?.write_all(input)?;
    let output = process.wait_with_output()?;
    if !output.status.success() {
        bail!("policy.py {arguments:?} failed");
    }
    Ok(output.stdout)
}
