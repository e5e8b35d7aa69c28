use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};
use ureq::Agent;

use crate::sample::{PLACEHOLDERS, Sample};

/// How long a request may take, and how long events may take to have their effect.
const TIMEOUT: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(150);

/// The demo product that samples are about.
const LAPTOP: u64 = 2;

/// A running stack, reached by its API alone.
#[derive(Clone, Debug)]
pub struct Stack {
    agent: Agent,
    base_url: String,
    credentials: Value,
}

/// A sample about what there is on a stack.
#[derive(Clone, Debug)]
pub struct Filled {
    /// The event, as it is to be sent.
    pub text: String,
    /// What took the place of each placeholder that was in it.
    pub values: BTreeMap<&'static str, String>,
}

/// Somebody new, signed in.
struct Customer {
    id: u64,
    username: String,
    password: String,
    token: String,
}

/// How a request is authorised.
#[derive(Clone, Copy)]
enum By<'a> {
    Nobody,
    Token(&'a str),
    Key(&'a str),
}

impl Stack {
    /// The stack whose accounts and keys are in this file, as `make up` has written it.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn of(local_json: &Path) -> Result<Self> {
        let text = fs::read_to_string(local_json).with_context(|| format!("{} is missing", local_json.display()))?;
        let credentials: Value = serde_json::from_str(&text)?;
        let base_url = credentials["base_url"].as_str().context("no base_url in local.json")?.to_owned();
        let config =
            Agent::config_builder().proxy(None).timeout_global(Some(TIMEOUT)).http_status_as_error(false).build();
        Ok(Self { agent: config.into(), base_url, credentials })
    }

    /// Makes what the sample is about, and puts it in the place of the placeholders.
    ///
    /// # Errors
    /// When the stack does not answer as it should.
    pub fn fill(&self, sample: &Sample) -> Result<Filled> {
        let mut values = BTreeMap::new();
        if Customer::PLACEHOLDERS.iter().any(|name| sample.names(name)) {
            self.customer_values(sample, &mut values)?;
        }
        for (name, _) in PLACEHOLDERS.iter().filter(|(name, _)| sample.names(name)) {
            if !values.contains_key(name) {
                values.insert(*name, self.value(name)?);
            }
        }
        let text = values.iter().fold(sample.text.clone(), |text, (name, value)| text.replace(name, value));
        Ok(Filled { text, values })
    }

    /// What has nothing to do with anybody.
    fn value(&self, placeholder: &str) -> Result<String> {
        let admin = || self.sign_in(self.login("admin", "username")?, self.login("admin", "password")?);
        let made = |path: &str, body: Value| id_of(&self.post(path, By::Token(&admin()?), &body)?);
        Ok(match placeholder {
            "ACCESS_TOKEN" => admin()?,
            "API_KEY" => self.api_key()?.to_owned(),
            "FRESH_NAME" => unused_name(),
            "PRODUCT_ID" => made("/api/products", json!({"name": "Keyboard", "price": 49.5, "stock": 10}))?,
            "KEY_ID" => made("/api/auth/keys", json!({"name": "Sample", "scopes": ["registry:read"]}))?,
            other => bail!("nothing is known of the placeholder {other}"),
        })
    }

    fn customer_values(&self, sample: &Sample, values: &mut BTreeMap<&'static str, String>) -> Result<()> {
        let customer = self.sign_up()?;
        values.insert("CUSTOMER_TOKEN", customer.token.clone());
        values.insert("USER_ID", customer.id.to_string());
        values.insert("USERNAME", customer.username.clone());
        values.insert("PASSWORD", customer.password.clone());
        if sample.names("USER_ID") {
            let path = format!("/api/users/{}", customer.id);
            self.until(&path, &customer, |user| user["id"] == customer.id)?;
        }
        if sample.names("ORDER_ID") || sample.names("PAYMENT_ID") {
            self.purchase(sample, &customer, values)?;
        }
        // Notifications takes nobody for a recipient of whom it has not heard yet.
        if sample.service == "notifications" {
            values.insert("NOTIFICATION_ID", self.notification(&customer)?);
        }
        if sample.names("ONE_TIME_CODE") || sample.names("RECOVERY_CODE") {
            self.second_factor(sample, &customer, values)?;
        }
        values.retain(|name, _| sample.names(name));
        Ok(())
    }

    fn sign_up(&self) -> Result<Customer> {
        let (username, password) = (unused_name(), format!("pass-{}", unused_name()));
        let body = json!({"username": username, "email": format!("{username}@example.com"), "password": password});
        let account = self.post("/api/auth/register", By::Nobody, &body)?;
        let id = account["id"].as_u64().with_context(|| format!("no account: {account}"))?;
        let token = self.sign_in(&username, &password)?;
        Ok(Customer { id, username, password, token })
    }

    fn sign_in(&self, username: &str, password: &str) -> Result<String> {
        let body = json!({"username": username, "password": password});
        let tokens = self.post("/api/auth/login", By::Nobody, &body)?;
        Ok(tokens["access_token"].as_str().context("the sign-in brought no token")?.to_owned())
    }

    /// An order whose stock is set aside; if the sample names a payment, it is paid for too.
    fn purchase(
        &self,
        sample: &Sample,
        customer: &Customer,
        values: &mut BTreeMap<&'static str, String>,
    ) -> Result<()> {
        let body = json!({"user_id": customer.id, "product_id": LAPTOP, "quantity": 1});
        let order = self.post("/api/orders", By::Token(&customer.token), &body)?;
        let path = format!("/api/orders/{}", id_of(&order)?);
        self.until(&path, customer, |order| order["stock"] == "RESERVED")?;
        values.insert("ORDER_ID", id_of(&order)?);
        if sample.names("PAYMENT_ID") {
            let body = json!({"order_id": order["id"]});
            let payment = self.post("/api/payments", By::Token(&customer.token), &body)?;
            self.until(&path, customer, |order| order["confirmed"] == true)?;
            values.insert("PAYMENT_ID", id_of(&payment)?);
        }
        Ok(())
    }

    /// A notification, which there can be once notifications has heard of the customer.
    fn notification(&self, customer: &Customer) -> Result<String> {
        let body = json!({"user_id": customer.id, "channel": "email", "template": "message",
            "params": {"subject": "Hello", "body": "Hello"}});
        let key = self.api_key()?;
        let made = self.again_until(
            || self.send("POST", "/api/notifications/send", By::Key(key), Some(&body)),
            |(status, _)| *status == 201,
        )?;
        id_of(&made.1)
    }

    fn second_factor(
        &self,
        sample: &Sample,
        customer: &Customer,
        values: &mut BTreeMap<&'static str, String>,
    ) -> Result<()> {
        let by = By::Token(&customer.token);
        let enrolment = self.post("/api/auth/mfa/enroll", by, &json!({"password": customer.password}))?;
        let code = one_time_code(enrolment["secret"].as_str().context("the enrolment has no secret")?)?;
        if sample.names("RECOVERY_CODE") {
            let confirmed = self.post("/api/auth/mfa/confirm", by, &json!({"otp": code}))?;
            let recovery_code = confirmed["recovery_codes"][0].as_str().context("no recovery code")?;
            values.insert("RECOVERY_CODE", recovery_code.to_owned());
        }
        values.insert("ONE_TIME_CODE", code);
        Ok(())
    }

    fn login(&self, who: &str, field: &str) -> Result<&str> {
        self.credentials[who][field].as_str().with_context(|| format!("no {who} in local.json"))
    }

    fn api_key(&self) -> Result<&str> {
        self.credentials["api_key"].as_str().context("no api_key in local.json")
    }

    fn post(&self, path: &str, by: By<'_>, body: &Value) -> Result<Value> {
        let (status, answer) = self.send("POST", path, by, Some(body))?;
        ensure!((200..300).contains(&status), "POST {path} is answered {status}: {answer}");
        Ok(answer)
    }

    fn until(&self, path: &str, customer: &Customer, expected: impl Fn(&Value) -> bool) -> Result<()> {
        let ask = || self.send("GET", path, By::Token(&customer.token), None);
        self.again_until(ask, |(_, body)| expected(body))?;
        Ok(())
    }

    fn again_until(
        &self,
        ask: impl Fn() -> Result<(u16, Value)>,
        expected: impl Fn(&(u16, Value)) -> bool,
    ) -> Result<(u16, Value)> {
        let started = Instant::now();
        loop {
            let answer = ask()?;
            if expected(&answer) {
                return Ok(answer);
            }
            ensure!(started.elapsed() < PATIENCE, "the stack still answers {} {}", answer.0, answer.1);
            sleep(INTERVAL);
        }
    }

    fn send(&self, method: &str, path: &str, by: By<'_>, body: Option<&Value>) -> Result<(u16, Value)> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base_url));
        request = match by {
            By::Nobody => request,
            By::Token(token) => request.header("authorization", format!("Bearer {token}")),
            By::Key(key) => request.header("x-api-key", key),
        };
        let unreachable = || format!("{} does not answer; is the stack running? See: make status", self.base_url);
        let mut response = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json").body(body.to_string())?;
                self.agent.run(request).with_context(unreachable)?
            }
            None => self.agent.run(request.body(())?).with_context(unreachable)?,
        };
        let status = response.status().as_u16();
        Ok((status, response.body_mut().read_json().unwrap_or_default()))
    }
}

impl Customer {
    /// What a sample has of a customer's.
    const PLACEHOLDERS: [&str; 9] = [
        "CUSTOMER_TOKEN",
        "USER_ID",
        "USERNAME",
        "PASSWORD",
        "ONE_TIME_CODE",
        "RECOVERY_CODE",
        "ORDER_ID",
        "PAYMENT_ID",
        "NOTIFICATION_ID",
    ];
}

fn id_of(made: &Value) -> Result<String> {
    Ok(made["id"].as_u64().with_context(|| format!("it has no id: {made}"))?.to_string())
}

/// Good for a user name and for the first part of an e-mail address.
fn unused_name() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("sample-{:x}-{}", now.as_nanos(), std::process::id())
}

/// The code that an authenticator app shows now for this secret in base32.
fn one_time_code(secret: &str) -> Result<String> {
    let secret = Secret::try_from_base32(secret).context("the secret is no base32")?;
    let totp = Builder::new().with_secret(secret).build().context("the secret makes no codes")?;
    Ok(totp.generate_current().to_string())
}
