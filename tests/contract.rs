//! The API does what its document says: Schemathesis makes requests of `docs/openapi.json`, good ones and
//! bad ones, and holds every answer against it. `tests/schemathesis.toml` says how.
//!
//! Refusals are documented too, so a stack that refuses everybody would pass: what was served is counted, and
//! who asked is still known at the end. It guesses passwords until its address may not sign in any more, so
//! it has a stack of its own.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};
use e2e::{Session, Stack};
use serde_json::{Value, json};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// How many of the document's 104 operations have to be answered 2xx at least once; 94 are, when all is well. The
/// others end the session, or take the password or a code of whoever asks.
const SERVED: usize = 90;

/// What an API key is for.
const FOR_KEYS: [&str; 6] = [
    "analytics-health-detailed",
    "gateway-registry",
    "gateway-registry-2",
    "notifications-send",
    "notifications-send-batch",
    "sensors-ingest",
];

/// Somebody who makes requests.
struct Caller<'a> {
    name: &'static str,
    header: String,
    document: &'a Path,
}

impl Caller<'_> {
    /// Has Schemathesis make its requests; answers with the operations that were answered 2xx.
    fn run(&self, part: &str, arguments: &[&str]) -> Result<BTreeSet<String>> {
        let report = temporary(&format!("contract-{}-{part}.ndjson", self.name));
        let output = Command::new(format!("{ROOT}/.quayside/contract/bin/schemathesis"))
            .args(["--config-file", "tests/schemathesis.toml", "run"])
            .arg(self.document)
            .args(["--header", &self.header, "--report", "ndjson", "--report-ndjson-path"])
            .arg(&report)
            .args(arguments)
            .current_dir(ROOT)
            .output()
            .context("Schemathesis is not installed: make test-tools")?;
        let told = String::from_utf8_lossy(&output.stdout);
        println!("{} {part}\n{told}", self.name);
        ensure!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
        let served = served(&fs::read_to_string(&report)?)?;
        // Answers have tokens in them.
        fs::remove_file(report)?;
        Ok(served)
    }
}

fn temporary(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The operations that a report tells of a success of, as `GET /health`.
fn served(report: &str) -> Result<BTreeSet<String>> {
    let mut served = BTreeSet::new();
    for line in report.lines() {
        let event: Value = serde_json::from_str(line)?;
        let recorder = &event["ScenarioFinished"]["recorder"];
        let Some((method, _)) = recorder["label"].as_str().and_then(|label| label.split_once(' ')) else { continue };
        // Other methods are tried on its path too, of which OPTIONS is answered.
        let is_success = |said: &Value| {
            said["request"]["method"] == method && matches!(said["response"]["status_code"].as_u64(), Some(200..300))
        };
        if recorder["interactions"].as_object().is_some_and(|said| said.values().any(is_success)) {
            served.extend(recorder["label"].as_str().map(str::to_owned));
        }
    }
    Ok(served)
}

/// The document with examples about what there is: for each caller things of its own, since one makes an end of
/// what another looks at.
async fn document(name: &str, stack: &Stack, admin: &Session, customer: &Session) -> Result<PathBuf> {
    let made = |answer: e2e::Answer| answer.body["id"].as_u64().with_context(|| format!("not made: {}", answer.body));
    let laptop = json!({"user_id": 2, "product_id": 2, "quantity": 1});
    let (order, unpaid, paid) = (
        made(customer.post("/api/orders", laptop.clone()).await?)?,
        made(customer.post("/api/orders", laptop.clone()).await?)?,
        made(customer.post("/api/orders", laptop).await?)?,
    );
    let payment = made(customer.post("/api/payments", json!({"order_id": paid})).await?)?;
    let product = json!({"name": "Keyboard", "price": 49.5, "stock": 10});
    let product = made(admin.post("/api/products", product).await?)?;
    let message = json!({"user_id": 2, "channel": "email", "template": "message",
        "params": {"subject": "Hello", "body": "Hello"}});
    let key = stack.nobody().with_api_key(&stack.api_key());
    let notification = made(key.post("/api/notifications/send", message).await?)?;
    let mut document: Value = serde_json::from_str(&fs::read_to_string(format!("{ROOT}/docs/openapi.json"))?)?;
    let paths = &mut document["paths"];
    for (path, id) in [
        ("/api/orders/{id}", order),
        ("/api/orders/{id}/status", order),
        ("/api/payments/{id}", payment),
        ("/api/payments/{id}/refund", payment),
        ("/api/products/{id}", product),
        ("/api/notifications/{id}", notification),
    ] {
        for operation in paths[path].as_object_mut().context("no such path")?.values_mut() {
            operation["parameters"][0]["example"] = id.into();
        }
    }
    for path in ["/api/auth/keys/{id}", "/auth/keys/{id}"] {
        let key = json!({"name": "Contract", "scopes": ["registry:read"]});
        let key = made(admin.post("/api/auth/keys", key).await?)?;
        paths[path]["delete"]["parameters"][0]["example"] = key.into();
    }
    paths["/api/payments"]["post"]["requestBody"]["content"]["application/json"]["example"]["order_id"] = unpaid.into();
    let file = temporary(&format!("contract-{name}.json"));
    fs::write(&file, document.to_string())?;
    Ok(file)
}

/// Whether somebody who asked is still known: what came before was not refused for want of that.
async fn is_known(session: &Session) -> Result<()> {
    let answer = session.get("/api/auth/me").await?;
    ensure!(answer.status.as_u16() == 200, "signed out meanwhile: {}", answer.body);
    Ok(())
}

#[tokio::test]
async fn every_answer_is_as_documented() -> Result<()> {
    let stack = Stack::from_env()?;
    let (admin, customer) = (stack.demo("admin").await?, stack.demo("customer").await?);
    // The account that the document's examples sign in to.
    let anna = json!({"username": "anna", "email": "anna@example.com", "password": "correct horse battery"});
    stack.nobody().post("/api/auth/register", anna).await?;
    let (for_admin, for_customer) =
        (document("admin", &stack, &admin, &customer).await?, document("customer", &stack, &admin, &customer).await?);
    let bearer =
        |session: &Session| anyhow::Ok(format!("Authorization: Bearer {}", session.token().context("no token")?));
    let as_admin = Caller { name: "admin", header: bearer(&admin)?, document: &for_admin };
    let as_customer = Caller { name: "customer", header: bearer(&customer)?, document: &for_customer };
    let by_key = Caller { name: "key", header: format!("X-API-Key: {}", stack.api_key()), document: &for_admin };

    // The callers' own ids are among the first that are tried, and without an account there is no caller.
    let kept = ["--seed", "1", "--exclude-operation-id", "users-delete"];
    let half = "^(auth|users|sensors)$";
    let runs = thread::scope(|scope| {
        let runs = [
            scope.spawn(|| as_admin.run("half", &[&kept[..], &["--include-tag-regex", half]].concat())),
            scope.spawn(|| as_admin.run("rest", &[&kept[..], &["--exclude-tag-regex", half]].concat())),
            scope.spawn(|| {
                let all = [&kept[..], &["--phases", "examples,fuzzing", "--warnings", "off"]].concat();
                let mut served = as_customer.run("all", &all)?;
                let keys: Vec<&str> = FOR_KEYS.iter().flat_map(|name| ["--include-operation-id", name]).collect();
                let by_key = by_key.run("all", &keys)?;
                ensure!(by_key.len() == FOR_KEYS.len(), "an API key was served only {by_key:?}");
                served.extend(by_key);
                Ok(served)
            }),
        ];
        runs.into_iter()
            .map(|run| run.join().map_err(|_| anyhow!("a run panicked"))?)
            .collect::<Result<Vec<BTreeSet<String>>>>()
    })?;
    is_known(&admin).await?;
    is_known(&customer).await?;
    let mut served: BTreeSet<String> = runs.into_iter().flatten().collect();
    served.extend(as_customer.run("end", &["--include-operation-id", "users-delete"])?);
    println!("served: {} operations: {served:?}", served.len());
    ensure!(served.len() >= SERVED, "only {} operations were served: {served:?}", served.len());
    Ok(())
}

#[test]
fn what_was_refused_every_time_is_not_served() -> Result<()> {
    let scenario = |label: &str, answers: &[(&str, u16)]| {
        let interactions = answers.iter().enumerate().map(|(at, (method, status))| {
            (at.to_string(), json!({"request": {"method": method}, "response": {"status_code": status}}))
        });
        let interactions: serde_json::Map<String, Value> = interactions.collect();
        json!({"ScenarioFinished": {"recorder": {"label": label, "interactions": interactions}}}).to_string()
    };
    let report = [
        json!({"Initialize": {}}).to_string(),
        scenario("GET /health", &[("GET", 503), ("GET", 200)]),
        scenario("GET /api/orders", &[("GET", 401), ("OPTIONS", 200)]),
        scenario("POST /api/orders", &[]),
    ];
    assert_eq!(served(&report.join("\n"))?, BTreeSet::from(["GET /health".to_owned()]));
    Ok(())
}
