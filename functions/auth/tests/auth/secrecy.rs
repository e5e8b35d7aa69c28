//! What is secret stays out of answers, logs and, but for hashes, the table.

use std::{cell::RefCell, io};

use crate::world::{Accounts, PASSWORD, SEALING_TEXT, accounts, registration, signing_key, text, with_token};
use auth::{api_key::Keys, http::create_key};
use axum::http::StatusCode;
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use shared::telemetry;
use testing::{Answer, Api};
use totp_rs::{Builder, Secret};

const WRONG: &str = "a-wrong-guess";
const NEW_PASSWORD: &str = "a newer, better password";
const NUMBER: u64 = 314_159_265_358;

thread_local! {
    static LOG: RefCell<Vec<u8>> = RefCell::default();
}

/// Keeps each test's lines apart, since each runs on its own thread.
struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Uses a second factor in every way, rightly and wrongly; the secrets of it, but not the answers that are
/// there to show them.
async fn second_factor(accounts: &Accounts, answers: &mut Vec<Answer>) -> Vec<String> {
    let tokens = accounts.newcomer("carol").await;
    let enroll = with_token(&accounts.mfa_enroll(), &tokens);
    answers.push(enroll.post("/auth/mfa/enroll", &json!({"password": WRONG})).await);
    answers.push(enroll.post("/auth/mfa/enroll", &json!({"password": NUMBER})).await);
    let secret = text(&enroll.post("/auth/mfa/enroll", &json!({"password": PASSWORD})).await.body, "secret").to_owned();
    let totp = Builder::new().with_secret(Secret::try_from_base32(&secret).unwrap()).build().unwrap();
    let confirm = with_token(&accounts.mfa_confirm(), &tokens);
    answers.push(confirm.post("/auth/mfa/confirm", &json!({"otp": WRONG})).await);
    answers.push(confirm.post("/auth/mfa/confirm", &json!({"otp": NUMBER})).await);
    let confirmed = confirm.post("/auth/mfa/confirm", &json!({"otp": totp.generate_current().to_string()})).await;
    let codes: Vec<String> = serde_json::from_value(confirmed.body["recovery_codes"].clone()).unwrap();
    let challenge = accounts.try_password("carol", PASSWORD).await;
    let mfa_token = text(&challenge.body, "mfa_token").to_owned();
    let login = accounts.login();
    for code in [WRONG, &codes[0], &codes[0]] {
        let body = json!({"username": "carol", "password": PASSWORD, "recovery_code": code});
        let answer = login.post("/auth/login", &body).await;
        if answer.status != StatusCode::OK {
            answers.push(answer);
        }
        answers.push(login.post("/auth/login", &json!({"mfa_token": WRONG, "recovery_code": code})).await);
    }
    let disable = with_token(&accounts.mfa_disable(), &tokens);
    answers.push(disable.post("/auth/mfa/disable", &json!({"password": PASSWORD, "recovery_code": codes[0]})).await);
    answers.push(disable.post("/auth/mfa/disable", &json!({"password": PASSWORD, "recovery_code": codes[1]})).await);
    assert_eq!(answers.last().unwrap().status, StatusCode::NO_CONTENT);
    let mut secrets = vec![secret, mfa_token.rsplit('.').next().unwrap().to_owned()];
    secrets.extend(codes.iter().flat_map(|code| [code.clone(), code.replace('-', "")]));
    let bytes = totp.secret().as_bytes();
    secrets.extend([BASE64_URL_SAFE_NO_PAD.encode(bytes), BASE64_STANDARD.encode(bytes)]);
    secrets.push(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    secrets
}

/// Makes an API key; its secret, but not the answer that is there to show it.
async fn api_key(accounts: &Accounts, answers: &mut Vec<Answer>) -> String {
    let admin = accounts.admin().await;
    let platform = accounts.database.table("platform");
    let keys = Keys { platform: platform.clone(), auth: accounts.table.clone() };
    let create = with_token(&Api::new(create_key::router(keys)), &admin).with("idempotency-key", "key");
    let wish = json!({"name": "test", "scopes": ["registry:read"]});
    let made = create.post("/auth/keys", &wish).await;
    answers.push(create.post("/auth/keys", &wish).await);
    let secret = text(&made.body, "key").splitn(3, '_').nth(2).unwrap().to_owned();
    assert!(!json!(accounts.database.items(&platform)).to_string().contains(&secret));
    secret
}

#[tokio::test]
async fn no_answer_and_no_log_line_holds_a_secret() {
    // For all threads: a call site whose first visitor has no subscriber may stay silent for everybody.
    // Everybody is listened to, the SDK too, at more than a function can be told to say.
    tracing::subscriber::set_global_default(telemetry::subscriber("trace", || Log)).unwrap();

    let accounts = accounts();
    let register = accounts.register();
    let mut answers: Vec<Answer> = Vec::new();
    answers.push(register.with("idempotency-key", "k").post("/auth/register", &registration("alice")).await);
    answers.push(register.post("/auth/register", &registration("alice")).await);
    let mut number = registration("bob");
    number["password"] = json!(NUMBER);
    answers.push(register.post("/auth/register", &number).await);
    answers.push(accounts.try_password("alice", WRONG).await);
    answers.push(accounts.form(&format!("username=alice&password={WRONG}")).await);
    answers.push(accounts.form(&format!("grant_type={WRONG}&username=alice&password={PASSWORD}")).await);
    answers.push(accounts.login().post("/auth/login", &json!({"username": "alice", "password": NUMBER})).await);

    let first = accounts.signed_in("alice").await;
    let second = accounts.refresh(&first).await.body;
    let change = with_token(&accounts.change_password(), &second);
    let path = "/auth/change-password";
    answers.push(change.post(path, &json!({"current_password": WRONG, "new_password": NEW_PASSWORD})).await);
    answers.push(change.post(path, &json!({"current_password": NUMBER, "new_password": NEW_PASSWORD})).await);
    answers.push(change.post(path, &json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD})).await);
    assert_eq!(answers.last().unwrap().status, StatusCode::NO_CONTENT);
    answers.push(with_token(&accounts.me(), &second).get("/auth/me").await);
    answers.push(with_token(&accounts.verify(), &second).get("/auth/verify").await);
    answers.push(with_token(&accounts.update_me(), &second).put("/auth/me", &json!({"name": "Alice"})).await);
    answers.push(accounts.refresh(&first).await);
    answers.push(with_token(&accounts.logout(), &second).post_raw("/auth/logout", "").await);

    let mut secrets = second_factor(&accounts, &mut answers).await;
    secrets.push(api_key(&accounts, &mut answers).await);

    let log = String::from_utf8(LOG.take()).unwrap();
    assert!(log.contains("signed in") && log.contains("a refresh token was used again"), "{log}");
    assert!(log.contains("aws_smithy_runtime") && log.contains("DEBUG") && !log.contains("TRACE"), "{log}");
    let stored = json!(accounts.items()).to_string();
    let answered = json!(answers.iter().map(|answer| &answer.body).collect::<Vec<_>>()).to_string();
    let headers: String = answers.iter().map(|answer| format!("{:?}", answer.headers)).collect();

    let token = |tokens: &Value, field| text(tokens, field).to_owned();
    secrets.extend([PASSWORD.to_owned(), NEW_PASSWORD.into(), WRONG.into(), NUMBER.to_string(), SEALING_TEXT.into()]);
    for tokens in [&first, &second] {
        secrets.extend([token(tokens, "access_token"), token(tokens, "refresh_token")]);
        secrets.push(text(tokens, "refresh_token").rsplit('.').next().unwrap().to_owned());
    }
    secrets.push(signing_key().private_key_pem.lines().nth(1).unwrap().to_owned());
    for secret in &secrets {
        for (place, text) in [("answers", &answered), ("headers", &headers), ("log", &log), ("table", &stored)] {
            assert!(!text.contains(secret), "{secret} is in the {place}: {text}");
        }
    }
    for text in [&answered, &log] {
        assert!(!text.contains("argon2") && !text.contains("password_hash") && !text.contains("sha256"), "{text}");
    }
    assert!(!log.contains("alice@example.com"), "{log}");
}
