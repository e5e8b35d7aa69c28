//! The second factor from enrolment to the day its device is lost.

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::StatusCode;
use serde_json::{Value, json};
use shared::{
    table::{Key, Transaction, Update},
    time::Timestamp,
};
use testing::{Answer, Fault};
use totp_rs::{Builder, Secret, Totp};

use crate::world::{Accounts, PASSWORD, SEALING_TEXT, accounts, text, with_token};

const STEP_SECONDS: u64 = 30;

/// An authenticator app, whose codes are of the time when it was set up.
struct App {
    totp: Totp,
    set_up_at: u64,
}

impl App {
    /// Waits for the next time step if this one is nearly over, so that the code before it stays good for
    /// some seconds.
    async fn set_up(secret: &str) -> Self {
        let builder = Builder::new().with_secret(Secret::try_from_base32(secret).unwrap()).with_account_name("alice");
        let left = STEP_SECONDS - now() % STEP_SECONDS;
        if left < 5 {
            tokio::time::sleep(Duration::from_secs(left)).await;
        }
        Self { totp: builder.build().unwrap(), set_up_at: now() }
    }

    /// The code so many time steps from then.
    fn code(&self, steps: i64) -> String {
        self.totp.generate(self.set_up_at.saturating_add_signed(steps * STEP_SECONDS.cast_signed())).to_string()
    }

    /// Six digits that are no code of about now.
    fn wrong(&self) -> String {
        let near: Vec<String> = (-3..=3).map(|steps| self.code(steps)).collect();
        (0..10).map(|n| format!("{n:06}")).find(|code| !near.contains(code)).unwrap()
    }
}

fn now() -> u64 {
    Timestamp::now().unix_seconds().unsigned_abs()
}

/// An account with a second factor.
struct Protected {
    app: App,
    recovery_codes: Vec<String>,
    tokens: Value,
}

impl Accounts {
    async fn enroll(&self, tokens: &Value, password: &str) -> Answer {
        with_token(&self.mfa_enroll(), tokens).post("/api/auth/mfa/enroll", &json!({"password": password})).await
    }

    async fn confirm(&self, tokens: &Value, otp: &str) -> Answer {
        with_token(&self.mfa_confirm(), tokens).post("/api/auth/mfa/confirm", &json!({"otp": otp})).await
    }

    async fn disable(&self, tokens: &Value, body: &Value) -> Answer {
        with_token(&self.mfa_disable(), tokens).post("/api/auth/mfa/disable", body).await
    }

    /// Confirmed with the code of the step before this one, so that this one's is good.
    async fn protected(&self, username: &str) -> Protected {
        let tokens = self.newcomer(username).await;
        let app = App::set_up(text(&self.enroll(&tokens, PASSWORD).await.body, "secret")).await;
        let confirmed = self.confirm(&tokens, &app.code(-1)).await;
        assert_eq!(confirmed.status, StatusCode::OK, "{}", confirmed.body);
        let codes = confirmed.body["recovery_codes"].as_array().unwrap();
        let recovery_codes = codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
        Protected { app, recovery_codes, tokens }
    }

    async fn login_with(&self, body: Value) -> Answer {
        self.login().post("/api/auth/login", &body).await
    }

    async fn challenged(&self, username: &str) -> String {
        let answer = self.try_password(username, PASSWORD).await;
        assert_eq!((answer.status, &answer.body["code"]), (StatusCode::FORBIDDEN, &json!("mfa_required")));
        text(&answer.body, "mfa_token").to_owned()
    }

    fn events_logged(&self) -> Vec<String> {
        let mut entries = self.of_type("audit");
        entries.sort_by_key(|entry| entry["gsi1sk"]["S"].as_str().unwrap().to_owned());
        entries.iter().map(|entry| entry["event"]["S"].as_str().unwrap().to_owned()).collect()
    }
}

fn with_otp(otp: &str) -> Value {
    json!({"username": "alice", "password": PASSWORD, "otp": otp})
}

#[tokio::test]
async fn a_factor_is_asked_for_only_after_it_was_confirmed() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let enrolment = accounts.enroll(&tokens, PASSWORD).await.body;
    let uri = text(&enrolment, "otpauth_uri");
    assert!(uri.starts_with("otpauth://totp/Quayside:alice?secret=") && uri.contains("issuer=Quayside"), "{uri}");
    accounts.signed_in("alice").await;
    let again = accounts.enroll(&tokens, PASSWORD).await.body;
    assert_ne!(again["secret"], enrolment["secret"]);
    let (old, new) = (App::set_up(text(&enrolment, "secret")).await, App::set_up(text(&again, "secret")).await);
    assert_eq!(accounts.confirm(&tokens, &old.code(0)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(accounts.confirm(&tokens, &new.code(0)).await.status, StatusCode::OK);
    accounts.challenged("alice").await;
    let me = with_token(&accounts.me(), &tokens).get("/auth/me").await.body;
    assert_eq!(me["mfa_enabled"], true);
    let conflict = accounts.enroll(&tokens, PASSWORD).await;
    assert_eq!((conflict.status, &conflict.body["code"]), (StatusCode::CONFLICT, &json!("mfa_enabled")));
    let conflict = accounts.confirm(&tokens, &new.code(1)).await;
    assert_eq!((conflict.status, &conflict.body["code"]), (StatusCode::CONFLICT, &json!("mfa_not_enrolled")));
}

#[tokio::test]
async fn signing_in_takes_both_factors_in_one_request_or_in_two() {
    let accounts = accounts();
    let alice = accounts.protected("alice").await;
    let in_one = accounts.login_with(with_otp(&alice.app.code(0))).await;
    assert_eq!(in_one.status, StatusCode::OK, "{}", in_one.body);
    assert!(accounts.is_live(&in_one.body).await);

    let mfa_token = accounts.challenged("alice").await;
    accounts.database.calls();
    let in_two = accounts.login_with(json!({"mfa_token": mfa_token, "otp": alice.app.code(1)})).await;
    let calls =
        [&["GetItem"; 2][..], &["UpdateItem"; 2], &["GetItem"], &["TransactWriteItems"], &["UpdateItem"; 2]].concat();
    assert_eq!(accounts.database.calls(), calls);
    assert_eq!(in_two.status, StatusCode::OK, "{}", in_two.body);
    assert!(accounts.is_live(&in_two.body).await);
}

#[tokio::test]
async fn an_oauth_client_uses_a_grant_or_a_field() {
    let accounts = accounts();
    for (n, grant) in ["mfa-otp", "mfa_otp", "http://auth0.com/oauth/grant-type/mfa-otp", ""].into_iter().enumerate() {
        let username = format!("user{n}");
        let user = accounts.protected(&username).await;
        let refused = accounts.form(&format!("grant_type=password&username={username}&password={PASSWORD}")).await;
        let mfa_token = text(&refused.body, "mfa_token");
        let kind = if grant.is_empty() { String::new() } else { format!("grant_type={grant}&") };
        let answer = accounts.form(&format!("{kind}mfa_token={mfa_token}&otp={}", user.app.code(0))).await;
        assert_eq!(answer.status, StatusCode::OK, "{grant}: {}", answer.body);
    }
    let alice = accounts.protected("alice").await;
    let form = format!("username=alice&password={PASSWORD}&otp={}", alice.app.code(0));
    assert_eq!(accounts.form(&form).await.status, StatusCode::OK);
    let mfa_token = accounts.challenged("alice").await;
    let code = &alice.recovery_codes[0];
    let form = format!("grant_type=mfa-recovery-code&mfa_token={mfa_token}&recovery_code={code}");
    assert_eq!(accounts.form(&form).await.status, StatusCode::OK);
}

#[tokio::test]
async fn without_the_password_no_code_helps() {
    let accounts = accounts();
    let alice = accounts.protected("alice").await;
    let body = json!({"username": "alice", "password": "wrong", "otp": alice.app.code(0)});
    let wrong = accounts.login_with(body).await;
    assert_eq!((wrong.status, &wrong.body["mfa_token"]), (StatusCode::UNAUTHORIZED, &Value::Null));
    let code = alice.app.code(0);
    let account = alice.tokens["user"]["id"].to_string();
    for mfa_token in ["x", "1.2.3", &format!("{account}.{}.x", "0".repeat(32)), text(&alice.tokens, "refresh_token")] {
        let answer = accounts.login_with(json!({"mfa_token": mfa_token, "otp": code})).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{mfa_token}");
    }
    let mfa_token = accounts.challenged("alice").await;
    assert_eq!(accounts.refresh(&json!({"refresh_token": mfa_token})).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(accounts.login_with(with_otp(&code)).await.status, StatusCode::OK, "the code was not used up");
}

#[tokio::test]
async fn a_code_is_good_once_even_for_its_whole_time_and_those_before_it_are_over() {
    let accounts = accounts();
    let alice = accounts.protected("alice").await;
    assert_eq!(
        accounts.login_with(with_otp(&alice.app.code(-1))).await.status,
        StatusCode::UNAUTHORIZED,
        "confirmed with"
    );
    let code = alice.app.code(1);
    assert_eq!(accounts.login_with(with_otp(&code)).await.status, StatusCode::OK);
    for used in [&code, &alice.app.code(0), &alice.app.code(-1)] {
        assert_eq!(accounts.login_with(with_otp(used)).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_who_use_one_code_at_once_one_gets_in() {
    for _ in 0..5 {
        let accounts = Arc::new(accounts());
        let alice = accounts.protected("alice").await;
        accounts.database.interleave(vec![1, 0, 2]);
        for body in [
            with_otp(&alice.app.code(0)),
            json!({"username": "alice", "password": PASSWORD, "recovery_code": alice.recovery_codes[0]}),
        ] {
            let attempts = (0..3).map(|_| {
                let (accounts, body) = (accounts.clone(), body.clone());
                tokio::spawn(async move { accounts.login_with(body).await.status })
            });
            let mut statuses: Vec<StatusCode> =
                futures::future::join_all(attempts).await.into_iter().map(Result::unwrap).collect();
            statuses.sort();
            assert_eq!(statuses, [StatusCode::OK, StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED]);
        }
    }
}

#[tokio::test]
async fn a_challenge_is_answered_once_and_in_time() {
    let accounts = accounts();
    let alice = accounts.protected("alice").await;
    let mfa_token = accounts.challenged("alice").await;
    let answer = async |otp: &str| accounts.login_with(json!({"mfa_token": mfa_token, "otp": otp})).await.status;
    assert_eq!(answer(&alice.app.wrong()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(answer(&alice.app.code(0)).await, StatusCode::OK, "a typing error does not end it");
    assert_eq!(answer(&alice.app.code(1)).await, StatusCode::UNAUTHORIZED);

    let late = accounts.challenged("alice").await;
    let challenge = accounts.of_type("challenge").pop().unwrap();
    let key = Key::new(challenge["pk"]["S"].as_str().unwrap(), challenge["sk"]["S"].as_str().unwrap());
    let past = AttributeValue::S(Timestamp::from_unix_millis(Timestamp::now().unix_millis() - 1).to_string());
    let update = Update::existing("challenge", key).set("expires_at", past);
    accounts.table.commit(Transaction::new().update(update)).await.unwrap();
    let status = accounts.login_with(json!({"mfa_token": late, "otp": alice.app.code(1)})).await.status;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_changed_password_ends_what_began_with_the_old_one() {
    let accounts = accounts();
    let alice = accounts.protected("alice").await;
    let mfa_token = accounts.challenged("alice").await;
    let body = json!({"current_password": PASSWORD, "new_password": "a newer, better password"});
    with_token(&accounts.change_password(), &alice.tokens).post("/auth/change-password", &body).await;
    let answer = accounts.login_with(json!({"mfa_token": mfa_token, "otp": alice.app.code(0)})).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_recovery_code_stands_in_once_however_it_is_typed() {
    let accounts = accounts();
    let alice = accounts.protected("alice").await;
    assert_eq!(alice.recovery_codes.len(), 10);
    let with_code = |code: &str| json!({"username": "alice", "password": PASSWORD, "recovery_code": code});
    let typed = alice.recovery_codes[3].to_uppercase().replace('-', " ");
    assert_eq!(accounts.login_with(with_code(&typed)).await.status, StatusCode::OK);
    for used in [&typed, &alice.recovery_codes[3], "", "-", "00000-00000-00000-00000"] {
        let status = accounts.login_with(with_code(used)).await.status;
        assert!(!status.is_success(), "{used}");
    }
    assert_eq!(accounts.login_with(with_code(&alice.recovery_codes[4])).await.status, StatusCode::OK);
    let used = accounts.events_logged().into_iter().filter(|event| event == "mfa.recovery_code_used").count();
    assert_eq!(used, 2);
}

#[tokio::test]
async fn guessing_codes_is_throttled_like_guessing_passwords() {
    let accounts = accounts();
    let alice = accounts.protected("alice").await;
    // To a wait that is longer than what follows takes on any machine.
    for waited in [0, 0, 0, 0, 0, 1, 2, 4, 8] {
        accounts.elapse(waited).await;
        assert_eq!(accounts.login_with(with_otp(&alice.app.wrong())).await.status, StatusCode::UNAUTHORIZED);
    }
    let waits = |answer: &Answer| answer.status == StatusCode::TOO_MANY_REQUESTS;
    let mfa_token = accounts.challenged("alice").await;
    let right = json!({"mfa_token": mfa_token, "otp": alice.app.code(0)});
    assert!(waits(&accounts.login_with(right.clone()).await), "the right password does not make one forget");
    let body = json!({"password": PASSWORD, "otp": alice.app.code(0)});
    assert!(waits(&accounts.disable(&alice.tokens, &body).await), "nor does another endpoint");
    accounts.elapse(16).await;
    assert_eq!(accounts.login_with(right).await.status, StatusCode::OK);
}

#[tokio::test]
async fn guessing_at_the_confirmation_is_throttled_too() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let app = App::set_up(text(&accounts.enroll(&tokens, PASSWORD).await.body, "secret")).await;
    for _ in 0..5 {
        let answer = accounts.confirm(&tokens, &app.wrong()).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::FORBIDDEN, vec!["/otp"]));
    }
    assert_eq!(accounts.confirm(&tokens, &app.code(0)).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn doing_without_it_takes_the_password_and_the_factor_once_more() {
    let accounts = accounts();
    let alice = accounts.protected("alice").await;
    let code = alice.app.code(0);
    let cases = [
        (json!({"password": "wrong", "otp": code}), StatusCode::FORBIDDEN, "/password"),
        (json!({"password": PASSWORD, "otp": alice.app.wrong()}), StatusCode::FORBIDDEN, "/otp"),
        (json!({"password": PASSWORD, "recovery_code": "no"}), StatusCode::FORBIDDEN, "/recovery_code"),
        (json!({"password": PASSWORD}), StatusCode::UNPROCESSABLE_ENTITY, "/otp"),
        (json!({"otp": code}), StatusCode::UNPROCESSABLE_ENTITY, "/password"),
        (
            json!({"password": PASSWORD, "otp": code, "recovery_code": "x"}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "/recovery_code",
        ),
        (json!({"password": PASSWORD, "otp": code, "is_admin": true}), StatusCode::UNPROCESSABLE_ENTITY, "/is_admin"),
    ];
    for (body, status, pointer) in cases {
        let answer = accounts.disable(&alice.tokens, &body).await;
        assert_eq!((answer.status, answer.pointers()), (status, vec![pointer]), "{body}");
    }
    let body = json!({"password": PASSWORD, "otp": code});
    assert_eq!(accounts.disable(&alice.tokens, &body).await.status, StatusCode::NO_CONTENT);
    accounts.signed_in("alice").await;
    let again = accounts.disable(&alice.tokens, &json!({"password": PASSWORD, "otp": alice.app.code(1)})).await;
    assert_eq!((again.status, &again.body["code"]), (StatusCode::CONFLICT, &json!("mfa_not_enabled")));
    assert_eq!(accounts.of_type("second_factor").len(), 0);
}

#[tokio::test]
async fn enrolling_takes_the_password() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let answer = accounts.enroll(&tokens, "wrong").await;
    assert_eq!((answer.status, answer.pointers()), (StatusCode::FORBIDDEN, vec!["/password"]));
    let body = json!({"password": PASSWORD});
    assert_eq!(accounts.mfa_enroll().post("/auth/mfa/enroll", &body).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(accounts.of_type("second_factor").len(), 0);
}

#[tokio::test]
async fn every_step_is_in_the_log() {
    let accounts = accounts();
    let alice = accounts.protected("alice").await;
    let mfa_token = accounts.challenged("alice").await;
    for otp in [alice.app.wrong(), alice.app.code(0)] {
        accounts.login_with(json!({"mfa_token": mfa_token, "otp": otp})).await;
    }
    accounts.disable(&alice.tokens, &json!({"password": PASSWORD, "otp": alice.app.code(1)})).await;
    let expected = [
        "account.registered",
        "login.succeeded",
        "mfa.enrolled",
        "mfa.confirmed",
        "login.challenged",
        "mfa.refused",
        "login.succeeded",
        "mfa.disabled",
    ];
    assert_eq!(accounts.events_logged(), expected);
}

#[tokio::test]
async fn neither_the_secret_nor_a_recovery_code_is_in_the_table() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let enrolment = accounts.enroll(&tokens, PASSWORD).await.body;
    let app = App::set_up(text(&enrolment, "secret")).await;
    let codes = accounts.confirm(&tokens, &app.code(-1)).await.body["recovery_codes"].clone();
    let mfa_token = accounts.challenged("alice").await;
    let stored = json!(accounts.items()).to_string();
    let bytes: String = app.totp.secret().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut secrets = vec![text(&enrolment, "secret").to_owned(), bytes, SEALING_TEXT.to_owned()];
    secrets.push(mfa_token.rsplit('.').next().unwrap().to_owned());
    for code in codes.as_array().unwrap() {
        let code = code.as_str().unwrap();
        secrets.extend([code.to_owned(), code.replace('-', "")]);
    }
    for secret in secrets {
        assert!(!stored.contains(&secret), "{secret}");
    }
}

#[tokio::test]
async fn a_lost_answer_does_not_let_a_code_be_used_again() {
    let accounts = accounts();
    let alice = accounts.protected("alice").await;
    accounts.database.inject(Fault::AnswerLost);
    let code = alice.app.code(0);
    assert_eq!(accounts.login_with(with_otp(&code)).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(accounts.login_with(with_otp(&code)).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(accounts.login_with(with_otp(&alice.app.code(1))).await.status, StatusCode::OK);
}
