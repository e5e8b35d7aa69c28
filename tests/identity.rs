//! Accounts, sessions, second factors and keys, as their owners and thieves meet them, on a running stack.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use e2e::{Account, Answer, Session, Stack};
use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};
use uuid::Uuid;

const STEP_SECONDS: u64 = 30;

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}"))
}

async fn login(stack: &Stack, body: Value) -> Result<Answer> {
    stack.nobody().post("/auth/login", body).await
}

fn with_password(account: &Account) -> Value {
    json!({"username": account.username, "password": account.password})
}

/// The account of somebody new, and the tokens of a session of theirs.
async fn newcomer(stack: &Stack) -> Result<(Account, Value)> {
    let account = stack.sign_up().await?;
    let tokens = tokens(stack, &account).await?;
    Ok((account, tokens))
}

/// The tokens of a new session.
async fn tokens(stack: &Stack, account: &Account) -> Result<Value> {
    let answer = login(stack, with_password(account)).await?;
    ensure!(answer.status == StatusCode::OK, "{}: {}", answer.status, answer.body);
    Ok(answer.body)
}

fn holder(stack: &Stack, tokens: &Value) -> Session {
    stack.nobody().with_token(text(tokens, "access_token"))
}

async fn refresh(stack: &Stack, tokens: &Value) -> Result<Answer> {
    let form = format!("grant_type=refresh_token&refresh_token={}", text(tokens, "refresh_token"));
    stack.nobody().post_form("/auth/token", &form).await
}

async fn is_live(stack: &Stack, tokens: &Value) -> Result<bool> {
    Ok(holder(stack, tokens).get("/api/auth/verify").await?.status == StatusCode::OK)
}

/// The events in the audit log that meet this, once there are so many of them, newest first.
async fn logged(admin: &Session, query: &str, count: usize, of: impl Fn(&Value) -> bool) -> Result<Vec<Value>> {
    let wanted = |log: &Value| -> Vec<Value> {
        log["data"].as_array().into_iter().flatten().filter(|entry| of(entry)).cloned().collect()
    };
    let path = format!("/api/auth/audit?limit=100{query}");
    Ok(wanted(&admin.eventually(&path, |log| wanted(log).len() >= count).await?))
}

/// What happened to an account, oldest first.
async fn history(admin: &Session, account: &Account) -> Result<Vec<String>> {
    let entries = logged(admin, &format!("&user_id={}", account.id), 1, |_| true).await?;
    Ok(entries.iter().rev().map(|entry| text(entry, "event").to_owned()).collect())
}

/// An authenticator app.
struct App(Totp);

impl App {
    fn new(secret: &str) -> Self {
        Self(Builder::new().with_secret(Secret::try_from_base32(secret).unwrap()).build().unwrap())
    }

    /// Waits until a time step has begun that has some seconds left.
    async fn settle() {
        let left = STEP_SECONDS - now() % STEP_SECONDS;
        if left < 15 {
            tokio::time::sleep(Duration::from_secs(left)).await;
        }
    }

    /// The code of the time step so many after this one.
    fn code(&self, steps: i64) -> String {
        self.0.generate(now().saturating_add_signed(steps * STEP_SECONDS.cast_signed())).to_string()
    }

    /// Six digits that are no code of about now.
    fn wrong(&self) -> String {
        let near: Vec<String> = (-3..=3).map(|steps| self.code(steps)).collect();
        (0..10).map(|n| format!("{n:06}")).find(|code| !near.contains(code)).unwrap()
    }
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

#[tokio::test]
async fn a_second_factor_is_enrolled_confirmed_asked_for_used_once_recovered_and_given_up() -> Result<()> {
    let stack = Stack::from_env()?;
    let (account, first) = newcomer(&stack).await?;
    let owner = holder(&stack, &first);
    let refused = owner.post("/api/auth/mfa/enroll", json!({"password": "a wrong password"})).await?;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
    let enrolment = owner.post("/api/auth/mfa/enroll", json!({"password": account.password})).await?;
    assert_eq!(enrolment.status, StatusCode::OK, "{}", enrolment.body);
    assert!(text(&enrolment.body, "otpauth_uri").starts_with("otpauth://totp/Quayside:"));
    tokens(&stack, &account).await.context("it is not asked for before it is confirmed")?;

    let app = App::new(text(&enrolment.body, "secret"));
    App::settle().await;
    let wrong = owner.post("/api/auth/mfa/confirm", json!({"otp": app.wrong()})).await?;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN, "{}", wrong.body);
    // The code of the step before is good too, so that this step's is left for the sign-in.
    let confirmed = owner.post("/api/auth/mfa/confirm", json!({"otp": app.code(-1)})).await?;
    assert_eq!(confirmed.status, StatusCode::OK, "{}", confirmed.body);
    let recovery: Vec<String> = serde_json::from_value(confirmed.body["recovery_codes"].clone())?;
    assert_eq!(recovery.len(), 10);

    let challenge = login(&stack, with_password(&account)).await?;
    assert_eq!((challenge.status, text(&challenge.body, "code")), (StatusCode::FORBIDDEN, "mfa_required"));
    let answer = json!({"mfa_token": challenge.body["mfa_token"], "otp": app.code(0)});
    let signed_in = login(&stack, answer.clone()).await?;
    assert_eq!(signed_in.status, StatusCode::OK, "{}", signed_in.body);
    assert!(is_live(&stack, &signed_in.body).await?);
    assert_eq!(login(&stack, answer.clone()).await?.status, StatusCode::UNAUTHORIZED, "a challenge is met once");
    let mut again = with_password(&account);
    again["otp"] = answer["otp"].clone();
    assert_eq!(login(&stack, again).await?.status, StatusCode::UNAUTHORIZED, "a code is good once");

    let mut lost = with_password(&account);
    lost["recovery_code"] = json!(recovery[0]);
    assert_eq!(login(&stack, lost.clone()).await?.status, StatusCode::OK);
    assert_eq!(login(&stack, lost).await?.status, StatusCode::UNAUTHORIZED, "a recovery code is good once");

    let give_up = json!({"password": account.password, "recovery_code": recovery[1]});
    assert_eq!(owner.post("/api/auth/mfa/disable", give_up).await?.status, StatusCode::NO_CONTENT);
    tokens(&stack, &account).await?;
    let admin = stack.demo("admin").await?;
    let expected = [
        "account.registered",
        "login.succeeded",
        "password.refused",
        "mfa.enrolled",
        "login.succeeded",
        "mfa.refused",
        "mfa.confirmed",
        "login.challenged",
        "login.succeeded",
        "mfa.refused",
        "login.succeeded",
        "mfa.refused",
        "mfa.disabled",
        "login.succeeded",
    ];
    let mut history = history(&admin, &account).await?;
    history.retain(|event| event != "mfa.recovery_code_used");
    assert_eq!(history, expected);
    Ok(())
}

#[tokio::test]
async fn a_changed_password_ends_every_other_session_and_is_the_only_one_that_is_good() -> Result<()> {
    let stack = Stack::from_env()?;
    let (account, here) = newcomer(&stack).await?;
    let elsewhere = [tokens(&stack, &account).await?, tokens(&stack, &account).await?];
    let new_password = Uuid::new_v4().to_string();
    let change = json!({"current_password": account.password, "new_password": new_password});
    let changed = holder(&stack, &here).post("/api/auth/change-password", change).await?;
    assert_eq!(changed.status, StatusCode::NO_CONTENT, "{}", changed.body);
    for tokens in &elsewhere {
        assert!(!is_live(&stack, tokens).await?);
        assert_eq!(refresh(&stack, tokens).await?.status, StatusCode::UNAUTHORIZED);
    }
    assert!(is_live(&stack, &here).await?);
    assert_eq!(refresh(&stack, &here).await?.status, StatusCode::OK);
    assert_eq!(login(&stack, with_password(&account)).await?.status, StatusCode::UNAUTHORIZED);
    tokens(&stack, &Account { password: new_password, ..account }).await?;
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_second_use_ends_the_whole_family() -> Result<()> {
    let stack = Stack::from_env()?;
    let (account, stolen) = newcomer(&stack).await?;
    let other = tokens(&stack, &account).await?;
    let second = refresh(&stack, &stolen).await?;
    assert_eq!(second.status, StatusCode::OK, "{}", second.body);
    let third = refresh(&stack, &second.body).await?.body;
    assert!(is_live(&stack, &third).await?);
    assert_eq!(refresh(&stack, &stolen).await?.status, StatusCode::UNAUTHORIZED);
    for tokens in [&stolen, &second.body, &third] {
        assert!(!is_live(&stack, tokens).await?);
    }
    assert_eq!(refresh(&stack, &third).await?.status, StatusCode::UNAUTHORIZED);
    assert!(is_live(&stack, &other).await?, "another session of the account goes on");
    let history = history(&stack.demo("admin").await?, &account).await?;
    assert_eq!(history[history.len() - 2..], ["session.reused", "session.refused"]);
    Ok(())
}

#[tokio::test]
async fn who_knows_a_session_but_never_had_its_token_ends_nothing() -> Result<()> {
    let stack = Stack::from_env()?;
    let (account, alive) = newcomer(&stack).await?;
    let [id, session, ..] = text(&alive, "refresh_token").split('.').collect::<Vec<_>>()[..] else { panic!() };
    let made_up = "A".repeat(43);
    let forged = json!({"refresh_token": format!("{id}.{session}.{made_up}.{made_up}")});
    assert_eq!(refresh(&stack, &forged).await?.status, StatusCode::UNAUTHORIZED);
    assert!(is_live(&stack, &alive).await?);
    assert_eq!(refresh(&stack, &alive).await?.status, StatusCode::OK);
    let history = history(&stack.demo("admin").await?, &account).await?;
    assert!(history.contains(&"session.refused".to_owned()), "{history:?}");
    assert!(!history.contains(&"session.reused".to_owned()), "{history:?}");
    Ok(())
}

#[tokio::test]
async fn signing_out_ends_the_session_at_once_where_auth_is_asked_and_no_other() -> Result<()> {
    let stack = Stack::from_env()?;
    let (account, here) = newcomer(&stack).await?;
    let there = tokens(&stack, &account).await?;
    assert_eq!(holder(&stack, &here).post("/api/auth/logout", json!({})).await?.status, StatusCode::NO_CONTENT);
    assert!(!is_live(&stack, &here).await?);
    assert_eq!(holder(&stack, &here).get("/api/auth/me").await?.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refresh(&stack, &here).await?.status, StatusCode::UNAUTHORIZED);
    assert!(is_live(&stack, &there).await?);

    let (admin, profile) = (stack.demo("admin").await?, format!("/api/users/{}", account.id));
    admin.eventually(&profile, |user| user["id"] == account.id).await?;
    assert_eq!(holder(&stack, &here).delete(&profile).await?.status, StatusCode::UNAUTHORIZED);
    assert_eq!(admin.get(&profile).await?.status, StatusCode::OK);
    assert_eq!(holder(&stack, &there).delete(&profile).await?.status, StatusCode::NO_CONTENT);
    Ok(())
}

#[tokio::test]
async fn a_new_address_is_known_everywhere_and_the_old_one_is_free() -> Result<()> {
    let stack = Stack::from_env()?;
    let (account, session) = newcomer(&stack).await?;
    let owner = holder(&stack, &session);
    let profile = format!("/api/users/{}", account.id);
    owner.eventually(&profile, |user| user["email"] == account.email).await?;
    let moved = format!("{}@elsewhere.example.com", account.username);
    let changed = owner.put("/api/auth/me", json!({"email": moved})).await?;
    assert_eq!((changed.status, text(&changed.body, "email")), (StatusCode::OK, &*moved));
    owner.eventually(&profile, |user| user["email"] == moved.as_str()).await?;

    let register = |email: String| {
        let username = format!("user-{}", Uuid::new_v4().simple());
        let body = json!({"username": username, "email": email, "password": Uuid::new_v4().to_string()});
        let nobody = stack.nobody();
        async move { nobody.post("/auth/register", body).await }
    };
    assert_eq!(register(moved.to_uppercase()).await?.status, StatusCode::CONFLICT);
    assert_eq!(register(account.email.clone()).await?.status, StatusCode::CREATED);

    let last = format!("{}@last.example.com", account.username);
    let put = owner.put(&profile, json!({"name": "Somebody Else", "email": last})).await?;
    assert_eq!(put.status, StatusCode::OK, "{}", put.body);
    owner.eventually("/api/auth/me", |me| me["email"] == last.as_str()).await?;
    let admin = stack.demo("admin").await?;
    let of = |entry: &Value| entry["event"] == "account.updated";
    let entries = logged(&admin, &format!("&user_id={}", account.id), 2, of).await?;
    let actors: Vec<&str> = entries.iter().map(|entry| text(entry, "actor")).collect();
    let themselves = format!("user:{}", account.id);
    assert_eq!(actors, [&*themselves, &themselves]);
    Ok(())
}

#[tokio::test]
async fn a_keys_life_is_in_the_log_to_the_refusal_after_its_revocation() -> Result<()> {
    let stack = Stack::from_env()?;
    let admin = stack.demo("admin").await?;
    let made = admin.post("/api/auth/keys", json!({"name": "e2e", "scopes": ["registry:read"]})).await?.body;
    let (id, client) = (made["id"].clone(), stack.nobody().with_api_key(text(&made, "key")));
    assert_eq!(client.get("/registry").await?.status, StatusCode::OK);
    assert_eq!(admin.delete(&format!("/api/auth/keys/{id}")).await?.status, StatusCode::NO_CONTENT);
    assert_eq!(client.get("/registry").await?.status, StatusCode::UNAUTHORIZED);
    let subject = format!("api_key:{id}");
    let mut entries = logged(&admin, "", 4, |entry| entry["subject"] == subject.as_str()).await?;
    entries.sort_by_key(|entry| text(entry, "occurred_at").to_owned());
    let events: Vec<&str> = entries.iter().map(|entry| text(entry, "event")).collect();
    assert_eq!(events, ["api_key.created", "api_key.used", "api_key.revoked", "api_key.refused"]);
    assert!(entries.iter().all(|entry| entry["correlation_id"].as_str().is_some_and(|id| !id.is_empty())));
    Ok(())
}

#[tokio::test]
async fn a_right_guess_that_comes_too_late_is_answered_like_a_wrong_one() -> Result<()> {
    let stack = Stack::from_env()?;
    let account = stack.sign_up().await?;
    let wrong = json!({"username": account.username, "password": "a wrong password"});
    for _ in 0..5 {
        assert_eq!(login(&stack, wrong.clone()).await?.status, StatusCode::UNAUTHORIZED);
    }
    // Of the next ones, one at a time is looked at when its wait is over: by then the right one is no more
    // likely than any other to be it.
    let guesses = [&wrong, &wrong, &wrong, &with_password(&account), &wrong].map(|body| login(&stack, body.clone()));
    let answers = join_all(guesses).await.into_iter().collect::<Result<Vec<_>>>()?;
    let looked_at = answers.iter().filter(|answer| answer.status != StatusCode::TOO_MANY_REQUESTS).count();
    assert!(looked_at <= 2, "{answers:?}");
    let throttled: Vec<_> = answers.iter().filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS).collect();
    assert!(throttled.iter().all(|answer| answer.retry_after.is_some() && answer.body["code"] == "too_many_requests"));
    stack.sign_in(&account.username, &account.password).await?;
    Ok(())
}

#[tokio::test]
async fn the_last_admin_stays() -> Result<()> {
    let stack = Stack::from_env()?;
    let admin = stack.demo("admin").await?;
    let me = admin.get("/api/auth/me").await?.body;
    let refused = admin.delete(&format!("/api/users/{}", me["id"])).await?;
    assert_eq!((refused.status, text(&refused.body, "code")), (StatusCode::CONFLICT, "last_admin"));
    assert_eq!(admin.get("/api/auth/me").await?.status, StatusCode::OK);
    Ok(())
}
