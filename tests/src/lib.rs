//! What the end-to-end suite uses: a client of a running stack.
//!
//! `QUAYSIDE_BASE_URL` and `QUAYSIDE_LOCAL_JSON` say which stack; `cargo run -p xtask -- with-stack`
//! starts one and sets them.

pub mod changes;
pub mod dead_letters;
pub mod emulator;
pub mod integrity;
pub mod matrix;
pub mod policy;
pub mod processes;
pub mod resilience;
pub mod secrets;
pub mod soak;

use std::{
    collections::HashSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

/// How long events may take to have their effect, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often somebody signs in who is told to wait.
const SIGN_INS: usize = 5;

/// A running stack.
#[derive(Clone)]
pub struct Stack {
    client: Client,
    base_url: String,
    credentials: Value,
    home: PathBuf,
    /// The tokens and keys of requests that were noted.
    noted: Arc<Mutex<HashSet<String>>>,
}

/// A new account.
#[derive(Clone, Debug)]
pub struct Account {
    pub id: u64,
    pub username: String,
    pub password: String,
    pub email: String,
}

/// What the API answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// The `Retry-After` header.
    pub retry_after: Option<String>,
    /// The `Access-Control-Allow-Origin` header.
    pub allowed_origin: Option<String>,
    pub body: Value,
}

/// Somebody, signed in or not.
#[derive(Clone)]
pub struct Session {
    stack: Stack,
    token: Option<String>,
    api_key: Option<String>,
    idempotency_key: Option<String>,
    headers: Vec<(&'static str, String)>,
}

/// A Python script of this folder, with the local stack's tools.
pub fn script(name: &str) -> Command {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut python = Command::new(format!("{root}/.quayside/tools/bin/python"));
    python.arg(format!("{root}/tests/{name}"));
    python
}

/// What all functions of the stack have logged.
pub fn functions_log() -> Result<String> {
    let output = script("log_messages.py").output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Does to the stack what `make <command>` does to a developer's.
pub fn make(command: &str) -> Result<()> {
    let xtask = env::var_os("QUAYSIDE_XTASK").context("no stack: run `make e2e`")?;
    let done = Command::new(xtask).arg(command).output()?;
    if !done.status.success() {
        bail!("{command}: {}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    }
    Ok(())
}

impl Stack {
    pub fn from_env() -> Result<Self> {
        let missing = "no stack: run `make e2e`";
        let base_url = env::var("QUAYSIDE_BASE_URL").context(missing)?;
        let file = env::var("QUAYSIDE_LOCAL_JSON").context(missing)?;
        let credentials: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
        let home = Path::new(&file).parent().context(missing)?.to_owned();
        let client = Client::builder().timeout(Duration::from_secs(60)).build()?;
        secrets::note(&home, &credentials)?;
        Ok(Self { client, base_url, credentials, home, noted: Arc::default() })
    }

    /// The folder of a local stack's own files: credentials, signing keys.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The API key that came with the stack.
    pub fn api_key(&self) -> String {
        self.credentials["api_key"].as_str().unwrap_or_default().to_owned()
    }

    /// Somebody who is not signed in.
    pub fn nobody(&self) -> Session {
        Session { stack: self.clone(), token: None, api_key: None, idempotency_key: None, headers: Vec::new() }
    }

    /// One of the demo accounts: `admin` or `customer`.
    pub async fn demo(&self, who: &str) -> Result<Session> {
        let login = &self.credentials[who];
        let text = |field: &str| login[field].as_str().unwrap_or_default().to_owned();
        self.sign_in(&text("username"), &text("password")).await
    }

    /// Somebody new, signed up and signed in, with their id.
    pub async fn newcomer(&self) -> Result<(Session, u64)> {
        let account = self.sign_up().await?;
        Ok((self.sign_in(&account.username, &account.password).await?, account.id))
    }

    /// The account of somebody new.
    pub async fn sign_up(&self) -> Result<Account> {
        let username = format!("user-{}", Uuid::new_v4().simple());
        let (password, email) = (Uuid::new_v4().to_string(), format!("{username}@example.com"));
        let registration = json!({"username": username, "email": email, "password": password});
        let answer = self.nobody().post("/auth/register", registration).await?;
        let id = answer.body["id"].as_u64().with_context(|| format!("no account: {}", answer.body))?;
        Ok(Account { id, username, password, email })
    }

    /// Signs in with the document's form, and waits where the answer says so.
    pub async fn sign_in(&self, username: &str, password: &str) -> Result<Session> {
        let form = [("username", username), ("password", password)];
        let form = serde_urlencoded::to_string(form)?;
        let mut answer = self.nobody().post_form("/auth/token", &form).await?;
        for _ in 1..SIGN_INS {
            if answer.status != StatusCode::TOO_MANY_REQUESTS {
                break;
            }
            let seconds = answer.retry_after.as_deref().and_then(|seconds| seconds.parse().ok());
            tokio::time::sleep(Duration::from_secs(seconds.unwrap_or(1))).await;
            answer = self.nobody().post_form("/auth/token", &form).await?;
        }
        let token = answer.body["access_token"].as_str().with_context(|| format!("no token: {}", answer.body))?;
        Ok(self.nobody().with_token(token))
    }

    /// Notes a token or key, once.
    fn note(&self, secret: &str) -> Result<()> {
        let new = self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(secret.to_owned());
        if new { secrets::note_all(&self.home, &[secret]) } else { Ok(()) }
    }
}

impl Session {
    /// The same, with an `Idempotency-Key` on every request.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { idempotency_key: Some(key.to_owned()), ..self.clone() }
    }

    /// The same, with this access token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same, with this `X-API-Key`.
    #[must_use]
    pub fn with_api_key(&self, key: &str) -> Self {
        Self { api_key: Some(key.to_owned()), ..self.clone() }
    }

    /// The same, with this header too.
    #[must_use]
    pub fn with_header(&self, name: &'static str, value: &str) -> Self {
        let mut session = self.clone();
        session.headers.push((name, value.to_owned()));
        session
    }

    /// The access token, if somebody is signed in.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// A POST that is repeated, with an `Idempotency-Key` of its own, while the system cannot answer
    /// it: what `Retry-After` asks of a client.
    pub async fn post_patiently(&self, path: &str, key: &str, body: Value) -> Result<Answer> {
        let session = self.with_key(key);
        let started = tokio::time::Instant::now();
        loop {
            let answer = session.post(path, body.clone()).await?;
            if !answer.status.is_server_error() || started.elapsed() > PATIENCE {
                return Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    pub async fn put(&self, path: &str, body: Value) -> Result<Answer> {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(Method::DELETE, path, None).await
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer> {
        let request = self.request(method, path)?;
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        secrets::note(&self.stack.home, &body.unwrap_or_default())?;
        self.answer(request).await
    }

    /// Posts `name=value` pairs as they stand.
    pub async fn post_form(&self, path: &str, form: &str) -> Result<Answer> {
        let fields: serde_json::Map<String, Value> = serde_urlencoded::from_str::<Vec<(String, String)>>(form)?
            .into_iter()
            .map(|(k, v)| (k, v.into()))
            .collect();
        secrets::note(&self.stack.home, &Value::Object(fields))?;
        let request = self.request(Method::POST, path)?.header("content-type", "application/x-www-form-urlencoded");
        self.answer(request.body(form.to_owned())).await
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        for secret in [&self.token, &self.api_key].into_iter().flatten() {
            self.stack.note(secret)?;
        }
        let mut request = self.stack.client.request(method, format!("{}{path}", self.stack.base_url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        for (name, value) in [("x-api-key", &self.api_key), ("idempotency-key", &self.idempotency_key)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        Ok(request)
    }

    /// Asks again and again until the answer is as expected.
    pub async fn eventually(&self, path: &str, expected: impl Fn(&Value) -> bool) -> Result<Value> {
        let started = tokio::time::Instant::now();
        loop {
            let answer = self.get(path).await?;
            if expected(&answer.body) {
                return Ok(answer.body);
            }
            if started.elapsed() > PATIENCE {
                bail!("{path} stayed at {}", answer.body);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Answer> {
        let response = request.send().await?;
        let status = response.status();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (retry_after, allowed_origin) = (header("retry-after"), header("access-control-allow-origin"));
        let body = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
        secrets::note(&self.stack.home, &body)?;
        Ok(Answer { status, retry_after, allowed_origin, body })
    }
}
