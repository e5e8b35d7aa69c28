//! Profiles as their owners, admins and strangers see them, and as they follow their accounts.

#![allow(clippy::unwrap_used)]

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::{
    consumer::{self, ConsumerError, Outcome},
    event::{AccountUpdated, Envelope, Payload, Role, UserRegistered},
    id::Id,
    table::Table,
    time::Timestamp,
};
use testing::{Answer, Api, Behaviour, Database, Fault, Functions};
use users::{consumers::account_events::AccountEvents, http};

struct Directory {
    database: Database,
    table: Table,
    platform: Table,
    /// Auth's, which knows every token as good.
    functions: Functions,
}

/// The admin that [`Api::admin`] is.
const ADMIN: u64 = 1_000_000;

fn directory() -> Directory {
    let database = Database::new();
    let (table, platform) = (database.table("users"), database.table("platform"));
    Directory { table, platform, database, functions: Functions::default() }
}

fn id(value: u64) -> Id {
    Id::new(value).unwrap()
}

fn path(user: u64) -> String {
    format!("/api/users/{user}")
}

impl Directory {
    fn create(&self) -> Api {
        Api::new(http::create_user::router(self.table.clone()))
    }

    fn list(&self) -> Api {
        Api::new(http::list_users::router(self.table.clone()))
    }

    fn get(&self) -> Api {
        Api::new(http::get_user::router(self.table.clone()))
    }

    fn update(&self) -> Api {
        Api::new(http::update_user::router(self.table.clone()))
    }

    fn delete(&self) -> Api {
        let auth = self.functions.client("auth", &self.platform);
        Api::new(http::delete_user::router(self.table.clone(), auth))
    }

    fn delete_as_admin(&self) -> Api {
        self.auth_says(ADMIN, Role::Admin);
        self.delete().admin()
    }

    fn delete_as(&self, user: u64) -> Api {
        self.auth_says(user, Role::Customer);
        self.delete().customer(user)
    }

    /// Whose token, in auth's eyes, comes next.
    fn auth_says(&self, user: u64, role: Role) {
        let answer = json!({"valid": true, "user_id": user, "role": role});
        self.functions.set("auth-verify", Behaviour::Answers(200, answer));
    }

    async fn added(&self, name: &str, email: &str) -> u64 {
        let answer = self.create().admin().post("/api/users", &json!({"name": name, "email": email})).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        answer.body["id"].as_u64().unwrap()
    }

    async fn profile(&self, user: u64) -> Value {
        self.get().admin().get(&path(user)).await.body
    }

    async fn put(&self, user: u64, name: &str, email: &str) -> Answer {
        self.update().admin().put(&path(user), &json!({"name": name, "email": email})).await
    }

    async fn deliver(&self, event: &Envelope) -> Result<Outcome, ConsumerError> {
        consumer::handle(&AccountEvents { table: self.table.clone() }, event.clone()).await
    }

    /// The published events, each with the profile's version, in the order of their versions.
    fn published(&self) -> Vec<(u64, String)> {
        let items = self.of_type("outbox");
        let mut events: Vec<_> = items
            .iter()
            .map(|item| serde_json::from_str::<Value>(item["envelope"]["S"].as_str().unwrap()).unwrap())
            .map(|event| (event["data"]["version"].as_u64().unwrap(), event["type"].as_str().unwrap().to_owned()))
            .collect();
        events.sort();
        events
    }

    fn published_types(&self) -> Vec<String> {
        self.published().into_iter().map(|(_, event_type)| event_type).collect()
    }

    fn held_addresses(&self) -> Vec<String> {
        let guards = self.of_type("email");
        let mut addresses: Vec<_> = guards.iter().map(|item| item["address"]["S"].as_str().unwrap().into()).collect();
        addresses.sort();
        addresses
    }

    fn of_type(&self, item_type: &str) -> Vec<Value> {
        self.database.items_of_type(&self.table, item_type)
    }
}

/// An event of the hour before now; a larger second is later.
fn at<P: Payload>(second: i64, payload: &P) -> Envelope {
    let occurred_at = Timestamp::from_unix_millis(Timestamp::now().unix_millis() - 3_600_000 + second * 1000);
    Envelope { occurred_at, ..Envelope::new(payload).unwrap() }
}

fn registered(second: i64, user: u64, name: &str, email: &str) -> Envelope {
    let payload = UserRegistered {
        user_id: id(user),
        username: format!("user{user}"),
        email: email.into(),
        name: name.into(),
        role: Role::Customer,
    };
    at(second, &payload)
}

fn account_updated(second: i64, user: u64, name: &str, email: &str) -> Envelope {
    at(second, &AccountUpdated { user_id: id(user), email: email.into(), name: name.into(), role: None })
}

#[tokio::test]
async fn a_new_profile_is_one_transaction_and_getting_it_one_read() {
    let directory = directory();
    let body = json!({"name": " Alice Johnson ", "email": "Alice@example.com"});
    let answer = directory.create().admin().post("/api/users", &body).await;
    assert_eq!(directory.database.calls(), ["TransactWriteItems"]);
    let user = answer.body["id"].as_u64().unwrap();
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.headers["location"], path(user).as_str());
    let found = directory.get().customer(user).get(&path(user)).await;
    assert_eq!(directory.database.calls(), ["GetItem"]);
    assert_eq!((found.status, &found.body), (StatusCode::OK, &answer.body));
    let expected = [json!("Alice Johnson"), json!("Alice@example.com"), json!("customer"), json!(1)];
    assert_eq!(["name", "email", "role", "version"].map(|field| found.body[field].clone()), expected);
    assert_eq!(directory.published(), [(1, "user.created".to_owned())]);
}

#[tokio::test]
async fn bad_profiles_are_refused_with_a_pointer_and_leave_nothing_behind() {
    let directory = directory();
    let cases = [
        (json!({"email": "a@example.com"}), "/name"),
        (json!({"name": "", "email": "a@example.com"}), "/name"),
        (json!({"name": " \t", "email": "a@example.com"}), "/name"),
        (json!({"name": "x".repeat(201), "email": "a@example.com"}), "/name"),
        (json!({"name": 1, "email": "a@example.com"}), "/name"),
        (json!({"name": null, "email": "a@example.com"}), "/name"),
        (json!({"name": ["x"], "email": "a@example.com"}), "/name"),
        (json!({"name": "x"}), "/email"),
        (json!({"name": "x", "email": ""}), "/email"),
        (json!({"name": "x", "email": "nobody"}), "/email"),
        (json!({"name": "x", "email": "a@b@c"}), "/email"),
        (json!({"name": "x", "email": "ａlice@example.com"}), "/email"),
        (json!({"name": "x", "email": "аlice@example.com"}), "/email"),
        (json!({"name": "x", "email": "\u{212a}elvin@example.com"}), "/email"),
        (json!({"name": "x", "email": "a@example.com\r\nBcc: b@example.com"}), "/email"),
        (json!({"name": "x", "email": format!("{}@example.com", "a".repeat(250))}), "/email"),
        (json!({"name": "x", "email": {"$ne": null}}), "/email"),
        (json!({"name": "x", "email": "a@example.com", "role": "admin"}), "/role"),
        (json!({"name": "x", "email": "a@example.com", "is_admin": true}), "/is_admin"),
        (json!({"name": "x", "email": "a@example.com", "id": 1}), "/id"),
        (json!({"name": "x", "email": "a@example.com", "version": 9}), "/version"),
    ];
    for (body, pointer) in cases {
        let created = directory.create().admin().post("/api/users", &body).await;
        let updated = directory.update().admin().put(&path(1), &body).await;
        for answer in [created, updated] {
            let mut pointers = answer.pointers();
            pointers.dedup();
            assert_eq!((answer.status, pointers), (StatusCode::UNPROCESSABLE_ENTITY, vec![pointer]), "{body}");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
        }
    }
    assert_eq!(directory.database.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_name_has_up_to_two_hundred_characters_in_any_script() {
    let directory = directory();
    let user = directory.added(&"ü".repeat(200), "a@example.com").await;
    assert_eq!(directory.profile(user).await["name"], "ü".repeat(200));
}

#[tokio::test]
async fn what_is_not_a_json_object_is_refused_before_anything_is_done() {
    let directory = directory();
    let create = directory.create().admin();
    let json = create.with("content-type", "application/json");
    for malformed in ["", "{", "{\"name\":", "nonsense", "{} {}", "\u{0}", "{\"name\": \"\\ud800\"}"] {
        assert!(
            json.post_raw("/api/users", malformed).await.status.is_client_error(),
            "{malformed:?} is not a client's mistake"
        );
    }
    assert_eq!(json.post_raw("/api/users", "{").await.status, StatusCode::BAD_REQUEST);
    for other in ["[]", "null", "1", "\"x\""] {
        assert_eq!(json.post_raw("/api/users", other).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{other}");
    }
    let huge = "x".repeat(1024 * 1024);
    assert_eq!(json.post_raw("/api/users", huge).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    for content_type in ["text/plain", "application/xml", "jpeg", ""] {
        let answer = create.with("content-type", content_type).post_raw("/api/users", "{}").await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
    }
    assert_eq!(directory.database.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn ids_that_no_user_can_have_are_malformed() {
    let directory = directory();
    let overflowing = format!("/api/users/{}", u128::MAX);
    let paths = ["/api/users/0", "/api/users/-1", "/api/users/1.5", "/api/users/9007199254740992", &overflowing];
    for path in paths.into_iter().chain(["/api/users/me", "/api/users/%00", "/api/users/%F0%28"]) {
        let body = json!({"name": "x", "email": "a@example.com"});
        let got = directory.get().admin().get(path).await;
        let updated = directory.update().admin().put(path, &body).await;
        let deleted = directory.delete_as_admin().delete(path).await;
        for answer in [got, updated, deleted] {
            assert_eq!((answer.status, answer.pointers()), (StatusCode::BAD_REQUEST, vec![":id"]), "{path}");
        }
    }
    assert_eq!(directory.database.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn nobody_in_particular_gets_in() {
    let directory = directory();
    let body = json!({"name": "x", "email": "a@example.com"});
    let forged = format!("Bearer {}x", testing::token(1, Role::Admin));
    for authorization in [None, Some(forged.as_str()), Some("Bearer "), Some("Basic YTpi")] {
        let as_nobody = |api: Api| authorization.map_or(api.clone(), |value| api.with("authorization", value));
        let statuses = [
            as_nobody(directory.create()).post("/api/users", &body).await.status,
            as_nobody(directory.list()).get("/api/users").await.status,
            as_nobody(directory.get()).get(&path(1)).await.status,
            as_nobody(directory.update()).put(&path(1), &body).await.status,
            as_nobody(directory.delete()).delete(&path(1)).await.status,
        ];
        assert_eq!(statuses, [StatusCode::UNAUTHORIZED; 5], "{authorization:?}");
    }
    assert_eq!(directory.database.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn customers_neither_add_nor_list_profiles() {
    let directory = directory();
    let body = json!({"name": "x", "email": "a@example.com"});
    let created = directory.create().customer(1).post("/api/users", &body).await;
    let listed = directory.list().customer(1).get("/api/users").await;
    assert_eq!([created.status, listed.status], [StatusCode::FORBIDDEN; 2]);
    assert_eq!(directory.database.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_strangers_profile_looks_like_none_at_all() {
    let directory = directory();
    let alice = directory.added("Alice", "alice@example.com").await;
    let body = json!({"name": "Mallory", "email": "mallory@example.com"});
    for user in [alice, 404] {
        let got = directory.get().customer(7).get(&path(user)).await;
        let updated = directory.update().customer(7).put(&path(user), &body).await;
        let deleted = directory.delete_as(7).delete(&path(user)).await;
        for answer in [got, updated, deleted] {
            assert_eq!((answer.status, &answer.body["detail"]), (StatusCode::NOT_FOUND, &json!("no such user")));
        }
    }
    assert_eq!(directory.profile(alice).await["name"], "Alice");
}

#[tokio::test]
async fn unknown_profiles_are_not_found() {
    let directory = directory();
    assert_eq!(directory.get().admin().get(&path(404)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(directory.put(404, "x", "x@example.com").await.status, StatusCode::NOT_FOUND);
    assert_eq!(directory.delete_as_admin().delete(&path(404)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(directory.database.items(&directory.table).len(), 0);
}

#[tokio::test]
async fn an_owner_changes_name_and_email_and_nothing_else() {
    let directory = directory();
    let user = directory.added("Alice", "alice@example.com").await;
    let before = directory.profile(user).await;
    let body = json!({"name": " Alice J. ", "email": "aj@example.com"});
    let answer = directory.update().customer(user).put(&path(user), &body).await;
    assert_eq!(answer.status, StatusCode::OK);
    let found = directory.profile(user).await;
    assert_eq!(found, answer.body);
    assert_eq!((&found["name"], &found["email"]), (&json!("Alice J."), &json!("aj@example.com")));
    assert_eq!(["id", "role", "created_at"].map(|f| &found[f]), ["id", "role", "created_at"].map(|f| &before[f]));
    let events = [(1, "user.created".to_owned()), (2, "user.updated".to_owned())];
    assert_eq!(directory.published(), events);
}

#[tokio::test]
async fn an_address_belongs_to_one_profile_whatever_its_case() {
    let directory = directory();
    let alice = directory.added("Alice", "alice@example.com").await;
    let bob = directory.added("Bob", "bob@example.com").await;
    let before = directory.database.items(&directory.table).len();
    let body = json!({"name": "Eve", "email": "ALICE@example.com"});
    let created = directory.create().admin().post("/api/users", &body).await;
    let updated = directory.put(bob, "Bob", "Alice@Example.com").await;
    for answer in [created, updated] {
        assert_eq!((answer.status, answer.pointers()), (StatusCode::CONFLICT, vec!["/email"]));
    }
    assert_eq!(directory.database.items(&directory.table).len(), before);
    assert_eq!(directory.put(alice, "Alice", "ALICE@example.com").await.status, StatusCode::OK);
    assert_eq!(directory.held_addresses(), ["alice@example.com", "bob@example.com"]);
}

#[tokio::test]
async fn an_address_is_free_again_once_its_profile_has_another_or_is_gone() {
    let directory = directory();
    let alice = directory.added("Alice", "alice@example.com").await;
    directory.put(alice, "Alice", "aj@example.com").await;
    let other = directory.added("Other", "alice@example.com").await;
    assert_eq!(directory.delete_as_admin().delete(&path(other)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(directory.held_addresses(), ["aj@example.com"]);
    directory.added("Third", "alice@example.com").await;
}

#[tokio::test]
async fn of_many_who_want_an_address_at_once_one_gets_it() {
    let directory = directory();
    let create = directory.create().admin();
    let answers =
        futures::future::join_all(
            (0..20).map(|n| {
                let create = create.clone();
                async move {
                    create.post("/api/users", &json!({"name": format!("{n}"), "email": "a@example.com"})).await.status
                }
            }),
        );
    let statuses = answers.await;
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::CREATED).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::CONFLICT).count(), 19);
    assert_eq!((directory.of_type("user").len(), directory.of_type("outbox").len()), (1, 1));
}

#[tokio::test]
async fn a_deleted_profile_is_gone_once_and_tells_so_once() {
    let directory = directory();
    let user = directory.added("Alice", "alice@example.com").await;
    let delete = directory.delete_as(user);
    assert_eq!(delete.delete(&path(user)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(delete.delete(&path(user)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(directory.get().customer(user).get(&path(user)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(directory.list().admin().get("/api/users").await.body["data"], json!([]));
    assert_eq!(directory.held_addresses(), Vec::<String>::new());
    assert_eq!(directory.published(), [(1, "user.created".to_owned()), (2, "user.deleted".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_and_a_deletion_at_once_leave_no_address_behind() {
    for round in 0..30 {
        let directory = directory();
        let user = directory.added("Alice", "alice@example.com").await;
        let mut requests = tokio::task::JoinSet::new();
        for place in 0..6 {
            let (update, delete) = (directory.update().admin(), directory.delete_as_admin());
            requests.spawn(async move {
                if place == round % 6 {
                    return delete.delete(&path(user)).await.status;
                }
                update.put(&path(user), &json!({"name": "x", "email": format!("{place}@example.com")})).await.status
            });
        }
        for status in requests.join_all().await {
            assert!([200, 204, 404, 409].contains(&status.as_u16()), "{status}");
        }
        assert_eq!(directory.held_addresses().len(), directory.of_type("user").len());
        let versions: Vec<_> = directory.published().into_iter().map(|(version, _)| version).collect();
        assert_eq!(versions, (1..=versions.len() as u64).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_repeated_create_answers_as_the_first_time() {
    let directory = directory();
    let create = directory.create().admin().with("idempotency-key", "k-1");
    let body = json!({"name": "Alice", "email": "alice@example.com"});
    directory.database.inject(Fault::AnswerLost);
    assert_eq!(create.post("/api/users", &body).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let again = create.post("/api/users", &body).await;
    assert_eq!((again.status, &again.headers["idempotency-replayed"]), (StatusCode::CREATED, &"true".parse().unwrap()));
    assert_eq!(directory.profile(again.body["id"].as_u64().unwrap()).await, again.body);
    let other = create.post("/api/users", &json!({"name": "Bob", "email": "bob@example.com"})).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!((directory.of_type("user").len(), directory.of_type("outbox").len()), (1, 1));
}

#[tokio::test]
async fn the_list_is_read_page_by_page_newest_first() {
    let directory = directory();
    for user in 1..=7 {
        directory
            .deliver(&registered(0, user, &format!("User {user}"), &format!("u{user}@example.com")))
            .await
            .unwrap();
    }
    directory.database.calls();
    let list = directory.list().admin();
    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let page = list.get(&format!("/api/users?limit=3{next}")).await;
        assert_eq!(page.status, StatusCode::OK);
        assert_eq!(directory.database.calls(), ["Query"; 4]);
        seen.extend(page.body["data"].as_array().unwrap().iter().map(|user| user["id"].as_u64().unwrap()));
        let Some(cursor) = page.body["next"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn limits_and_cursors_that_make_no_sense_are_malformed() {
    let directory = directory();
    for user in 1..=2 {
        directory.deliver(&registered(0, user, "x", &format!("u{user}@example.com"))).await.unwrap();
    }
    let list = directory.list().admin();
    let cursor = list.get("/api/users?limit=1").await.body["next"].as_str().unwrap().to_owned();
    directory.database.calls();
    for limit in ["0", "101", "-1", "1e1", "x", "", "99999999999999999999"] {
        let answer = list.get(&format!("/api/users?limit={limit}")).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::BAD_REQUEST, vec!["?limit"]), "{limit}");
    }
    let long = "A".repeat(5000);
    let of_another_list = "eyJ0IjoiUFJPRFVDVFMjMCIsImsiOiIwMDAwMDAwMDAwMDAwMDAyIn0";
    for cursor in ["x", "", "%00", &cursor[1..], &format!("{cursor}A"), &long, of_another_list] {
        let answer = list.get(&format!("/api/users?cursor={cursor}")).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::BAD_REQUEST, vec!["?cursor"]), "{cursor}");
    }
    assert_eq!(directory.database.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_lost_table_is_a_503_everywhere_and_an_event_that_comes_again() {
    let directory = directory();
    let user = directory.added("Alice", "alice@example.com").await;
    directory.database.inject(Fault::Down);
    let body = json!({"name": "x", "email": "x@example.com"});
    let answers = [
        directory.create().admin().post("/api/users", &body).await,
        directory.list().admin().get("/api/users").await,
        directory.get().admin().get(&path(user)).await,
        directory.update().admin().put(&path(user), &body).await,
        directory.delete_as_admin().delete(&path(user)).await,
    ];
    for answer in answers {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers.contains_key("retry-after"));
    }
    let event = registered(0, 5, "Bob", "bob@example.com");
    assert!(directory.deliver(&event).await.is_err());
    directory.database.heal();
    assert_eq!(directory.deliver(&event).await.unwrap(), Outcome::Handled);
    assert_eq!(directory.profile(5).await["name"], "Bob");
}

#[tokio::test]
async fn an_account_gets_a_profile_with_its_id_once() {
    let directory = directory();
    let event = registered(0, 1, "Alice Johnson", "alice@example.com");
    assert_eq!(directory.deliver(&event).await.unwrap(), Outcome::Handled);
    assert_eq!(directory.database.calls(), ["TransactWriteItems"]);
    assert_eq!(directory.deliver(&event).await.unwrap(), Outcome::Duplicate);
    let profile = directory.get().customer(1).get(&path(1)).await.body;
    assert_eq!((&profile["id"], &profile["name"]), (&json!(1), &json!("Alice Johnson")));
    assert_eq!(profile["created_at"], event.occurred_at.to_string());
    assert_eq!(directory.published_types(), ["user.created"]);
}

#[tokio::test]
async fn an_account_whose_address_is_taken_gets_a_profile_that_does_not_hold_it() {
    let directory = directory();
    let holder = directory.added("Holder", "a@example.com").await;
    directory.deliver(&registered(0, 5, "Late", "A@example.com")).await.unwrap();
    assert_eq!(directory.profile(5).await["email"], "A@example.com");
    assert_eq!(directory.put(5, "Late Comer", "A@example.com").await.status, StatusCode::OK);
    assert_eq!(directory.delete_as(5).delete(&path(5)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(directory.held_addresses(), ["a@example.com"]);
    assert_eq!(directory.profile(holder).await["email"], "a@example.com");
}

#[tokio::test]
async fn a_profile_without_a_hold_on_its_address_gets_one_on_the_next() {
    let directory = directory();
    directory.added("Holder", "a@example.com").await;
    directory.deliver(&registered(0, 5, "Late", "a@example.com")).await.unwrap();
    assert_eq!(directory.put(5, "Late", "b@example.com").await.status, StatusCode::OK);
    assert_eq!(directory.held_addresses(), ["a@example.com", "b@example.com"]);
}

#[tokio::test]
async fn a_profile_follows_its_account() {
    let directory = directory();
    directory.deliver(&registered(0, 1, "Alice", "alice@example.com")).await.unwrap();
    let event = account_updated(1, 1, "Alice J.", "aj@example.com");
    assert_eq!(directory.deliver(&event).await.unwrap(), Outcome::Handled);
    assert_eq!(directory.deliver(&event).await.unwrap(), Outcome::Duplicate);
    let profile = directory.profile(1).await;
    assert_eq!((&profile["name"], &profile["email"]), (&json!("Alice J."), &json!("aj@example.com")));
    assert_eq!(directory.held_addresses(), ["aj@example.com"]);
    assert_eq!(directory.published_types(), ["user.created", "user.updated"]);
}

#[tokio::test]
async fn an_account_that_says_nothing_new_publishes_nothing() {
    let directory = directory();
    directory.deliver(&registered(0, 1, "Alice", "alice@example.com")).await.unwrap();
    directory.deliver(&account_updated(1, 1, "Alice", "alice@example.com")).await.unwrap();
    assert_eq!(directory.published_types(), ["user.created"]);
}

#[tokio::test]
async fn an_older_word_of_the_account_does_not_undo_a_newer_one() {
    let directory = directory();
    directory.deliver(&registered(0, 1, "A", "a@example.com")).await.unwrap();
    directory.deliver(&account_updated(2, 1, "A", "a@example.com")).await.unwrap();
    directory.deliver(&account_updated(1, 1, "B", "b@example.com")).await.unwrap();
    assert_eq!(directory.profile(1).await["name"], "A");
    directory.put(1, "C", "c@example.com").await;
    directory.deliver(&account_updated(3, 1, "D", "d@example.com")).await.unwrap();
    assert_eq!(directory.profile(1).await["name"], "C");
}

#[tokio::test]
async fn an_account_that_moves_to_a_taken_address_changes_only_its_name() {
    let directory = directory();
    directory.added("Holder", "taken@example.com").await;
    directory.deliver(&registered(0, 1, "A", "a@example.com")).await.unwrap();
    directory.deliver(&account_updated(1, 1, "B", "taken@example.com")).await.unwrap();
    let profile = directory.profile(1).await;
    assert_eq!((&profile["name"], &profile["email"]), (&json!("B"), &json!("a@example.com")));
    assert_eq!(directory.held_addresses(), ["a@example.com", "taken@example.com"]);
}

#[tokio::test]
async fn a_change_that_overtakes_its_registration_comes_again() {
    let directory = directory();
    let change = account_updated(1, 1, "B", "b@example.com");
    assert!(directory.deliver(&change).await.is_err());
    directory.deliver(&registered(0, 1, "A", "a@example.com")).await.unwrap();
    assert_eq!(directory.deliver(&change).await.unwrap(), Outcome::Handled);
    assert_eq!(directory.profile(1).await["name"], "B");
}

#[tokio::test]
async fn a_change_of_a_deleted_users_account_is_of_no_interest() {
    let directory = directory();
    directory.deliver(&registered(0, 1, "A", "a@example.com")).await.unwrap();
    directory.delete_as(1).delete(&path(1)).await;
    let change = account_updated(1, 1, "B", "b@example.com");
    assert_eq!(directory.deliver(&change).await.unwrap(), Outcome::Handled);
    assert_eq!(directory.of_type("user").len(), 0);
    assert_eq!(directory.published_types(), ["user.created", "user.deleted"]);
    let kept = serde_json::to_string(&directory.of_type("deleted_user")).unwrap();
    assert!(!kept.contains("example.com"));
}

#[tokio::test]
async fn events_that_cannot_be_read_are_not_taken_for_handled() {
    let directory = directory();
    let good = registered(0, 1, "A", "a@example.com");
    let bad = [
        Envelope { version: 2, ..good.clone() },
        Envelope { event_type: "order.created".into(), ..good.clone() },
        Envelope { data: json!({"user_id": 0}), ..good.clone() },
    ];
    for event in bad {
        assert!(directory.deliver(&event).await.is_err(), "{event:?}");
    }
    assert_eq!(directory.database.items(&directory.table).len(), 0);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_names_nobody() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let directory = directory();
    directory.added("Alice Johnson", "alice@example.com").await;
    directory.deliver(&registered(0, 5, "Alice Johnson", "alice@example.com")).await.unwrap();
    directory.deliver(&registered(0, 6, "Alice Johnson", "aj@example.com")).await.unwrap();
    directory.deliver(&account_updated(1, 6, "Johnson", "alice@example.com")).await.unwrap();
    directory.put(6, "Johnson", "alice@example.com").await;
    directory.list().admin().get("/api/users").await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("another profile holds the account's e-mail address"));
    for personal in ["Johnson", "example.com"] {
        assert!(!log.contains(personal), "{log}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// A registration and up to five changes, each delivered once or more in any order; what is
    /// refused comes again at the end. At some place the owner may change the profile too.
    #[test]
    fn the_newest_word_wins_whatever_order_events_come_in(
        changes in prop::collection::vec((0u8..3, 0u8..3), 0..6),
        deliveries in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        put_after in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let directory = directory();
            let mut events = vec![registered(0, 1, "name 0", "0@example.com")];
            for (second, (name, email)) in (1..).zip(&changes) {
                events.push(account_updated(second, 1, &format!("name {name}"), &format!("{email}@example.com")));
            }
            let mut schedule: Vec<&Envelope> = deliveries.iter().map(|index| index.get(&events)).collect();
            schedule.extend(&events);
            let put_at = put_after.map(|index| index.index(schedule.len()));
            let mut put = false;
            for (place, event) in schedule.into_iter().enumerate() {
                let refused = directory.deliver(event).await.is_err();
                assert!(!refused || directory.of_type("user").is_empty());
                if put_at == Some(place) {
                    put = directory.put(1, "name 9", "9@example.com").await.status == StatusCode::OK;
                }
            }
            let (name, email) = if put { (9, 9) } else { changes.last().copied().unwrap_or((0, 0)) };
            let profile = directory.profile(1).await;
            assert_eq!(profile["name"], format!("name {name}"));
            assert_eq!(profile["email"], format!("{email}@example.com"));
            assert_eq!(directory.held_addresses(), [format!("{email}@example.com")]);
            let published = directory.published();
            assert!(published.windows(2).all(|pair| pair[0].0 < pair[1].0), "{published:?}");
            assert_eq!(published.iter().filter(|(_, event_type)| event_type == "user.created").count(), 1);
        });
    }
}

#[tokio::test]
async fn the_role_is_what_auth_says_however_late_it_is_heard_of() {
    let directory = directory();
    directory.deliver(&registered(0, 1, "Alice", "alice@example.com")).await.unwrap();
    let promoted = |second, role| {
        let (name, email) = ("Alice".to_owned(), "alice@example.com".to_owned());
        at(second, &AccountUpdated { user_id: id(1), email, name, role: Some(role) })
    };
    directory.deliver(&promoted(10, Role::Admin)).await.unwrap();
    assert_eq!(directory.profile(1).await["role"], "admin");
    directory.deliver(&account_updated(20, 1, "Alice J.", "alice@example.com")).await.unwrap();
    assert_eq!(directory.profile(1).await["role"], "admin", "a new name does not change it");
    directory.deliver(&promoted(15, Role::Customer)).await.unwrap();
    let profile = directory.profile(1).await;
    assert_eq!([&profile["role"], &profile["name"]], [&json!("customer"), &json!("Alice J.")]);
}

/// An admin's account is registered.
fn admin_registered(second: i64, user: u64) -> Envelope {
    let payload = UserRegistered {
        user_id: id(user),
        username: format!("admin{user}"),
        email: format!("admin{user}@example.com"),
        name: "Admin".into(),
        role: Role::Admin,
    };
    at(second, &payload)
}

#[tokio::test]
async fn an_admin_may_go_but_not_the_last() {
    let directory = directory();
    directory.deliver(&admin_registered(0, 2)).await.unwrap();
    let refused = directory.delete_as_admin().delete(&path(2)).await;
    assert_eq!((refused.status, &refused.body["code"]), (StatusCode::CONFLICT, &json!("last_admin")));
    assert_eq!(directory.profile(2).await["role"], "admin");

    directory.deliver(&admin_registered(1, 4)).await.unwrap();
    assert_eq!(directory.delete_as_admin().delete(&path(2)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(directory.delete_as_admin().delete(&path(4)).await.status, StatusCode::CONFLICT);

    // Somebody becomes an admin, and the other is one no more.
    directory.deliver(&registered(2, 6, "Bob", "bob@example.com")).await.unwrap();
    let role = |user: u64, name: &str, email: &str, role| AccountUpdated {
        user_id: id(user),
        email: email.into(),
        name: name.into(),
        role: Some(role),
    };
    directory.deliver(&at(3, &role(6, "Bob", "bob@example.com", Role::Admin))).await.unwrap();
    directory.deliver(&at(4, &role(4, "Admin", "admin4@example.com", Role::Customer))).await.unwrap();
    assert_eq!(directory.delete_as_admin().delete(&path(6)).await.status, StatusCode::CONFLICT);
    assert_eq!(directory.delete_as_admin().delete(&path(4)).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn of_two_last_admins_who_go_at_once_one_stays() {
    for pauses in [vec![1], vec![0, 1], vec![1, 0, 2], vec![2, 1, 0, 3]] {
        let directory = directory();
        directory.deliver(&admin_registered(0, 2)).await.unwrap();
        directory.deliver(&admin_registered(1, 4)).await.unwrap();
        directory.database.interleave(pauses);
        let delete = directory.delete_as_admin();
        let paths = [path(2), path(4)];
        let (one, other) = tokio::join!(delete.delete(&paths[0]), delete.delete(&paths[1]));
        let mut statuses = [one.status, other.status];
        statuses.sort();
        assert_eq!(statuses, [StatusCode::NO_CONTENT, StatusCode::CONFLICT]);
        assert_eq!(directory.of_type("user").len(), 1);
    }
}

#[tokio::test]
async fn the_events_say_who_changed_or_removed_a_profile() {
    let directory = directory();
    let user = directory.added("Alice", "alice@example.com").await;
    directory.put(user, "Alice", "new@example.com").await;
    directory.delete_as_admin().delete(&path(user)).await;
    let events = directory.database.published(&directory.table);
    let by: Vec<&Value> = events.iter().map(|event| &event.data["by"]).collect();
    assert_eq!(by, [&Value::Null, &json!("user:1000000"), &json!("user:1000000")]);
}

#[tokio::test]
async fn who_is_signed_out_deletes_nothing_whatever_the_token_says() {
    let directory = directory();
    let user = directory.added("Anna", "anna@example.com").await;
    for refusal in [401, 403] {
        directory.functions.set("auth-verify", Behaviour::Answers(refusal, json!({"status": refusal})));
        for api in [directory.delete().customer(user), directory.delete().admin()] {
            assert_eq!(api.delete(&path(user)).await.status, StatusCode::UNAUTHORIZED);
        }
    }
    assert_eq!(directory.profile(user).await["name"], "Anna");
    assert_eq!(directory.published_types(), ["user.created"]);
}

#[tokio::test]
async fn who_was_an_admin_when_the_token_was_made_is_none_any_more() {
    let directory = directory();
    let user = directory.added("Anna", "anna@example.com").await;
    directory.auth_says(ADMIN, Role::Customer);
    assert_eq!(directory.delete().admin().delete(&path(user)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(directory.profile(user).await["name"], "Anna");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_deleted_while_nobody_can_say_whether_the_session_goes_on() {
    for behaviour in [Behaviour::Missing, Behaviour::Crashes, Behaviour::Hangs, Behaviour::Babbles] {
        let directory = directory();
        let user = directory.added("Anna", "anna@example.com").await;
        directory.functions.set("auth-verify", behaviour);
        let answer = directory.delete().customer(user).delete(&path(user)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers.contains_key("retry-after"));
        assert_eq!(directory.profile(user).await["name"], "Anna");
        directory.functions.calls();
        assert_eq!(directory.delete_as(user).delete(&path(user)).await.status, StatusCode::NO_CONTENT);
        assert_eq!(directory.functions.calls(), ["auth-verify"]);
    }
}

#[tokio::test]
async fn a_deletion_is_one_question_to_auth_and_two_reads_and_one_transaction() {
    let directory = directory();
    let user = directory.added("Anna", "anna@example.com").await;
    directory.database.calls();
    directory.delete_as(user).delete(&path(user)).await;
    let breaker = "GetItem";
    assert_eq!(directory.database.calls(), [breaker, "GetItem", "GetItem", "TransactWriteItems"]);
    assert_eq!(directory.functions.calls(), ["auth-verify"]);
}
