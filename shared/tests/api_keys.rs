//! API keys, as an endpoint that accepts them meets them.

#![allow(clippy::unwrap_used)]

use axum::{Extension, Router, routing::get};
use lambda_http::request::RequestContext;
use serde_json::json;
use shared::{
    auth::{ApiKeyRecord, ApiKeySecret, Caller, KeyUse, Scope},
    event::Role,
    http::Problem,
    id::Id,
    table::{Table, Transaction},
    time::Timestamp,
};
use testing::{Api, Database, Fault};

async fn read(caller: Caller) -> Result<String, Problem> {
    caller.must_have_scope(Scope::RegistryRead)?;
    Ok(caller.subject())
}

fn api(table: &Table) -> Api {
    Api::accepting_keys(Router::new().route("/", get(read)), table)
}

/// Stores a key and answers with its text.
async fn key(table: &Table, change: impl FnOnce(&mut ApiKeyRecord)) -> String {
    let (id, secret) = (Id::generate(), ApiKeySecret::generate().unwrap());
    let mut record = ApiKeyRecord::new(id, &secret, "test", &[Scope::RegistryRead], 5, None);
    change(&mut record);
    table.commit(Transaction::new().insert(&record)).await.unwrap();
    secret.key_text(id)
}

async fn status(table: &Table, key: &str) -> u16 {
    api(table).with("x-api-key", key).get("/").await.status.as_u16()
}

#[tokio::test]
async fn a_key_opens_what_its_scopes_name_and_an_admin_needs_none() {
    let table = Database::new().table("platform");
    assert_eq!(status(&table, &key(&table, |_| ()).await).await, 200);
    let other = key(&table, |record| record.scopes = vec![Scope::SensorsWrite]).await;
    assert_eq!(status(&table, &other).await, 403);
    assert_eq!(api(&table).admin().get("/").await.status, 200);
    assert_eq!(api(&table).customer(1).get("/").await.status, 403);
}

#[tokio::test]
async fn a_key_that_is_revoked_expired_or_not_quite_right_opens_nothing() {
    let table = Database::new().table("platform");
    let good = key(&table, |_| ()).await;
    let revoked = key(&table, |record| *record = record.revoked()).await;
    let expired = key(&table, |record| record.expires_at = Some(Timestamp::now())).await;
    let wrong_end = format!("{}A", &good[..good.len() - 1]);
    let other_id = good.replacen(|c: char| c.is_ascii_digit(), "9", 1);
    let long = format!("{good}{}", "x".repeat(100_000));
    for wrong in [&revoked, &expired, &wrong_end, &other_id, &long, "", "qsk_", "qsk_1_", "qsk_99999999999999999999_x"]
    {
        if *wrong != good {
            assert_eq!(status(&table, wrong).await, 401, "{wrong}");
        }
    }
}

#[tokio::test]
async fn a_key_that_asks_too_often_has_to_wait_and_another_has_not() {
    let table = Database::new().table("platform");
    let (busy, calm) = (key(&table, |_| ()).await, key(&table, |_| ()).await);
    let mut refused = None;
    // Two windows of ten seconds may be touched, five requests a second each.
    for _ in 0..=100 {
        let answer = api(&table).with("x-api-key", &busy).get("/").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    assert!(refused.unwrap().headers.contains_key("retry-after"));
    assert_eq!(status(&table, &calm).await, 200);
}

#[tokio::test]
async fn keys_cannot_be_checked_while_their_table_is_away() {
    let database = Database::new();
    let table = database.table("platform");
    let key = key(&table, |_| ()).await;
    database.inject(Fault::Down);
    assert_eq!(status(&table, &key).await, 503);
}

#[tokio::test]
async fn checking_a_key_is_two_reads_and_one_count() {
    let database = Database::new();
    let table = database.table("platform");
    let key = key(&table, |_| ()).await;
    database.calls();
    status(&table, &key).await;
    let reads_and_count = ["GetItem", "UpdateItem", "GetItem"];
    assert_eq!(database.calls(), [&reads_and_count[..], &["UpdateItem"]].concat(), "the first use is noted down too");
    status(&table, &key).await;
    assert_eq!(database.calls(), reads_and_count);
}

#[tokio::test]
async fn a_keys_last_use_is_noted_once_an_hour() {
    let database = Database::new();
    let table = database.table("platform");
    let text = key(&table, |_| ()).await;
    assert_eq!(noted(&table, &text).await.last_used_at, None);
    let before = Timestamp::now();
    assert_eq!(api(&table).with("x-api-key", &text).with("x-correlation-id", "first").get("/").await.status, 200);
    let used = noted(&table, &text).await;
    assert!(used.last_used_at.unwrap() >= before);
    assert_eq!([used.last_used_from.as_deref(), used.last_used_in.as_deref()], [Some("unknown"), Some("first")]);
    assert_eq!(status(&table, &text).await, 200);
    assert_eq!(noted(&table, &text).await, used, "not again within the hour");
}

#[tokio::test]
async fn an_old_use_is_noted_anew_and_concurrent_first_uses_all_pass() {
    let database = Database::new();
    let table = database.table("platform");
    let an_hour_ago = Timestamp::from_unix_millis(Timestamp::now().unix_millis() - 3_600_001);
    let text = key(&table, |_| ()).await;
    let mut used = KeyUse::none(id_of(&text));
    used.last_used_at = Some(an_hour_ago);
    table.commit(Transaction::new().insert(&used)).await.unwrap();
    database.interleave(vec![1]);
    let statuses = futures::future::join_all((0..5).map(|_| status(&table, &text))).await;
    assert_eq!(statuses, [200; 5]);
    assert!(noted(&table, &text).await.last_used_at.unwrap() > an_hour_ago);
    let counts =
        database.items(&table).into_iter().filter(|item| item["pk"]["S"].as_str().unwrap().starts_with("RATE#"));
    let counted: u32 = counts.map(|item| item["requests"]["N"].as_str().unwrap().parse::<u32>().unwrap()).sum();
    assert_eq!(counted, 5);
}

/// Uses a key from this address; the status that is answered.
async fn from(table: &Table, address: &str, key: &str) -> u16 {
    let context = json!({"identity": {"sourceIp": address}, "httpMethod": "GET"});
    let context: RequestContext = serde_json::from_value(context).unwrap();
    let router = Router::new().route("/", get(read)).layer(Extension(context));
    Api::accepting_keys(router, table).with("x-api-key", key).get("/").await.status.as_u16()
}

fn id_of(key: &str) -> Id {
    key.split('_').nth(1).unwrap().parse().unwrap()
}

/// What is noted down of a key's uses now.
async fn noted(table: &Table, key: &str) -> KeyUse {
    KeyUse::of(table, id_of(key)).await.unwrap()
}

#[tokio::test]
async fn what_a_key_is_good_for_is_written_by_none_of_its_uses() {
    let database = Database::new();
    let table = database.table("platform");
    let good = key(&table, |_| ()).await;
    let revoked = key(&table, |record| *record = record.revoked()).await;
    let before = database.items_of_type(&table, "api_key");
    assert_eq!([status(&table, &good).await, status(&table, &revoked).await], [200, 401]);
    assert_eq!(database.items_of_type(&table, "api_key"), before);
    assert_eq!(database.items_of_type(&table, "key_use").len(), 2);
}

#[tokio::test]
async fn a_use_from_a_new_address_is_noted_at_once() {
    let database = Database::new();
    let table = database.table("platform");
    let key = key(&table, |record| record.requests_per_second = 1000).await;
    let mut before = None;
    for address in ["203.0.113.7", "198.51.100.1", "2001:db8:1:2::1"] {
        assert_eq!(from(&table, address, &key).await, 200);
        let used = noted(&table, &key).await;
        assert_eq!(used.last_used_from.as_deref(), Some(address));
        assert!(used.last_used_at > before, "no two uses are taken for one");
        before = used.last_used_at;
    }
    let after = noted(&table, &key).await;
    for known in ["203.0.113.7", "2001:db8:1:2:ffff::9"] {
        assert_eq!(from(&table, known, &key).await, 200);
    }
    assert_eq!(noted(&table, &key).await, after, "a known network is not noted again");
}

#[tokio::test]
async fn of_many_addresses_sixteen_are_noted_in_an_hour_and_all_let_in() {
    let database = Database::new();
    let table = database.table("platform");
    let key = key(&table, |record| record.requests_per_second = 1000).await;
    database.interleave(vec![1]);
    let addresses: Vec<String> = (0..40).map(|n| format!("203.0.113.{n}")).collect();
    let statuses = futures::future::join_all(addresses.iter().map(|address| from(&table, address, &key))).await;
    assert_eq!(statuses, [200; 40]);
    let [used] = database.items_of_type(&table, "key_use").try_into().unwrap();
    assert_eq!(used["recent_uses"]["M"].as_object().unwrap().len(), 16);
}

#[tokio::test]
async fn a_refused_key_is_noted_once_an_hour_and_an_unknown_one_is_nobodys() {
    let database = Database::new();
    let table = database.table("platform");
    let good = key(&table, |_| ()).await;
    let revoked = key(&table, |record| *record = record.revoked()).await;
    let wrong = format!("{}{}", &good[..good.len() - 43], "A".repeat(43));
    for (refused, key) in [(&wrong, &good), (&revoked, &revoked)] {
        assert_eq!(from(&table, "203.0.113.7", refused).await, 401);
        let noted_down = noted(&table, key).await;
        assert_eq!(noted_down.last_refused_from.as_deref(), Some("203.0.113.7"));
        assert_eq!(noted_down.last_used_at, None);
        database.calls();
        assert_eq!(from(&table, "203.0.113.8", refused).await, 401);
        assert_eq!(database.calls(), ["GetItem", "GetItem"]);
        assert_eq!(noted(&table, key).await, noted_down);
    }
    database.calls();
    assert_eq!(from(&table, "203.0.113.7", &format!("qsk_404_{}", "A".repeat(43))).await, 401);
    assert_eq!(database.calls(), ["GetItem"]);
    assert_eq!(from(&table, "203.0.113.7", &good).await, 200);
}

#[test]
fn a_key_for_readings_alone_is_a_devices_and_any_other_a_services() {
    let secret = ApiKeySecret::generate().unwrap();
    let role = |scopes: &[Scope]| ApiKeyRecord::new(Id::generate(), &secret, "test", scopes, 5, None).role();
    assert_eq!(role(&[Scope::SensorsWrite]), Role::Device);
    assert_eq!(role(&[Scope::SensorsWrite, Scope::RegistryRead]), Role::Service);
}
