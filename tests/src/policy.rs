//! What a function's role allows, restricted for a while, and how soon what fails by that comes again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use aws_sdk_sqs::types::QueueAttributeName;
use serde::{Deserialize, Serialize};
use shared::time::Timestamp;

use crate::Stack;

/// Where is noted from when until when something was taken of which function, in the stack's folder.
const RESTRICTIONS: &str = "restrictions";
/// How long after it has everything again a function may still log that it was refused something.
const SETTLING: Duration = Duration::from_secs(5);

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
pub struct Restricted {
    home: PathBuf,
    policies: Vec<(String, Vec<u8>)>,
}

/// That something was taken of a function, or given back.
#[derive(Serialize, Deserialize)]
struct Note {
    function: String,
    at: Timestamp,
    taken: bool,
}

/// A span of time; one without an end goes on.
type Span = (Timestamp, Option<Timestamp>);

/// Restricts what functions may do: all of them, or none.
pub fn restrict(functions: &[&str], restriction: Restriction<'_>) -> Result<Restricted> {
    let (command, argument) = match restriction {
        Restriction::Take(action) => ("take", action),
        Restriction::Narrow(prefix) => ("narrow", prefix),
    };
    let mut restricted = Restricted { home: Stack::from_env()?.home().to_owned(), policies: Vec::new() };
    for function in functions.iter().map(|function| format!("local-{function}")) {
        if let Err(error) = restricted.take(function, command, argument) {
            restricted.restore()?;
            return Err(error);
        }
    }
    Ok(restricted)
}

impl Restricted {
    fn take(&mut self, function: String, command: &str, argument: &str) -> Result<()> {
        note(&self.home, &function, true)?;
        let policies = run(&[command, &function, argument], b"")?;
        self.policies.push((function, policies));
        Ok(())
    }

    /// Gives back what was taken, as much of it as can be given.
    pub fn restore(self) -> Result<()> {
        let given = self.policies.iter().map(|(function, policies)| {
            run(&["give", function], policies)?;
            note(&self.home, function, false)
        });
        given.collect::<Vec<Result<()>>>().into_iter().collect()
    }
}

fn note(home: &Path, function: &str, taken: bool) -> Result<()> {
    let note = Note { function: function.to_owned(), at: Timestamp::now(), taken };
    let mut file = OpenOptions::new().create(true).append(true).open(home.join(RESTRICTIONS))?;
    Ok(writeln!(file, "{}", serde_json::to_string(&note)?)?)
}

/// When each function had less than its policy gives it.
fn restrictions(home: &Path) -> Result<BTreeMap<String, Vec<Span>>> {
    let mut spans: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for line in fs::read_to_string(home.join(RESTRICTIONS)).unwrap_or_default().lines() {
        let Note { function, at, taken } = serde_json::from_str(line)?;
        let spans = spans.entry(function).or_default();
        match spans.last_mut() {
            Some((_, until @ None)) if !taken => *until = Some(at.plus(SETTLING)),
            _ => spans.push((at, None)),
        }
    }
    Ok(spans)
}

/// The actions that the log says a function was refused while nothing had been taken of it.
///
/// # Errors
/// When what was noted of restrictions cannot be read.
pub fn refused(home: &Path, log: &str) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let restrictions = restrictions(home)?;
    let mut refused: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in log.lines() {
        let at = logged_at(line);
        for (who, what) in refusals(line) {
            let mut spans = restrictions.get(who).into_iter().flatten();
            if !spans.any(|span| at.is_some_and(|at| is_in(at, span))) {
                refused.entry(who.to_owned()).or_default().insert(what.to_owned());
            }
        }
    }
    Ok(refused)
}

fn is_in(at: Timestamp, (from, until): &Span) -> bool {
    *from <= at && until.is_none_or(|until| at <= until)
}

/// When a function has logged this, as its line says.
fn logged_at(line: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Line {
        timestamp: Timestamp,
    }
    serde_json::from_str(line).ok().map(|Line { timestamp }| timestamp)
}

/// Each refusal's function and action.
fn refusals(line: &str) -> impl Iterator<Item = (&str, &str)> {
    const REFUSAL: &str = " is not authorized to perform: ";
    line.match_indices(REFUSAL).filter_map(|(at, _)| {
        let who = line[..at].rsplit('/').next()?;
        let what = line[at + REFUSAL.len()..].split_whitespace().next()?;
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

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    fn refusal(function: &str, action: &str, timestamp: &str) -> String {
        let reason = format!(
            "User: arn:aws:sts::000000000000:assumed-role/local-Role-1/{function} is not authorized to perform: \
             {action} because no identity-based policy allows it"
        );
        serde_json::json!({"timestamp": timestamp, "reason": reason}).to_string()
    }

    fn note(function: &str, at: &str, taken: bool) -> String {
        serde_json::json!({"function": function, "at": at, "taken": taken}).to_string()
    }

    #[test]
    fn what_a_function_is_refused_counts_unless_it_was_taken_at_that_time() {
        let home = env::temp_dir().join(format!("quayside-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&home).unwrap();
        let notes = [
            note("local-orders-create", "2026-01-15T10:00:00.000Z", true),
            note("local-orders-create", "2026-01-15T10:00:10.000Z", false),
            note("local-orders-relay", "2026-01-15T10:00:00.000Z", true),
            note("local-orders-create", "2026-01-15T11:00:00.000Z", true),
        ];
        fs::write(home.join(RESTRICTIONS), notes.join("\n")).unwrap();
        let of = |function: &str, timestamp: &str| {
            let log = refusal(function, "dynamodb:GetItem", timestamp);
            refused(&home, &log).unwrap().remove(function).is_some_and(|actions| actions.contains("dynamodb:GetItem"))
        };
        assert!(of("local-orders-create", "2026-01-15T09:59:59.999999Z"));
        assert!(!of("local-orders-create", "2026-01-15T10:00:00.000123Z"));
        assert!(!of("local-orders-create", "2026-01-15T10:00:12.000000Z"), "on its way when it was given back");
        assert!(of("local-orders-create", "2026-01-15T10:00:16.000000Z"));
        assert!(!of("local-orders-create", "2026-01-15T12:00:00.000000Z"));
        assert!(!of("local-orders-relay", "2026-01-15T12:00:00.000000Z"), "never given back");
        assert!(of("local-payments-create", "2026-01-15T10:00:01.000000Z"));
        assert!(of("local-orders-create", "no time"));
        fs::remove_dir_all(home).unwrap();
    }
}
