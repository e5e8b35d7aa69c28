use auth::store;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::StatusCode;
use futures::future::join_all;
use serde_json::{Value, json};
use shared::table::{Key, Transaction, Update};
use testing::{Answer, Fault};

use crate::world::{Accounts, PASSWORD, accounts, registration, with_token};

const HOUR: i64 = 3600;

fn wait(answer: &Answer) -> u32 {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.body);
    answer.headers["retry-after"].to_str().unwrap().parse().unwrap()
}

async fn login_from(accounts: &Accounts, address: &str, username: &str, password: &str) -> Answer {
    let body = json!({"username": username, "password": password});
    accounts.login_from(address).post("/api/auth/login", &body).await
}

impl Accounts {
    fn failures(&self) -> Vec<Value> {
        let is_counter = |item: &Value| item["pk"]["S"].as_str().unwrap().starts_with("THROTTLE#");
        self.items().into_iter().filter(is_counter).collect()
    }

    /// What the counters have come to.
    fn counts(&self) -> Vec<(Value, Value)> {
        self.failures().iter().map(|counter| (counter["pk"].clone(), counter["failures"].clone())).collect()
    }

    /// Lets time pass for the counters of failed attempts.
    pub async fn elapse(&self, seconds: i64) {
        for counter in self.failures() {
            let text = |name: &str| counter[name]["S"].as_str().unwrap().to_owned();
            let failed_at: i64 = counter["last_failed_at"]["N"].as_str().unwrap().parse().unwrap();
            let failed_at = AttributeValue::N((failed_at - seconds * 1000).to_string());
            let update = Update::existing("counter", Key::new(text("pk"), text("sk"))).set("last_failed_at", failed_at);
            self.table.commit(Transaction::new().update(update)).await.unwrap();
        }
    }

    async fn fail(&self, username: &str, times: usize) {
        for _ in 0..times {
            assert_eq!(self.try_password(username, "wrong").await.status, StatusCode::UNAUTHORIZED);
        }
    }
}

#[tokio::test]
async fn the_wait_doubles_with_every_further_failure() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    accounts.fail("alice", 5).await;
    for expected in [1, 2, 4, 8, 16] {
        assert_eq!(wait(&accounts.try_password("alice", "wrong").await), expected);
        accounts.elapse(i64::from(expected)).await;
        accounts.fail("alice", 1).await;
    }
}

#[tokio::test]
async fn the_right_password_waits_too_and_works_afterwards() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    accounts.fail("alice", 5).await;
    wait(&accounts.try_password("ALICE", PASSWORD).await);
    let form = accounts.form(&format!("username=alice&password={PASSWORD}")).await;
    wait(&form);
    accounts.elapse(1).await;
    accounts.signed_in("alice").await;
}

#[tokio::test]
async fn a_refused_attempt_costs_three_updates_and_counts_for_nothing() {
    let accounts = accounts();
    accounts.fail("alice", 5).await;
    let before = accounts.counts();
    accounts.database.calls();
    wait(&accounts.try_password("alice", "wrong").await);
    assert_eq!(accounts.database.calls(), ["UpdateItem"; 3]);
    assert_eq!(accounts.counts(), before);
}

#[tokio::test]
async fn names_that_no_account_has_are_throttled_alike() {
    let accounts = accounts();
    accounts.fail("nobody", 5).await;
    assert_eq!(wait(&accounts.try_password("nobody", "wrong").await), 1);
}

#[tokio::test]
async fn one_account_does_not_wait_for_another() {
    let accounts = accounts();
    accounts.signed_up("bob").await;
    accounts.fail("alice", 5).await;
    accounts.signed_in("bob").await;
}

#[tokio::test]
async fn signing_in_forgets_the_accounts_failures() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    accounts.fail("alice", 4).await;
    accounts.signed_in("alice").await;
    accounts.fail("alice", 4).await;
    accounts.signed_in("alice").await;
}

#[tokio::test]
async fn failures_are_forgotten_after_an_hour_even_if_their_item_is_still_there() {
    let accounts = accounts();
    accounts.fail("alice", 5).await;
    accounts.elapse(HOUR + 1).await;
    accounts.fail("alice", 5).await;
    assert_eq!(wait(&accounts.try_password("alice", "wrong").await), 1);
}

#[tokio::test]
async fn an_address_that_tries_many_names_waits_and_others_do_not() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    for n in 0..30 {
        let answer = login_from(&accounts, "203.0.113.7", &format!("user{n}"), "wrong").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    wait(&login_from(&accounts, "203.0.113.7", "alice", PASSWORD).await);
    assert_eq!(login_from(&accounts, "203.0.113.8", "alice", PASSWORD).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_address_is_api_gateways_and_not_a_header_of_the_client() {
    let accounts = accounts();
    for n in 0..31 {
        let login = accounts.login_from("203.0.113.7").with("x-forwarded-for", &format!("198.51.100.{n}"));
        login.post("/api/auth/login", &json!({"username": format!("user{n}"), "password": "wrong"})).await;
    }
    wait(&login_from(&accounts, "203.0.113.7", "alice", PASSWORD).await);
}

#[tokio::test]
async fn counters_expire_and_name_nobody() {
    let accounts = accounts();
    login_from(&accounts, "203.0.113.7", "alice", "wrong").await;
    let counters = accounts.failures();
    assert_eq!(counters.len(), 2);
    assert!(counters.iter().all(|counter| counter["ttl"]["N"].is_string()));
    let text = format!("{counters:?}");
    assert!(!text.contains("alice") && !text.contains("203.0.113.7"), "{text}");
}

#[tokio::test]
async fn guessing_the_current_password_is_throttled_as_well() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let change = with_token(&accounts.change_password(), &tokens);
    let guess = json!({"current_password": "wrong", "new_password": "a new password"});
    for _ in 0..5 {
        assert_eq!(change.post("/api/auth/change-password", &guess).await.status, StatusCode::FORBIDDEN);
    }
    let right = json!({"current_password": PASSWORD, "new_password": "a new password"});
    assert_eq!(wait(&change.post("/api/auth/change-password", &right).await), 1);
    let stored = store::account_id(&accounts.table, "alice").await.unwrap().unwrap();
    let hash = store::password_hash(&accounts.table, stored).await.unwrap();
    assert!(auth::password::verify(PASSWORD, hash.as_deref()));
}

/// Sends all these passwords at once, so that none has failed before the last is let through or not.
async fn burst(accounts: &Accounts, passwords: &[&str]) -> Vec<Answer> {
    accounts.database.interleave(vec![1]);
    let answers = join_all(passwords.iter().map(|password| accounts.try_password("alice", password))).await;
    accounts.database.interleave(Vec::new());
    answers
}

/// How many of these answers say that the password was looked at.
fn looked_at(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.status != StatusCode::TOO_MANY_REQUESTS).count()
}

/// An answer without what differs from request to request.
fn said(answer: &Answer) -> (StatusCode, Value, String) {
    let mut body = answer.body.clone();
    body.as_object_mut().unwrap().remove("correlation_id");
    let headers = answer.headers.iter().filter(|(name, _)| *name != "x-correlation-id");
    (answer.status, body, format!("{:?}", headers.collect::<Vec<_>>()))
}

#[tokio::test]
async fn of_many_guesses_at_once_no_more_are_looked_at_than_one_by_one() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    let answers = burst(&accounts, &["wrong"; 20]).await;
    assert_eq!(looked_at(&answers), 5);
    assert_eq!(accounts.of_type("audit").len(), 7, "the registration, five failures, and that there is a wait");
}

#[tokio::test]
async fn a_right_guess_among_too_many_at_once_is_answered_like_the_wrong_ones() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    let answers = burst(&accounts, &[["wrong"; 19].as_slice(), &[PASSWORD]].concat()).await;
    let (right, wrong) = answers.split_last().unwrap();
    assert_eq!(wait(right), 1);
    let throttled: Vec<&Answer> = wrong.iter().filter(|answer| answer.status == right.status).collect();
    assert_eq!(throttled.len(), 14);
    for wrong in throttled {
        assert_eq!(said(right), said(wrong));
    }
    assert_eq!(accounts.of_type("session").len(), 0);
}

#[tokio::test]
async fn when_a_wait_is_over_one_of_many_at_once_is_looked_at() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    accounts.fail("alice", 5).await;
    for expected in [1, 2, 4] {
        accounts.elapse(expected).await;
        assert_eq!(looked_at(&burst(&accounts, &["wrong"; 20]).await), 1);
    }
}

#[tokio::test]
async fn failures_of_more_than_an_hour_ago_are_forgotten_once_however_many_guess_then() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    for failures in [1, 4, 5, 7] {
        accounts.fail("alice", failures.min(5)).await;
        for _ in 5..failures {
            accounts.elapse(4).await;
            accounts.fail("alice", 1).await;
        }
        accounts.elapse(HOUR + 1).await;
        assert_eq!(looked_at(&burst(&accounts, &["wrong"; 20]).await), 5, "after {failures}");
        accounts.elapse(HOUR + 1).await;
    }
}

#[tokio::test]
async fn a_success_after_an_hour_does_not_let_more_guesses_pass() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    accounts.fail("alice", 5).await;
    accounts.elapse(HOUR + 1).await;
    let answers = burst(&accounts, &[[PASSWORD].as_slice(), &["wrong"; 19]].concat()).await;
    assert_eq!((answers[0].status, looked_at(&answers)), (StatusCode::OK, 5));
    let still_free = 1;
    assert_eq!(looked_at(&burst(&accounts, &["wrong"; 20]).await), still_free, "the four failures still count");
}

#[tokio::test]
async fn several_who_sign_in_at_once_with_the_right_password_all_get_in() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    for _ in 0..20 {
        let answers = burst(&accounts, &[PASSWORD; 5]).await;
        assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    }
    let counted = accounts.failures();
    assert!(counted.iter().all(|counter| counter["failures"]["N"] == "0"), "{counted:?}");
}

#[tokio::test]
async fn of_many_names_at_once_no_more_are_looked_at_for_an_address_than_one_by_one() {
    let accounts = accounts();
    accounts.database.interleave(vec![1]);
    let names: Vec<String> = (0..50).map(|n| format!("user{n}")).collect();
    let answers = join_all(names.iter().map(|name| login_from(&accounts, "203.0.113.7", name, "wrong"))).await;
    assert_eq!(looked_at(&answers), 30);
}

#[tokio::test]
async fn who_has_one_ipv6_address_has_its_whole_network() {
    let accounts = accounts();
    for n in 0..30 {
        let address = format!("2001:db8:1:2::{n:x}");
        assert_eq!(
            login_from(&accounts, &address, &format!("user{n}"), "wrong").await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    wait(&login_from(&accounts, "2001:db8:1:2:ffff::1", "alice", "wrong").await);
    let neighbour = login_from(&accounts, "2001:db8:1:3::1", "alice", "wrong").await;
    assert_eq!(neighbour.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_address_that_waits_keeps_no_account_waiting() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    for n in 0..30 {
        login_from(&accounts, "203.0.113.7", &format!("user{n}"), "wrong").await;
    }
    for _ in 0..10 {
        wait(&login_from(&accounts, "203.0.113.7", "alice", "wrong").await);
    }
    let owner = login_from(&accounts, "203.0.113.8", "alice", PASSWORD).await;
    assert_eq!(owner.status, StatusCode::OK);
}

#[tokio::test]
async fn signing_in_costs_an_address_nothing() {
    let accounts = accounts();
    for n in 0..40 {
        accounts.newcomer(&format!("user{n}")).await;
    }
}

#[tokio::test]
async fn attempts_are_counted_outside_of_transactions_which_would_make_each_other_fail() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    accounts.database.calls();
    accounts.signed_in("alice").await;
    let expected = [
        &["UpdateItem"; 2][..], // counted
        &["GetItem"; 3],
        &["UpdateItem"; 2], // and taken back
        &["TransactWriteItems"],
    ];
    assert_eq!(accounts.database.calls(), expected.concat());
}

#[tokio::test]
async fn an_attempt_that_cannot_be_counted_is_not_looked_at() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    accounts.database.inject(Fault::Down);
    accounts.database.calls();
    assert_eq!(accounts.try_password("alice", PASSWORD).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(accounts.database.calls(), ["UpdateItem"]);
}

/// Asks for an account from this address.
async fn register_from(accounts: &Accounts, address: &str, registration: &Value) -> Answer {
    accounts.register_from(address).post("/api/auth/register", registration).await
}

#[tokio::test]
async fn who_asks_for_what_others_have_again_and_again_has_to_wait() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    let (prober, other) = ("203.0.113.7", "203.0.113.8");
    for n in 0..30 {
        let mut wish = registration(&format!("prober{n}"));
        wish["email"] = json!("alice@example.com");
        assert_eq!(register_from(&accounts, prober, &wish).await.status, StatusCode::CONFLICT);
    }
    let before = accounts.items();
    accounts.database.calls();
    assert_eq!(wait(&register_from(&accounts, prober, &registration("bob")).await), 1);
    assert_eq!(accounts.database.calls(), ["UpdateItem"]);
    assert_eq!(accounts.items(), before);
    assert_eq!(register_from(&accounts, other, &registration("carol")).await.status, StatusCode::CREATED);
    assert_eq!(
        login_from(&accounts, prober, "alice", PASSWORD).await.status,
        StatusCode::OK,
        "signing in is counted apart"
    );
    accounts.elapse(1).await;
    assert_eq!(register_from(&accounts, prober, &registration("bob")).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn signing_up_costs_an_address_nothing_nor_does_what_is_not_its_fault() {
    let accounts = accounts();
    let counted = || accounts.failures().iter().map(|counter| counter["failures"]["N"].clone()).collect::<Vec<_>>();
    for n in 0..35 {
        let key = format!("k{n}");
        let api = accounts.register().with("idempotency-key", &key);
        for _ in 0..2 {
            let answer = api.post("/api/auth/register", &registration(&format!("user{n}"))).await;
            assert_eq!(answer.status, StatusCode::CREATED);
        }
    }
    let wrong = json!({"username": "x", "email": "x", "password": "x"});
    for _ in 0..35 {
        let answer = accounts.register().post("/api/auth/register", &wrong).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(counted(), ["0"]);
    let registrations = (0..25).map(|n| {
        let register = accounts.register();
        async move { register.post("/api/auth/register", &registration(&format!("crowd{n}"))).await.status }
    });
    accounts.database.interleave(vec![1]);
    assert!(join_all(registrations).await.into_iter().all(|status| status == StatusCode::CREATED));
    accounts.database.interleave(Vec::new());
    assert_eq!(counted(), ["0"]);
}
