//! `docs/access.md`, executed in full: every route, by every kind of caller, on a running stack.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{collections::HashMap, fs, time::Duration};

use anyhow::{Context, Result, bail};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use e2e::{
    Session, Stack,
    matrix::{repository, table},
};
use futures::{StreamExt, TryStreamExt};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

const SCOPES: [&str; 4] = ["registry:read", "sensors:write", "notifications:send", "analytics:read"];
/// Routes after which the customer is not who they were.
const SPENDING: [&str; 3] = ["logout", "change-password", "DELETE /api/users/{id}"];

/// What a row's requests are made with.
struct World {
    values: HashMap<&'static str, String>,
    callers: HashMap<String, Session>,
}

impl World {
    async fn new(stack: &Stack, admin: &Session, scope: Option<&str>) -> Result<Self> {
        let (username, password) = (format!("user-{}", Uuid::new_v4().simple()), Uuid::new_v4().to_string());
        let email = format!("{username}@example.com");
        let registration = json!({"username": username, "email": email, "password": password});
        let id = stack.nobody().post("/auth/register", registration).await?.body["id"].to_string();
        let customer = stack.sign_in(&username, &password).await?;
        customer
            .eventually(&format!("/api/users/{id}"), |user| user["id"] == id.parse::<u64>().unwrap_or_default())
            .await?;
        let (other, _) = stack.newcomer().await?;
        let missing = SCOPES.iter().filter(|held| Some(**held) != scope).collect::<Vec<_>>();
        let (unscoped, _) = key(admin, &json!(missing)).await?;
        let (revoked, revoked_id) = key(admin, &json!(SCOPES)).await?;
        admin.delete(&format!("/api/auth/keys/{revoked_id}")).await?;
        let token = customer.token().context("not signed in")?.to_owned();
        let mut callers = bad_tokens(stack, &token)?;
        callers.extend([
            ("nobody".to_owned(), stack.nobody()),
            ("customer".to_owned(), customer),
            ("other-customer".to_owned(), other),
            ("admin".to_owned(), stack.demo("admin").await?),
            ("key".to_owned(), stack.nobody().with_api_key(&stack.api_key())),
            ("revoked-key".to_owned(), stack.nobody().with_api_key(&revoked)),
            ("unscoped-key".to_owned(), stack.nobody().with_api_key(&unscoped)),
        ]);
        Ok(Self {
            values: HashMap::from([("$customer", id), ("$username", username), ("$password", password)]),
            callers,
        })
    }

    /// The text with everything behind a `$` made for this request.
    async fn fill(&self, admin: &Session, text: &str) -> Result<String> {
        let mut filled = text.to_owned();
        for (name, value) in &self.values {
            filled = filled.replace(name, value);
        }
        let customer = &self.callers["customer"];
        if filled.contains("$fresh") {
            filled = filled.replace("$fresh", &format!("user-{}", Uuid::new_v4().simple()));
        }
        if filled.contains("$key") {
            filled = filled.replace("$key", &key(admin, &json!(["registry:read"])).await?.1);
        }
        if filled.contains("$product") {
            let product = admin.post("/api/products", json!({"name": "Thing", "price": 1, "stock": 9})).await?;
            filled = filled.replace("$product", &product.body["id"].to_string());
        }
        if filled.contains("$order") || filled.contains("$payment") {
            let product = admin.post("/api/products", json!({"name": "Thing", "price": 1, "stock": 9})).await?;
            let customer_id: u64 = self.values["$customer"].parse()?;
            let body = json!({"user_id": customer_id, "product_id": product.body["id"], "quantity": 1});
            let order = customer.post("/api/orders", body).await?.body["id"].clone();
            if filled.contains("$payment") {
                let payment = customer.post("/api/payments", json!({"order_id": order})).await?;
                filled = filled.replace("$payment", &payment.body["id"].to_string());
            }
            filled = filled.replace("$order", &order.to_string());
        }
        if filled.contains("$notification") {
            filled = filled.replace("$notification", &notification(admin, &self.values["$customer"]).await?);
        }
        Ok(filled)
    }
}

/// The id of a new notification of this user, which there can be once notifications has heard of the user.
async fn notification(admin: &Session, user_id: &str) -> Result<String> {
    let body = json!({"user_id": user_id.parse::<u64>()?, "channel": "email", "template": "message",
        "params": {"subject": "Hello", "body": "Hello"}});
    for _ in 0..100 {
        let made = admin.post("/api/notifications/send", body.clone()).await?;
        if made.status == StatusCode::CREATED {
            return Ok(made.body["id"].to_string());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bail!("user {user_id} stays unknown to notifications")
}

/// A new API key's text and id.
async fn key(admin: &Session, scopes: &Value) -> Result<(String, String)> {
    let made = admin.post("/api/auth/keys", json!({"name": "matrix", "scopes": scopes})).await?.body;
    let text = made["key"].as_str().with_context(|| format!("no key: {made}"))?;
    Ok((text.to_owned(), made["id"].to_string()))
}

fn bad_tokens(stack: &Stack, token: &str) -> Result<HashMap<String, Session>> {
    let parts: Vec<&str> = token.split('.').collect();
    let decode = |part: &str| anyhow::Ok(serde_json::from_slice::<Value>(&BASE64_URL_SAFE_NO_PAD.decode(part)?)?);
    let text = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let (header, claims) = (decode(parts[0])?, decode(parts[1])?);
    let changed = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    let hour_ago = claims["iat"].as_i64().unwrap() - 3600;
    let ring: Value = serde_json::from_str(&fs::read_to_string(stack.home().join("signing-key.json"))?)?;
    let signing = &ring["signing"];
    let kid = signing["kid"].as_str().map(str::to_owned);
    let eddsa = Header { kid: kid.clone(), ..Header::new(Algorithm::EdDSA) };
    let private = EncodingKey::from_ed_pem(signing["private_key_pem"].as_str().unwrap().as_bytes())?;
    let hs256 = Header { kid, ..Header::new(Algorithm::HS256) };
    let public = EncodingKey::from_secret(signing["x"].as_str().unwrap().as_bytes());
    let mut none = header;
    none["alg"] = "none".into();
    let admin = changed("role", "admin".into());
    let tokens = [
        ("expired", encode(&eddsa, &changed("exp", hour_ago.into()), &private)?),
        ("tampered", format!("{}.{}.{}", parts[0], text(&admin), parts[2])),
        ("alg-none", format!("{}.{}.", text(&none), text(&admin))),
        ("alg-hs256", encode(&hs256, &admin, &public)?),
    ];
    Ok(tokens.into_iter().map(|(name, token)| (name.to_owned(), stack.nobody().with_token(&token))).collect())
}

/// What is wrong with the answer, if anything is.
fn fault(expected: &str, status: u16) -> Option<String> {
    let right = match expected {
        "yes" => status < 500 && ![401, 403, 404, 405, 429].contains(&status),
        number => number == status.to_string(),
    };
    (!right).then(|| format!("{expected} expected, {status} answered"))
}

#[tokio::test]
async fn every_caller_is_answered_at_every_route_as_the_table_says() -> Result<()> {
    let document = repository("docs/access.md")?;
    let stack = Stack::from_env()?;
    let admin = stack.demo("admin").await?;
    let expected: HashMap<_, _> =
        table(&document, "access", 12).into_iter().map(|row| (row["access"].clone(), row)).collect();
    let world = World::new(&stack, &admin, Some("registry:read")).await?;
    let rows = table(&document, "route", 5);
    let checks = rows.iter().map(|row| check(&stack, &admin, &world, row, &expected));
    let faults: Vec<String> = futures::stream::iter(checks).buffer_unordered(4).try_concat().await?;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

async fn check(
    stack: &Stack,
    admin: &Session,
    shared: &World,
    row: &HashMap<String, String>,
    expected: &HashMap<String, HashMap<String, String>>,
) -> Result<Vec<String>> {
    let route = &row["route"];
    let (class, scope) = row["access"].split_once(' ').unwrap_or((&row["access"], ""));
    let method: Method = route.split(' ').next().unwrap().parse()?;
    let spends = SPENDING.iter().any(|spending| route.contains(spending));
    let mut faults = Vec::new();
    for (caller, outcome) in expected[class].iter().filter(|(name, _)| *name != "access") {
        let own = if spends || !scope.is_empty() { Some(World::new(stack, admin, Some(scope)).await?) } else { None };
        let world = own.as_ref().unwrap_or(shared);
        let path = world.fill(admin, &row["sample path"]).await?;
        let body = world.fill(admin, &row["body"]).await?;
        let session = &world.callers[caller];
        let answer = match body.strip_prefix("form: ") {
            Some(form) => session.post_form(&path, form).await?,
            None => {
                session
                    .send(method.clone(), &path, (!body.is_empty()).then(|| serde_json::from_str(&body)).transpose()?)
                    .await?
            }
        };
        if let Some(fault) = fault(outcome, answer.status.as_u16()) {
            faults.push(format!("{route} as {caller}: {fault} ({})", answer.body));
        }
    }
    Ok(faults)
}

/// What no request can choose for itself.
const CHOSEN: [&str; 4] = ["role", "admin", "is_admin", "id"];

#[tokio::test]
async fn no_body_chooses_a_role_or_an_id_at_any_route() -> Result<()> {
    let document = repository("docs/access.md")?;
    let stack = Stack::from_env()?;
    let admin = stack.demo("admin").await?;
    let world = World::new(&stack, &admin, None).await?;
    // A health check does not look at what comes with it.
    let rows = table(&document, "route", 5).into_iter().filter(|row| !row["route"].ends_with("/health"));
    let rows: Vec<_> = rows.filter(|row| !row["body"].is_empty()).collect();
    assert!(rows.len() > 30, "{}", rows.len());
    let mut faults = Vec::new();
    for row in &rows {
        let (route, path) = (&row["route"], world.fill(&admin, &row["sample path"]).await?);
        let body = world.fill(&admin, &row["body"]).await?;
        let answer = match body.strip_prefix("form: ") {
            Some(form) => {
                let chosen: String = CHOSEN.iter().map(|field| format!("&{field}=1")).collect();
                admin.post_form(&path, &format!("{form}{chosen}")).await?
            }
            None => {
                let mut body: Value = serde_json::from_str(&body)?;
                for field in CHOSEN {
                    body[field] = json!(1);
                }
                admin.send(route.split(' ').next().unwrap().parse()?, &path, Some(body)).await?
            }
        };
        let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
        let pointed = |field: &&str| errors.iter().any(|error| error["pointer"] == format!("/{field}"));
        if answer.status != StatusCode::UNPROCESSABLE_ENTITY || !CHOSEN.iter().all(pointed) {
            faults.push(format!("{route}: {} {}", answer.status, answer.body));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[tokio::test]
async fn another_sites_page_neither_reads_nor_does_anything_while_no_origin_is_named() -> Result<()> {
    let stack = Stack::from_env()?;
    let page = stack.nobody().with_header("origin", "https://evil.example");
    assert_eq!(stack.nobody().get("/api/products").await?.status, StatusCode::OK);
    let read = page.get("/api/products").await?;
    assert_eq!((read.status, read.allowed_origin), (StatusCode::FORBIDDEN, None));

    let (username, password) = (format!("user-{}", Uuid::new_v4().simple()), Uuid::new_v4().to_string());
    let email = format!("{username}@example.com");
    let registration = json!({"username": username, "email": email, "password": password});
    assert_eq!(page.post("/auth/register", registration.clone()).await?.status, StatusCode::FORBIDDEN);
    assert_eq!(stack.nobody().post("/auth/register", registration).await?.status, StatusCode::CREATED);

    let preflight = page
        .with_header("access-control-request-method", "POST")
        .with_header("access-control-request-headers", "authorization")
        .send(Method::OPTIONS, "/auth/register", None)
        .await?;
    assert_eq!(preflight.allowed_origin, None, "{}", preflight.status);
    Ok(())
}
