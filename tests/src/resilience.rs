//! The document's resilience test: each service is stopped in turn, the others go on, and it recovers.

use std::{collections::BTreeMap, fmt, process::Command, time::Duration};

use anyhow::{Context, Result, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{Answer, Session, Stack};

/// The services, in the order in which they are stopped.
pub const SERVICES: [&str; 9] =
    ["auth", "users", "products", "orders", "payments", "sensors", "events", "notifications", "analytics"];

/// How long a service may take to recover: a breaker that has opened lets no probe pass for 30 s.
const RECOVERY: Duration = Duration::from_secs(60);
/// How long health may take to tell of it.
const NOTICED: Duration = Duration::from_secs(5);

/// Calls in vain that open a breaker.
const CALLS_IN_VAIN: usize = 3;

/// The services that others call in these journeys, and whose breakers open.
const CALLED: [&str; 3] = ["auth", "users", "orders"];

/// Something that a user does.
struct Journey {
    name: &'static str,
    /// The services that it cannot do without.
    needs: &'static [&'static str],
    is_post: bool,
    path: &'static str,
    as_admin: bool,
}

const JOURNEYS: [Journey; 10] = [
    journey("sign in", &["auth"], true, "/auth/login"),
    journey("profile", &[], false, "/api/users/$user/profile"),
    journey("catalogue", &["products"], false, "/api/products"),
    journey("order", &["orders"], true, "/api/orders"),
    journey("payments", &["payments"], false, "/api/payments"),
    journey("sensor", &["sensors"], true, "/test/sensor/temperature"),
    journey("notifications", &["notifications"], false, "/api/notifications/user/$user"),
    journey("figures", &["analytics"], true, "/api/analytics/query"),
    Journey { as_admin: true, ..journey("event log", &["events"], false, "/kafka/logs?limit=1") },
    Journey { as_admin: true, ..journey("dashboard", &[], false, "/api/dashboard") },
];

const fn journey(name: &'static str, needs: &'static [&'static str], is_post: bool, path: &'static str) -> Journey {
    Journey { name, needs, is_post, path, as_admin: false }
}

/// How a journey went while a service was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Works,
    /// It works with less than usual.
    Degraded(String),
    /// It needs the service, and was answered that it is unavailable.
    Unavailable,
    /// It was answered what it should not have been.
    Wrong(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Works => f.pad("works"),
            Self::Degraded(how) => f.pad(how),
            Self::Unavailable => f.pad("503"),
            Self::Wrong(what) => f.pad(&format!("WRONG: {what}")),
        }
    }
}

/// What happened while one service was stopped.
#[derive(Debug)]
pub struct Trial {
    pub service: &'static str,
    /// For each journey.
    pub outcomes: Vec<Outcome>,
    /// The breakers that were not closed, and how they stood.
    pub breakers: BTreeMap<String, String>,
    pub recovered_in: Duration,
}

impl Trial {
    /// How the breakers stood, unless only that of the service was not closed, if others have called it.
    fn wrong_breakers(&self) -> Option<String> {
        let Self { service, breakers, .. } = self;
        let opened = breakers.get(*service).is_some_and(|state| state == "open" || state == "half_open");
        let expected = usize::from(CALLED.contains(service));
        let right = breakers.len() == expected && (expected == 0 || opened);
        (!right).then(|| format!("breakers without {service}: {breakers:?}"))
    }
}

/// What happened to all of them, as a table.
#[derive(Debug)]
pub struct Report(pub Vec<Trial>);

impl Report {
    /// What should not have happened, and what should have and did not.
    pub fn wrongs(&self) -> Vec<String> {
        self.wrong_outcomes().into_iter().chain(self.0.iter().filter_map(Trial::wrong_breakers)).collect()
    }

    fn wrong_outcomes(&self) -> Vec<String> {
        let trials = self.0.iter().flat_map(|trial| {
            JOURNEYS.iter().zip(&trial.outcomes).filter_map(|(journey, outcome)| match outcome {
                Outcome::Wrong(what) => Some(format!("{} without {}: {what}", journey.name, trial.service)),
                _ => None,
            })
        });
        trials.collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<13}", "stopped")?;
        for journey in &JOURNEYS {
            write!(f, " {:<13}", journey.name)?;
        }
        writeln!(f, " {:<16} recovered in", "breakers")?;
        for Trial { service, outcomes, breakers, recovered_in } in &self.0 {
            write!(f, "{service:<13}")?;
            for outcome in outcomes {
                write!(f, " {outcome:<13}")?;
            }
            let breakers: Vec<_> = breakers.iter().map(|(name, state)| format!("{name} {state}")).collect();
            let breakers = if breakers.is_empty() { "all closed".to_owned() } else { breakers.join(", ") };
            writeln!(f, " {breakers:<16} {:.1} s", recovered_in.as_secs_f64())?;
        }
        Ok(())
    }
}

/// Stops each service in turn, sees what works without it, starts it again and waits until it has
/// recovered.
pub async fn run(stack: &Stack) -> Result<Report> {
    let visitor = Visitor::new(stack).await?;
    visitor.healthy(RECOVERY).await.context("the system is not healthy to begin with")?;
    let mut trials = Vec::new();
    for service in SERVICES {
        println!("▸ {service} is stopped");
        operate("stop-service", service)?;
        let seen = visitor.without(service).await;
        operate("start-service", service)?;
        let (outcomes, breakers) = seen?;
        let recovered_in = visitor.recovery(service).await?;
        println!("  started again, recovered in {:.1} s", recovered_in.as_secs_f64());
        trials.push(Trial { service, outcomes, breakers, recovered_in });
    }
    Ok(Report(trials))
}

/// Stops or starts a service, by the operator's command.
pub fn operate(command: &str, service: &str) -> Result<()> {
    operator(&[command, "--service", service]).map(|_| ())
}

/// What an operator's command prints.
pub fn operator(arguments: &[&str]) -> Result<String> {
    let operator = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/lambda/quayside-operator/bootstrap");
    let output = Command::new(operator).args(arguments).args(["--stack", "local"]).output()?;
    if !output.status.success() {
        bail!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A customer, an admin, and what they know.
struct Visitor {
    stack: Stack,
    customer: Session,
    admin: Session,
    user_id: u64,
}

impl Visitor {
    async fn new(stack: &Stack) -> Result<Self> {
        let (customer, user_id) = stack.newcomer().await?;
        let admin = stack.demo("admin").await?;
        customer.eventually(&format!("/api/users/{user_id}"), |user| user["id"] == user_id).await?;
        Ok(Self { stack: stack.clone(), customer, admin, user_id })
    }

    async fn go(&self, journey: &Journey) -> Result<Answer> {
        let session = if journey.as_admin { &self.admin } else { &self.customer };
        let body = match journey.name {
            "sign in" => json!({"username": "nobody", "password": "password123"}),
            "order" => json!({"user_id": self.user_id, "product_id": 2, "quantity": 1}),
            "figures" => json!({"metric": "cash_flow", "scope": "user", "from": "2026-01-01", "to": "2026-02-01"}),
            _ => json!({}),
        };
        let method = if journey.is_post { Method::POST } else { Method::GET };
        let body = (journey.is_post && journey.name != "sensor").then_some(body);
        let path = journey.path.replace("$user", &self.user_id.to_string());
        session.send(method, &path, body).await
    }

    /// How each journey goes without a service, and how the breakers stand.
    async fn without(&self, service: &str) -> Result<(Vec<Outcome>, BTreeMap<String, String>)> {
        let mut outcomes = Vec::new();
        for journey in &JOURNEYS {
            let mut outcome = judge(journey, service, &self.go(journey).await?);
            for _ in 1..CALLS_IN_VAIN {
                if matches!(outcome, Outcome::Degraded(_)) {
                    outcome = judge(journey, service, &self.go(journey).await?);
                }
            }
            println!("  {:<10} {outcome}", journey.name);
            outcomes.push(outcome);
        }
        let health = self.health_without(service).await?;
        let breakers = breakers(&health);
        println!("  health     {}, {service} unhealthy; breakers not closed: {breakers:?}", health["overall_status"]);
        Ok((outcomes, breakers))
    }

    /// What health says once it tells that a service is away: it may be a moment old.
    async fn health_without(&self, service: &str) -> Result<Value> {
        let started = Instant::now();
        loop {
            let health = self.stack.nobody().get("/health").await?.body;
            if health["overall_status"] != "healthy" && health["services"][service]["status"] == "unhealthy" {
                return Ok(health);
            }
            if started.elapsed() > NOTICED {
                bail!("health does not tell that {service} is away: {health}");
            }
            sleep(Duration::from_millis(300)).await;
        }
    }

    async fn recovery(&self, service: &str) -> Result<Duration> {
        let started = Instant::now();
        self.healthy(RECOVERY).await.with_context(|| format!("{service} does not recover"))?;
        for journey in &JOURNEYS {
            while !matches!(judge(journey, "", &self.go(journey).await?), Outcome::Works) {
                if started.elapsed() > RECOVERY {
                    bail!("{} does not recover after {service}", journey.name);
                }
                sleep(Duration::from_millis(500)).await;
            }
        }
        loop {
            let health = self.stack.nobody().get("/health").await?.body;
            if breakers(&health).is_empty() {
                return Ok(started.elapsed());
            }
            if started.elapsed() > RECOVERY {
                bail!("breakers that are not closed after {service}: {health}");
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    async fn healthy(&self, patience: Duration) -> Result<()> {
        let started = Instant::now();
        loop {
            let health = self.stack.nobody().get("/health").await?.body;
            if health["overall_status"] == "healthy" {
                return Ok(());
            }
            if started.elapsed() > patience {
                bail!("{health}");
            }
            sleep(Duration::from_millis(500)).await;
        }
    }
}

fn judge(journey: &Journey, stopped: &str, answer: &Answer) -> Outcome {
    let Answer { status, body, .. } = answer;
    if journey.needs.contains(&stopped) {
        return if *status == StatusCode::SERVICE_UNAVAILABLE { Outcome::Unavailable } else { wrong(answer) };
    }
    let outcome = match (journey.name, status.as_u16()) {
        ("sign in", 401 | 429) => Outcome::Works,
        (_, 200 | 201) if body["auth"] == "jwt_fallback" => Outcome::Degraded("jwt_fallback".into()),
        (_, 200 | 201) if body["missing"].is_array() => Outcome::Degraded(format!("no {}", missing(body))),
        (_, 200 | 201) => Outcome::Works,
        _ => wrong(answer),
    };
    if outcome == expected(journey.name, stopped) { outcome } else { wrong(answer) }
}

/// How a journey goes without a service that it can do without.
fn expected(journey: &str, stopped: &str) -> Outcome {
    match (journey, stopped) {
        ("sensor", "auth") => Outcome::Degraded("jwt_fallback".into()),
        ("profile", "users") => Outcome::Degraded("no user".into()),
        ("profile", "orders") => Outcome::Degraded("no orders".into()),
        _ => Outcome::Works,
    }
}

fn missing(body: &Value) -> String {
    let parts = body["missing"].as_array().into_iter().flatten().filter_map(Value::as_str);
    parts.collect::<Vec<_>>().join(", ")
}

fn wrong(answer: &Answer) -> Outcome {
    Outcome::Wrong(format!("{} {}", answer.status.as_u16(), answer.body))
}

fn breakers(health: &Value) -> BTreeMap<String, String> {
    let breakers = health["circuit_breakers"].as_object().into_iter().flatten();
    let open = breakers.filter(|(_, state)| *state != "closed");
    open.map(|(name, state)| (name.clone(), state.as_str().unwrap_or_default().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrongs(service: &'static str, breakers: &[(&str, &str)]) -> usize {
        let breakers = breakers.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect();
        let trial = Trial { service, outcomes: vec![Outcome::Works], breakers, recovered_in: Duration::ZERO };
        Report(vec![trial]).wrongs().len()
    }

    #[test]
    fn a_breaker_that_should_be_open_and_is_not_is_wrong_and_so_is_any_other() {
        assert_eq!(wrongs("auth", &[("auth", "open")]), 0);
        assert_eq!(wrongs("auth", &[("auth", "half_open")]), 0);
        assert_eq!(wrongs("auth", &[]), 1);
        assert_eq!(wrongs("auth", &[("auth", "open"), ("users", "open")]), 1);
        assert_eq!(wrongs("auth", &[("users", "open")]), 1);
        assert_eq!(wrongs("products", &[]), 0);
        assert_eq!(wrongs("products", &[("products", "open")]), 1);
    }
}
