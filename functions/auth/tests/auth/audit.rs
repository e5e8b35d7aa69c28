//! The audit log, as an admin reads it.

use auth::{
    audit::{AuditEntry, AuditEvent, Origin},
    consumers::{key_use::KeyUses, user_events::UserEvents},
};
use axum::http::StatusCode;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use shared::{
    auth::KeyUse,
    consumer,
    event::{Envelope, UserDeleted},
    id::Id,
    runtime::Function,
    table::Transaction,
    time::Timestamp,
};
use testing::{Answer, Fault};

use crate::world::{Accounts, PASSWORD, accounts, id, registration, text, with_token};

const NEW_PASSWORD: &str = "a newer, better password";

impl Accounts {
    async fn log(&self, admin: &Value, query: &str) -> Answer {
        with_token(&self.audit(), admin).get(&format!("/api/auth/audit{query}")).await
    }

    /// The entries of an answer's page, newest first.
    async fn entries(&self, admin: &Value, query: &str) -> Vec<Value> {
        let answer = self.log(admin, query).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.body["data"].as_array().unwrap().clone()
    }

    /// What happened to a user, oldest first.
    async fn history(&self, admin: &Value, user: &Value) -> Vec<String> {
        let entries = self.entries(admin, &format!("?limit=100&user_id={}", user["id"])).await;
        entries.iter().rev().map(|entry| text(entry, "event").to_owned()).collect()
    }

    fn logged(&self) -> usize {
        self.of_type("audit").len()
    }
}

#[tokio::test]
async fn everything_that_happens_to_an_account_is_in_its_history() {
    let accounts = accounts();
    let admin = accounts.admin().await;
    let tokens = accounts.newcomer("alice").await;
    accounts.try_password("alice", "wrong").await;
    let refreshed = accounts.refresh(&tokens).await.body;
    with_token(&accounts.update_me(), &refreshed).put("/auth/me", &json!({"name": "Alice"})).await;
    let change = with_token(&accounts.change_password(), &refreshed);
    for present in ["wrong", PASSWORD] {
        let body = json!({"current_password": present, "new_password": NEW_PASSWORD});
        change.post("/auth/change-password", &body).await;
    }
    with_token(&accounts.logout(), &refreshed).post_raw("/auth/logout", "").await;
    let again = accounts.try_password("alice", NEW_PASSWORD).await.body;
    accounts.refresh(&again).await;
    accounts.refresh(&again).await;
    let event = Envelope::new(&UserDeleted { user_id: id(&tokens["user"]), version: 2, by: None }).unwrap();
    consumer::handle(&UserEvents { table: accounts.table.clone() }, event).await.unwrap();
    let expected = [
        "account.registered",
        "login.succeeded",
        "login.failed",
        "session.refreshed",
        "account.updated",
        "password.refused",
        "password.changed",
        "session.ended",
        "login.succeeded",
        "session.refreshed",
        "session.reused",
        "account.disabled",
    ];
    assert_eq!(accounts.history(&admin, &tokens["user"]).await, expected);
}

#[tokio::test]
async fn an_entry_says_who_did_what_when_from_where_and_in_which_request() {
    let accounts = accounts();
    let admin = accounts.admin().await;
    let user = accounts.signed_up("alice").await;
    let before = Timestamp::now();
    let login = accounts.login_from("203.0.113.7").with("x-correlation-id", "the-request");
    let tokens = login.post("/auth/login", &json!({"username": "alice", "password": PASSWORD})).await.body;
    with_token(&accounts.logout(), &tokens).post_raw("/auth/logout", "").await;
    let [ended, began, ..] = accounts
        .entries(&admin, &format!("?user_id={}", user["id"]))
        .await
        .try_into()
        .unwrap_or_else(|entries: Vec<Value>| -> [Value; 3] { panic!("{entries:?}") });
    let at: Timestamp = serde_json::from_value(began["occurred_at"].clone()).unwrap();
    assert!(before <= at && at <= Timestamp::now());
    let session = format!("session:{}", text(&tokens, "refresh_token").split('.').nth(1).unwrap());
    let expected = json!({"id": began["id"], "event": "login.succeeded", "occurred_at": at, "user_id": user["id"],
        "actor": "anybody", "address": "203.0.113.7", "correlation_id": "the-request", "subject": session});
    assert_eq!(began, expected);
    assert_eq!(json!([ended["actor"], ended["subject"]]), json!([format!("user:{}", user["id"]), session]));
}

#[tokio::test]
async fn a_failure_with_an_unknown_name_is_logged_without_the_name() {
    let accounts = accounts();
    let admin = accounts.admin().await;
    accounts.try_password("my-password-by-mistake", "wrong").await;
    let [failed, ..] = &*accounts.entries(&admin, "").await else { panic!("nothing was logged") };
    assert_eq!(json!([failed["event"], failed["user_id"], failed["subject"]]), json!(["login.failed", null, null]));
    assert!(!format!("{:?}", accounts.of_type("audit")).contains("my-password-by-mistake"));
}

#[tokio::test]
async fn a_failure_costs_one_entry_and_an_attempt_that_was_not_admitted_none() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    let before = accounts.logged();
    accounts.database.calls();
    accounts.try_password("alice", "wrong").await;
    let calls = ["UpdateItem", "UpdateItem", "GetItem", "GetItem", "GetItem", "TransactWriteItems"];
    assert_eq!(accounts.database.calls(), calls);
    for _ in 0..20 {
        accounts.try_password("alice", "wrong").await;
    }
    assert_eq!(accounts.logged() - before, 6, "five failures, and that there is a wait");
}

/// The entries on waits, newest first.
async fn waits(accounts: &Accounts, admin: &Value) -> Vec<Value> {
    let entries = accounts.entries(admin, "?limit=100").await;
    entries.into_iter().filter(|entry| entry["event"] == "login.throttled").collect()
}

#[tokio::test]
async fn a_counter_that_begins_to_make_wait_is_logged_once_for_each_wait() {
    let accounts = accounts();
    let admin = accounts.admin().await;
    let user = accounts.signed_up("alice").await;
    let login = accounts.login_from("203.0.113.7").with("x-correlation-id", "the-fifth");
    let guess = json!({"username": "alice", "password": "wrong"});
    for _ in 0..4 {
        login.post("/auth/login", &guess).await;
    }
    assert_eq!(waits(&accounts, &admin).await.len(), 0);
    for _ in 0..4 {
        login.post("/auth/login", &guess).await;
    }
    let [entry] = waits(&accounts, &admin).await.try_into().unwrap();
    let said = ["actor", "address", "subject", "correlation_id"].map(|field| text(&entry, field));
    assert_eq!(said, ["anybody", "203.0.113.7", "throttle:account", "the-fifth"]);
    assert_eq!(entry["user_id"], user["id"]);
    accounts.elapse(1).await;
    for _ in 0..4 {
        login.post("/auth/login", &guess).await;
    }
    assert_eq!(waits(&accounts, &admin).await.len(), 2, "the second wait is longer");
    accounts.elapse(2).await;
    login.post("/auth/login", &json!({"username": "alice", "password": PASSWORD})).await;
    assert_eq!(waits(&accounts, &admin).await.len(), 2, "who gets in makes nobody wait");
}

#[tokio::test]
async fn whichever_counter_begins_to_make_wait_is_logged_and_that_of_an_address_is_no_accounts() {
    let accounts = accounts();
    let admin = accounts.admin().await;
    accounts.signed_up("alice").await;
    let login = accounts.login_from("203.0.113.7");
    let register = accounts.register_from("203.0.113.7");
    for n in 0..30 {
        login.post("/auth/login", &json!({"username": format!("user{n}"), "password": "wrong"})).await;
        login.post("/auth/login", &json!({"mfa_token": "none", "otp": "123456"})).await;
        register.post("/auth/register", &registration("alice")).await;
    }
    let waits = waits(&accounts, &admin).await;
    let mut subjects: Vec<_> = waits.iter().map(|entry| text(entry, "subject")).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["throttle:address", "throttle:registrations", "throttle:tokens"]);
    assert!(waits.iter().all(|entry| entry["user_id"].is_null() && entry["address"] == "203.0.113.7"));
}

#[tokio::test]
async fn what_is_not_logged_does_not_happen() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let before = accounts.logged();
    accounts.database.inject(Fault::Down);
    assert_eq!(accounts.refresh(&tokens).await.status, StatusCode::SERVICE_UNAVAILABLE);
    accounts.database.heal();
    assert_eq!(accounts.logged(), before);
    accounts.database.calls();
    assert_eq!(accounts.refresh(&tokens).await.status, StatusCode::OK);
    assert_eq!(accounts.database.calls(), ["GetItem", "GetItem", "TransactWriteItems"]);
}

#[tokio::test]
async fn an_entry_is_never_written_again() {
    let accounts = accounts();
    let tokens = accounts.newcomer("alice").await;
    let before = accounts.of_type("audit");
    let entry: AuditEntry = {
        let origin = Origin::anybody("203.0.113.7");
        AuditEntry::new(AuditEvent::SignedIn, &origin).user(id(&tokens["user"]))
    };
    accounts.table.commit(Transaction::new().insert(&entry)).await.unwrap();
    let changed = AuditEntry { address: "198.51.100.1".into(), ..entry.clone() };
    let again = accounts.table.commit(Transaction::new().insert(&changed)).await.unwrap_err();
    assert!(again.failed("audit"));
    let refreshed = accounts.refresh(&tokens).await.body;
    with_token(&accounts.logout(), &refreshed).post_raw("/auth/logout", "").await;
    accounts.try_password("alice", "wrong").await;
    let after = accounts.of_type("audit");
    assert!(before.iter().all(|entry| after.contains(entry)));
    assert!(
        after.iter().any(|stored| stored["id"]["S"] == entry.id.to_string() && stored["address"]["S"] == "203.0.113.7")
    );
}

#[tokio::test]
async fn the_log_is_read_page_by_page_and_between_two_moments() {
    let accounts = accounts();
    let admin = accounts.admin().await;
    for n in 0..12 {
        accounts.signed_up(&format!("user{n}")).await;
    }
    let all = accounts.entries(&admin, "?limit=100").await;
    assert_eq!(all.len(), 13);
    let mut paged = Vec::new();
    let mut query = "?limit=5".to_owned();
    loop {
        accounts.database.calls();
        let answer = accounts.log(&admin, &query).await;
        assert_eq!(accounts.database.calls(), ["GetItem", "GetItem", "Query", "Query", "Query", "Query"]);
        paged.extend(answer.body["data"].as_array().unwrap().clone());
        match answer.body["next"].as_str() {
            Some(next) => query = format!("?limit=5&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, all);

    let moment = |entry: &Value| text(entry, "occurred_at").to_owned();
    for (from, to) in [(9, 3), (12, 0), (4, 4), (3, 9)] {
        let (from, to) = (moment(&all[from]), moment(&all[to]));
        let expected: Vec<Value> =
            all.iter().filter(|entry| from <= moment(entry) && moment(entry) < to).cloned().collect();
        assert_eq!(accounts.entries(&admin, &format!("?limit=100&from={from}&to={to}")).await, expected);
        let first = accounts.log(&admin, &format!("?limit=2&from={from}&to={to}")).await;
        if let Some(next) = first.body["next"].as_str() {
            let rest = accounts.entries(&admin, &format!("?limit=100&from={from}&to={to}&cursor={next}")).await;
            assert_eq!([first.body["data"].as_array().unwrap().as_slice(), &rest].concat(), expected);
        }
    }
    let user = all[4]["user_id"].clone();
    let (from, to) = (moment(&all[4]), moment(&all[3]));
    assert_eq!(accounts.entries(&admin, &format!("?user_id={user}&from={from}")).await, [all[4].clone()]);
    assert_eq!(accounts.entries(&admin, &format!("?user_id={user}&from={to}")).await.len(), 0);
}

#[tokio::test]
async fn the_log_is_for_admins_whose_session_has_not_ended() {
    let accounts = accounts();
    let admin = accounts.admin().await;
    let alice = accounts.newcomer("alice").await;
    assert_eq!(accounts.log(&alice, "").await.status, StatusCode::FORBIDDEN);
    assert_eq!(accounts.audit().get("/auth/audit").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(accounts.audit().admin().get("/auth/audit").await.status, StatusCode::UNAUTHORIZED);
    for wrong in ["?user_id=x", "?from=yesterday", "?to=1", "?limit=0", "?cursor=x"] {
        assert_eq!(accounts.log(&admin, wrong).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let users_cursor = accounts.log(&admin, "?limit=1").await.body["next"].as_str().unwrap().to_owned();
    let other_list = format!("?user_id={}&cursor={users_cursor}", alice["user"]["id"]);
    assert_eq!(accounts.log(&admin, &other_list).await.status, StatusCode::BAD_REQUEST);
    with_token(&accounts.logout(), &admin).post_raw("/auth/logout", "").await;
    assert_eq!(accounts.log(&admin, "").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn entries_are_spread_over_partitions_and_end_by_themselves() {
    let accounts = accounts();
    for n in 0..40 {
        accounts.signed_up(&format!("user{n}")).await;
    }
    let entries = accounts.of_type("audit");
    let distinct = |field: &str| {
        entries.iter().map(|entry| entry[field]["S"].as_str().unwrap()).collect::<std::collections::HashSet<_>>().len()
    };
    assert_eq!((distinct("pk"), distinct("gsi1pk")), (40, 4));
    assert!(entries.iter().all(|entry| entry["ttl"]["N"].is_string()));
}

/// A change of a key's record, as the platform table's stream brings it.
fn stream(image: &Value) -> LambdaEvent<Value> {
    let record = json!({"eventID": "1", "eventName": "MODIFY", "eventSource": "aws:dynamodb", "awsRegion": "eu-central-1",
        "eventVersion": "1.1", "dynamodb": {"NewImage": image, "Keys": {}, "SequenceNumber": "1", "SizeBytes": 1,
        "StreamViewType": "NEW_IMAGE", "ApproximateCreationDateTime": 1.0}});
    LambdaEvent::new(json!({ "Records": [record] }), Context::default())
}

#[tokio::test]
async fn tokens_that_are_refused_are_in_the_log_of_whom_they_were() {
    let accounts = accounts();
    let admin = accounts.admin().await;
    let alice = accounts.newcomer("alice").await;
    let ended = accounts.signed_in("alice").await;
    with_token(&accounts.logout(), &ended).post_raw("/auth/logout", "").await;
    accounts.refresh(&ended).await;
    let [account, session, ..] = text(&alice, "refresh_token").split('.').collect::<Vec<_>>()[..] else { panic!() };
    accounts.refresh(&json!({"refresh_token": format!("{account}.{session}.{}", "A".repeat(43))})).await;
    let history = accounts.history(&admin, &alice["user"]).await;
    assert_eq!(history[history.len() - 2..], ["session.refused", "session.refused"]);
    assert!(!history.contains(&"session.reused".to_owned()), "{history:?}");
    let [last, ..] = &*accounts.entries(&admin, "").await else { panic!("nothing was logged") };
    assert_eq!(text(last, "subject"), format!("session:{session}"));

    accounts.refresh(&json!({"refresh_token": "my-password-by-mistake"})).await;
    let guess = json!({"mfa_token": format!("{account}.{}.{}", "0".repeat(32), "A".repeat(43)), "otp": "123456"});
    accounts.login().post("/auth/login", &guess).await;
    let newest = accounts.entries(&admin, "?limit=2").await;
    let said: Vec<_> = newest.iter().map(|entry| (text(entry, "event"), &entry["user_id"])).collect();
    assert_eq!(said, [("mfa.token_refused", &Value::Null), ("session.refused", &Value::Null)]);
    assert!(!format!("{:?}", accounts.of_type("audit")).contains("my-password-by-mistake"));
}

#[tokio::test]
async fn whoever_sends_bad_tokens_does_not_fill_the_log_and_keeps_nobody_from_signing_in() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    let before = accounts.logged();
    let bad = json!({"refresh_token": "x"});
    for _ in 0..30 {
        assert_eq!(accounts.refresh(&bad).await.status, StatusCode::UNAUTHORIZED);
    }
    for _ in 0..30 {
        assert_eq!(accounts.refresh(&bad).await.status, StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(accounts.logged() - before, 31, "and that there is a wait");
    let tokens = accounts.signed_in("alice").await;
    assert_eq!(accounts.refresh(&tokens).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_refused_key_is_in_the_log_beside_its_uses() {
    let accounts = accounts();
    let admin = accounts.admin().await;
    let platform = accounts.database.table("platform");
    let key_id = Id::generate();
    let mut key = KeyUse::none(key_id);
    let now = Timestamp::now();
    (key.last_used_at, key.last_used_from) = (Some(now), Some("203.0.113.7".into()));
    (key.last_refused_at, key.last_refused_from) = (Some(now), Some("198.51.100.1".into()));
    key.last_refused_in = Some("the-request".into());
    platform.commit(Transaction::new().insert(&key)).await.unwrap();
    let [image] = accounts.database.items(&platform).try_into().unwrap();
    let function = KeyUses { table: accounts.table.clone() };
    for _ in 0..2 {
        function.invoke(stream(&image)).await.unwrap();
    }
    let entries = accounts.entries(&admin, "").await;
    let of_key: Vec<_> = entries.iter().filter(|entry| entry["subject"] == format!("api_key:{key_id}")).collect();
    assert_eq!(of_key.len(), 2, "{of_key:?}");
    let refused = of_key.iter().find(|entry| entry["event"] == "api_key.refused").unwrap();
    let said = ["actor", "address", "correlation_id"].map(|field| text(refused, field));
    assert_eq!(said, ["anybody", "198.51.100.1", "the-request"]);
}

#[tokio::test]
async fn the_use_of_a_key_is_logged_once_however_often_the_stream_tells_of_it() {
    let accounts = accounts();
    let admin = accounts.admin().await;
    let platform = accounts.database.table("platform");
    let key_id = Id::generate();
    let mut key = KeyUse::none(key_id);
    key.last_used_at = Some(Timestamp::now());
    key.last_used_from = Some("203.0.113.7".into());
    key.last_used_in = Some("the-request".into());
    platform.commit(Transaction::new().insert(&key)).await.unwrap();
    let [image] = accounts.database.items(&platform).try_into().unwrap();
    let function = KeyUses { table: accounts.table.clone() };
    for _ in 0..2 {
        function.invoke(stream(&image)).await.unwrap();
    }
    function.invoke(stream(&json!({"pk": {"S": "RATE#1#2"}, "sk": {"S": "RATE"}}))).await.unwrap();
    let used: Vec<Value> = accounts.entries(&admin, "").await;
    let used: Vec<&Value> = used.iter().filter(|entry| entry["event"] == "api_key.used").collect();
    let [entry] = used[..] else { panic!("{used:?}") };
    let name = format!("api_key:{key_id}");
    let said = ["actor", "subject", "address", "correlation_id"].map(|field| text(entry, field));
    assert_eq!(said, [&*name, &name, "203.0.113.7", "the-request"]);
    assert_eq!(entry["occurred_at"], json!(key.last_used_at));

    key.last_used_at = Some(Timestamp::now().plus(std::time::Duration::from_secs(3600)));
    platform.commit(Transaction::new().upsert(&key)).await.unwrap();
    let [image] = accounts.database.items(&platform).try_into().unwrap();
    accounts.database.inject(Fault::Down);
    assert!(function.invoke(stream(&image)).await.is_err(), "the stream brings it again");
    accounts.database.heal();
    function.invoke(stream(&image)).await.unwrap();
    assert_eq!(accounts.of_type("audit").iter().filter(|entry| entry["event"]["S"] == "api_key.used").count(), 2);
}

#[tokio::test]
async fn a_use_that_was_noted_in_the_keys_own_record_is_logged_too() {
    let accounts = accounts();
    let admin = accounts.admin().await;
    let text_of = |text: &str| json!({"S": text});
    let image = json!({
        "pk": text_of("API_KEY#42"), "sk": text_of("API_KEY"), "type": text_of("api_key"), "id": {"N": "42"},
        "name": text_of("test"), "scopes": {"L": [text_of("registry:read")]}, "requests_per_second": {"N": "5"},
        "secret_sha256": text_of("9f86"), "created_at": text_of("2026-01-15T09:00:00.000Z"), "expires_at": {"NULL": true},
        "revoked_at": {"NULL": true}, "last_used_at": text_of("2026-01-15T10:30:45.123Z"),
        "last_used_from": text_of("203.0.113.7"), "last_used_in": text_of("the-request"),
        "recent_uses": {"M": {"203.0.113.7": text_of("2026-01-15T10:30:45.123Z")}}, "version": {"N": "1"},
    });
    let function = KeyUses { table: accounts.table.clone() };
    function.invoke(stream(&image)).await.unwrap();
    // Its revocation, which leaves the time of the use where it is.
    let mut revoked = image.clone();
    revoked["revoked_at"] = text_of("2026-01-15T11:00:00.000Z");
    for noted_once in ["last_used_from", "last_used_in", "recent_uses"] {
        revoked.as_object_mut().unwrap().remove(noted_once);
    }
    function.invoke(stream(&revoked)).await.unwrap();
    let entries = accounts.entries(&admin, "").await;
    let used: Vec<_> = entries.iter().filter(|entry| entry["event"] == "api_key.used").collect();
    let [entry] = used[..] else { panic!("{used:?}") };
    let said = ["occurred_at", "subject", "address", "correlation_id"].map(|field| text(entry, field));
    assert_eq!(said, ["2026-01-15T10:30:45.123Z", "api_key:42", "203.0.113.7", "the-request"]);
}
