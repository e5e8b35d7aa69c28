//! JSON logs, and metrics in CloudWatch's Embedded Metric Format (EMF) on the same stream.
//!
//! EMF is one JSON line for each request or event, which CloudWatch turns into metrics; see
//! "Embedded metric format specification" in the CloudWatch user guide.

use std::{
    env,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use serde_json::json;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    consumer::{ConsumerError, Outcome},
    event::Envelope,
    time::Timestamp,
};

const NAMESPACE: &str = "Quayside";

static COLD: AtomicBool = AtomicBool::new(true);

/// Sends this process's logs to standard output as JSON lines, at `LOG_LEVEL` (default `info`).
pub(crate) fn init() {
    subscriber(&env::var("LOG_LEVEL").unwrap_or_default(), std::io::stdout).init();
}

/// What writes logs as JSON lines, at `level` or by directives as `tracing_subscriber` has them. Never finer than
/// `debug`: at `trace` Lambda's runtime and AWS's SDK log whole requests and answers, passwords and tokens among them.
pub fn subscriber<W>(level: &str, writer: W) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let level = if level.is_empty() { "info" } else { level };
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .with_env_filter(filter)
        .with_writer(writer)
        .finish()
        .with(LevelFilter::DEBUG)
}

/// The running function's name, as Lambda gives it.
pub fn function_name() -> String {
    env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|_| "unnamed".into())
}

/// Counts a request: its latency, its outcome, and whether it met a cold start.
pub(crate) fn request_served(status: u16, latency: Duration) {
    let fault = u8::from(status >= 500);
    emit(&[
        ("Latency", "Milliseconds", json!(latency.as_secs_f64() * 1000.0)),
        ("Faults", "Count", json!(fault)),
        ("ColdStarts", "Count", json!(u8::from(COLD.swap(false, Ordering::Relaxed)))),
    ]);
}

/// Counts an event's delivery: its outcome, and how long it was on the way.
pub(crate) fn event_handled(consumer: &str, event: &Envelope, outcome: &Result<Outcome, ConsumerError>) {
    let lag = Timestamp::now().since(event.occurred_at);
    tracing::debug!(consumer, ?lag, "delivered");
    emit(&[
        ("EventLag", "Milliseconds", json!(lag.as_millis())),
        ("EventsHandled", "Count", json!(u8::from(matches!(outcome, Ok(Outcome::Handled))))),
        ("EventsRepeated", "Count", json!(u8::from(matches!(outcome, Ok(Outcome::Duplicate))))),
        ("EventsFailed", "Count", json!(u8::from(outcome.is_err()))),
    ]);
}

/// Counts a batch of deliveries: their outcomes, and how long the oldest event was on the way.
pub(crate) fn batch_handled<E>(oldest: Option<Timestamp>, outcomes: &[Result<Outcome, E>]) {
    let Some(oldest) = oldest else { return };
    let count =
        |wanted: Option<Outcome>| outcomes.iter().filter(|outcome| outcome.as_ref().ok() == wanted.as_ref()).count();
    emit(&[
        ("EventLag", "Milliseconds", json!(Timestamp::now().since(oldest).as_millis())),
        ("EventsHandled", "Count", json!(count(Some(Outcome::Handled)))),
        ("EventsRepeated", "Count", json!(count(Some(Outcome::Duplicate)))),
        ("EventsFailed", "Count", json!(count(None))),
    ]);
}

/// Counts events that could not be handled, or sent, and about which somebody has to do something.
pub(crate) fn events_failed(count: usize) {
    if count > 0 {
        emit(&[("EventsFailed", "Count", json!(count))]);
    }
}

/// Counts one of what matters to those who run the system: `NotificationsSent`.
pub fn count(name: &str) {
    emit(&[(name, "Count", json!(1))]);
}

fn emit(metrics: &[(&str, &str, serde_json::Value)]) {
    if env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        return;
    }
    let definitions: Vec<_> = metrics.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": Timestamp::now().unix_millis(),
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [["FunctionName"]], "Metrics": definitions}],
        },
        "FunctionName": function_name(),
    });
    for (name, _, value) in metrics {
        line[*name] = value.clone();
    }
    println!("{line}");
}
