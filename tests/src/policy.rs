//! What a function's role allows, restricted for a while, and how soon what fails by that comes again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use aws_sdk_sqs::types::QueueAttributeName;

use crate::Stack;

/// Where the functions are noted of which something was taken, in the stack's folder.
const RESTRICTED: &str = "restricted";

/// What is taken away.
#[derive(Clone, Copy, Debug)]
pub enum Restriction<'a> {
    /// An action.
    Take(&'a str),
    /// All items but those whose partition keys begin like this.
    Narrow(&'a str),
}

/// Functions of which something was taken, with their policies as they were.
#[must_use]
pub struct Restricted(Vec<(String, Vec<u8>)>);

/// Restricts what functions may do.
pub fn restrict(functions: &[&str], restriction: Restriction<'_>) -> Result<Restricted> {
    let (command, argument) = match restriction {
        Restriction::Take(action) => ("take", action),
        Restriction::Narrow(prefix) => ("narrow", prefix),
    };
    note(Stack::from_env()?.home(), functions)?;
    let mut restricted = Vec::new();
    for function in functions.iter().map(|function| format!("local-{function}")) {
        let policies = run(&[command, &function, argument], b"")?;
        restricted.push((function, policies));
    }
    Ok(Restricted(restricted))
}

impl Restricted {
    /// Gives back what was taken.
    pub fn restore(self) -> Result<()> {
        self.0.iter().try_for_each(|(function, policies)| run(&["give", function], policies).map(|_| ()))
    }
}

fn note(home: &Path, functions: &[&str]) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(home.join(RESTRICTED))?;
    Ok(functions.iter().try_for_each(|function| writeln!(file, "local-{function}"))?)
}

/// The actions that the log says a function was refused, of which nothing had been taken.
pub fn refused(home: &Path, log: &str) -> BTreeMap<String, BTreeSet<String>> {
    let restricted = fs::read_to_string(home.join(RESTRICTED)).unwrap_or_default();
    let restricted: BTreeSet<&str> = restricted.lines().collect();
    let mut refused: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (who, what) in refusals(log).filter(|(who, _)| !restricted.contains(who)) {
        refused.entry(who.to_owned()).or_default().insert(what.to_owned());
    }
    refused
}

/// Each refusal's function and action.
fn refusals(log: &str) -> impl Iterator<Item = (&str, &str)> {
    const REFUSAL: &str = " is not authorized to perform: ";
    log.match_indices(REFUSAL).filter_map(|(at, _)| {
        let who = log[..at].rsplit('/').next()?;
        let what = log[at + REFUSAL.len()..].split_whitespace().next()?;
        Some((who, what))
    })
}

/// A consumer's queue that gives its messages again sooner than usual.
#[must_use]
pub struct Hastened {
    sqs: aws_sdk_sqs::Client,
    url: String,
    /// The usual visibility timeout, in seconds.
    usual: String,
}

/// Has a consumer's queue give its messages again after these seconds, rather than a minute.
pub async fn hasten(queue: &str, seconds: u32) -> Result<Hastened> {
    let sqs = aws_sdk_sqs::Client::new(&shared::aws::sdk_config()?);
    let url = sqs.get_queue_url().queue_name(format!("local-{queue}")).send().await?.queue_url;
    let hastened = Hastened { sqs, url: url.context("a queue without a URL")?, usual: String::new() };
    let usual = hastened.attribute(QueueAttributeName::VisibilityTimeout).await?;
    hastened.set(&seconds.to_string()).await?;
    Ok(Hastened { usual, ..hastened })
}

impl Hastened {
    /// Has it take as long as before.
    pub async fn restore(self) -> Result<()> {
        self.set(&self.usual).await
    }

    /// How many messages were handed out and neither handled nor given back.
    pub async fn in_flight(&self) -> Result<u64> {
        Ok(self.attribute(QueueAttributeName::ApproximateNumberOfMessagesNotVisible).await?.parse()?)
    }

    async fn attribute(&self, name: QueueAttributeName) -> Result<String> {
        let asked = self.sqs.get_queue_attributes().queue_url(&self.url).attribute_names(name.clone());
        let mut attributes = asked.send().await?.attributes.unwrap_or_default();
        attributes.remove(&name).with_context(|| format!("a queue without {name}"))
    }

    async fn set(&self, seconds: &str) -> Result<()> {
        let set = self.sqs.set_queue_attributes().queue_url(&self.url);
        set.attributes(QueueAttributeName::VisibilityTimeout, seconds).send().await?;
        Ok(())
    }
}

fn run(arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let mut process =
        crate::script("policy.py").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    process.stdin.take().context("no standard input")?.write_all(input)?;
    let output = process.wait_with_output()?;
    if !output.status.success() {
        bail!("policy.py {arguments:?} failed");
    }
    Ok(output.stdout)
}
