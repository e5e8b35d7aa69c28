//! API keys in the hands of their admins.

use auth::{
    api_key::Keys,
    http::{create_key, list_keys, revoke_key},
};
use serde_json::{Value, json};
use shared::{
    auth::{ApiKeyRecord, KeyUse},
    id::Id,
    table::{Table, Transaction},
    time::Timestamp,
};
use testing::{Answer, Api, Fault};

use crate::world::{Accounts, accounts, with_token};

/// The keys' endpoints, and an admin's tokens.
struct World {
    accounts: Accounts,
    platform: Table,
    admin: Value,
}

async fn world() -> World {
    let accounts = accounts();
    let platform = accounts.database.table("platform");
    let admin = accounts.admin().await;
    World { accounts, platform, admin }
}

impl World {
    fn keys(&self) -> Keys {
        Keys { platform: self.platform.clone(), auth: self.accounts.table.clone() }
    }

    fn create(&self) -> Api {
        Api::new(create_key::router(self.keys()))
    }

    fn list(&self) -> Api {
        Api::new(list_keys::router(self.keys()))
    }

    fn revoke(&self) -> Api {
        Api::new(revoke_key::router(self.keys()))
    }

    async fn make(&self, wish: &Value) -> Answer {
        with_token(&self.create(), &self.admin).post("/api/auth/keys", wish).await
    }

    async fn listed(&self) -> Value {
        with_token(&self.list(), &self.admin).get("/api/auth/keys").await.body["data"].clone()
    }

    async fn end(&self, id: &Value) -> u16 {
        with_token(&self.revoke(), &self.admin).delete(&format!("/api/auth/keys/{id}")).await.status.as_u16()
    }

    fn logged(&self, event: &str) -> Vec<Value> {
        self.accounts.of_type("audit").into_iter().filter(|entry| entry["event"]["S"] == event).collect()
    }
}

fn wish() -> Value {
    json!({"name": "warehouse", "client": "acme", "scopes": ["sensors:write"], "requests_per_second": 7})
}

#[tokio::test]
async fn a_key_is_shown_once_and_listed_without_its_secret() {
    let world = world().await;
    let created = world.make(&wish()).await;
    assert_eq!(created.status, 201);
    let key = created.body["key"].as_str().unwrap();
    assert!(key.starts_with(&format!("qsk_{}_", created.body["id"])));
    let listed = world.listed().await;
    let shown = ["name", "client", "role", "requests_per_second"].map(|field| &listed[0][field]);
    assert_eq!(shown, [&json!("warehouse"), &json!("acme"), &json!("device"), &json!(7)]);
    let secret = key.splitn(3, '_').nth(2).unwrap();
    let stored = format!("{:?}{:?}", world.accounts.database.items(&world.platform), world.accounts.items());
    assert!(!listed.to_string().contains(secret) && !stored.contains(secret));
    assert!(!listed.to_string().contains("sha256"));
}

#[tokio::test]
async fn a_repeated_wish_makes_one_key_and_does_not_show_it_again() {
    let world = world().await;
    let api = with_token(&world.create(), &world.admin).with("idempotency-key", "k1");
    let first = api.post("/api/auth/keys", &wish()).await;
    let again = api.post("/api/auth/keys", &wish()).await;
    assert_eq!((again.status, &again.body["id"]), (first.status, &first.body["id"]));
    assert_eq!(again.body["key"], Value::Null);
    assert_eq!(world.listed().await.as_array().unwrap().len(), 1);
    assert_eq!(world.logged("api_key.created").len(), 1);
}

#[tokio::test]
async fn a_revoked_key_stays_listed_and_revoked() {
    let world = world().await;
    let id = world.make(&wish()).await.body["id"].clone();
    for _ in 0..2 {
        assert_eq!(world.end(&id).await, 204);
    }
    assert!(world.listed().await[0]["revoked_at"].is_string());
    assert_eq!(world.end(&json!(77)).await, 404);
    assert_eq!(world.logged("api_key.revoked").len(), 1);
}

#[tokio::test]
async fn the_list_says_when_each_key_was_used_last_wherever_that_was_noted() {
    let world = world().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(Id::new(world.make(&wish()).await.body["id"].as_u64().unwrap()).unwrap());
    }
    let [used, used_long_ago, unused] = ids[..] else { panic!() };
    let (now, long_ago) = (Timestamp::now(), Timestamp::from_unix_millis(1_768_473_045_123));
    for (id, at) in [(used, long_ago), (used_long_ago, long_ago)] {
        let mut record = ApiKeyRecord::with_id(&world.platform, id).await.unwrap().unwrap();
        record.last_used_at = Some(at);
        world.platform.commit(Transaction::new().upsert(&record)).await.unwrap();
    }
    let mut noted = KeyUse::none(used);
    noted.last_used_at = Some(now);
    world.platform.commit(Transaction::new().insert(&noted)).await.unwrap();
    world.accounts.database.calls();
    let listed = world.listed().await;
    let reads = [&["GetItem"; 2][..], &["Query"; 4], &["BatchGetItem"]].concat();
    assert_eq!(world.accounts.database.calls(), reads);
    let last_use = |id: Id| {
        let key = listed.as_array().unwrap().iter().find(|key| key["id"] == id.value()).unwrap();
        key["last_used_at"].clone()
    };
    assert_eq!([last_use(used), last_use(used_long_ago), last_use(unused)], [json!(now), json!(long_ago), Value::Null]);
}

#[tokio::test]
async fn making_and_revoking_a_key_are_logged_in_their_own_transaction() {
    let world = world().await;
    world.accounts.database.calls();
    let id = world.make(&wish()).await.body["id"].clone();
    assert_eq!(world.accounts.database.calls(), ["GetItem", "GetItem", "TransactWriteItems"]);
    world.end(&id).await;
    assert_eq!(world.accounts.database.calls(), ["GetItem", "GetItem", "GetItem", "TransactWriteItems"]);
    for event in ["api_key.created", "api_key.revoked"] {
        let [entry] = world.logged(event).try_into().unwrap();
        assert_eq!(entry["subject"]["S"], format!("api_key:{id}"));
        assert_eq!(entry["actor"]["S"], format!("user:{}", world.admin["user"]["id"]));
    }
    let before = world.accounts.items().len();
    world.accounts.database.inject(Fault::Down);
    assert_eq!(world.make(&wish()).await.status, 503);
    world.accounts.database.heal();
    assert_eq!((world.accounts.items().len(), world.listed().await.as_array().unwrap().len()), (before, 1));
}

#[tokio::test]
async fn keys_are_for_admins_whose_session_has_not_ended() {
    let world = world().await;
    let tokens = world.accounts.newcomer("alice").await;
    let path = "/api/auth/keys";
    for (api, status) in
        [(with_token(&world.create(), &tokens), 403), (world.create().admin(), 401), (world.create(), 401)]
    {
        assert_eq!(api.post(path, &wish()).await.status.as_u16(), status);
    }
    for (api, status) in [(with_token(&world.list(), &tokens), 403), (world.list().admin(), 401), (world.list(), 401)] {
        assert_eq!(api.get(path).await.status.as_u16(), status);
    }
    for (api, status) in
        [(with_token(&world.revoke(), &tokens), 403), (world.revoke().admin(), 401), (world.revoke(), 401)]
    {
        assert_eq!(api.delete("/api/auth/keys/1").await.status.as_u16(), status);
    }
    with_token(&world.accounts.logout(), &world.admin).post_raw("/auth/logout", "").await;
    assert_eq!(world.make(&wish()).await.status, 401);
}

#[tokio::test]
async fn a_wish_that_makes_no_sense_is_refused_with_a_pointer() {
    let world = world().await;
    let wrong = [
        ("/name", json!("")),
        ("/client", json!("")),
        ("/scopes", json!([])),
        ("/scopes/0", json!(["everything"])),
        ("/requests_per_second", json!(0)),
        ("/requests_per_second", json!(501)),
        ("/expires_at", json!("2020-01-01T00:00:00Z")),
        ("/role", json!("admin")),
        ("/id", json!(7)),
    ];
    for (pointer, value) in wrong {
        let mut body = wish();
        body[pointer.split('/').nth(1).unwrap()] = value;
        let answer = world.make(&body).await;
        assert_eq!((answer.status.as_u16(), answer.pointers()), (422, vec![pointer]), "{}", answer.body);
    }
}
