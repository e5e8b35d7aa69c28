//! API keys in the hands of their admins.

use auth::http::{create_key, list_keys, revoke_key};
use serde_json::{Value, json};
use shared::table::Table;
use testing::{Api, Database};

fn create(platform: &Table) -> Api {
    Api::new(create_key::router(platform.clone()))
}

fn list(platform: &Table) -> Api {
    Api::new(list_keys::router(platform.clone()))
}

fn revoke(platform: &Table) -> Api {
    Api::new(revoke_key::router(platform.clone()))
}

fn wish() -> Value {
    json!({"name": "warehouse", "scopes": ["sensors:write"], "requests_per_second": 7})
}

#[tokio::test]
async fn a_key_is_shown_once_and_listed_without_its_secret() {
    let database = Database::new();
    let platform = database.table("platform");
    let created = create(&platform).admin().post("/api/auth/keys", &wish()).await;
    assert_eq!(created.status, 201);
    let key = created.body["key"].as_str().unwrap();
    assert!(key.starts_with(&format!("qsk_{}_", created.body["id"])));
    let listed = list(&platform).admin().get("/api/auth/keys").await;
    assert_eq!(listed.body["data"][0]["name"], "warehouse");
    assert_eq!(listed.body["data"][0]["requests_per_second"], 7);
    let secret = key.rsplit('_').next().unwrap();
    let everything = format!("{}{:?}", listed.body, database.items(&platform));
    assert!(!everything.contains(secret) && !listed.body.to_string().contains("sha256"));
}

#[tokio::test]
async fn a_repeated_wish_makes_one_key_and_does_not_show_it_again() {
    let database = Database::new();
    let platform = database.table("platform");
    let api = create(&platform).admin().with("idempotency-key", "k1");
    let first = api.post("/api/auth/keys", &wish()).await;
    let again = api.post("/api/auth/keys", &wish()).await;
    assert_eq!((again.status, &again.body["id"]), (first.status, &first.body["id"]));
    assert_eq!(again.body["key"], Value::Null);
    assert_eq!(list(&platform).admin().get("/api/auth/keys").await.body["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_revoked_key_stays_listed_and_revoked() {
    let platform = Database::new().table("platform");
    let created = create(&platform).admin().post("/api/auth/keys", &wish()).await;
    let path = format!("/api/auth/keys/{}", created.body["id"]);
    for _ in 0..2 {
        assert_eq!(revoke(&platform).admin().delete(&path).await.status, 204);
    }
    let listed = list(&platform).admin().get("/api/auth/keys").await;
    assert!(listed.body["data"][0]["revoked_at"].is_string());
    assert_eq!(revoke(&platform).admin().delete("/api/auth/keys/77").await.status, 404);
}

#[tokio::test]
async fn keys_are_for_admins() {
    let platform = Database::new().table("platform");
    assert_eq!(create(&platform).customer(5).post("/api/auth/keys", &wish()).await.status, 403);
    assert_eq!(list(&platform).customer(5).get("/api/auth/keys").await.status, 403);
    assert_eq!(revoke(&platform).customer(5).delete("/api/auth/keys/1").await.status, 403);
    assert_eq!(create(&platform).post("/api/auth/keys", &wish()).await.status, 401);
}

#[tokio::test]
async fn a_wish_that_makes_no_sense_is_refused_with_a_pointer() {
    let platform = Database::new().table("platform");
    let wrong = [
        ("/name", json!("")),
        ("/scopes", json!([])),
        ("/scopes/0", json!(["everything"])),
        ("/requests_per_second", json!(0)),
        ("/expires_at", json!("2020-01-01T00:00:00Z")),
        ("/role", json!("admin")),
        ("/id", json!(7)),
    ];
    for (pointer, value) in wrong {
        let mut body = wish();
        body[pointer.split('/').nth(1).unwrap()] = value;
        let answer = create(&platform).admin().post("/api/auth/keys", &body).await;
        assert_eq!((answer.status.as_u16(), answer.pointers()), (422, vec![pointer]), "{}", answer.body);
    }
}
