use axum::http::StatusCode;
use futures::future::join_all;
use serde_json::{Value, json};
use testing::Fault;

use crate::world::{Accounts, PASSWORD, accounts, id, registration};

const PATH: &str = "/api/auth/register";

fn types(accounts: &Accounts) -> Vec<String> {
    let mut types: Vec<String> =
        accounts.items().iter().filter_map(|item| item["type"]["S"].as_str().map(str::to_owned)).collect();
    types.sort();
    types
}

#[tokio::test]
async fn an_account_its_guards_its_event_and_its_answer_are_one_transaction() {
    let accounts = accounts();
    let body =
        json!({"username": "Alice", "email": "Alice@example.com", "name": " Alice Johnson ", "password": PASSWORD});
    let answer = accounts.register().with("idempotency-key", "k").post(PATH, &body).await;
    let (counted, taken_back) = ("UpdateItem", "UpdateItem");
    assert_eq!(accounts.database.calls(), [counted, "TransactWriteItems", taken_back]);
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.headers["location"], format!("/api/users/{}", id(&answer.body)).as_str());
    assert_eq!(
        types(&accounts),
        ["account", "appearance", "audit", "credentials", "email", "idempotency", "outbox", "username"]
    );
    let fields: Vec<_> = answer.body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["created_at", "email", "id", "mfa_enabled", "name", "role", "username"]);
    let shown = ["username", "email", "name", "role"].map(|field| answer.body[field].as_str().unwrap());
    assert_eq!(shown, ["Alice", "Alice@example.com", "Alice Johnson", "customer"]);
}

#[tokio::test]
async fn a_registration_is_published() {
    let accounts = accounts();
    let account = accounts.signed_up("alice").await;
    let [event] = accounts.events().try_into().unwrap();
    assert_eq!([&event["type"], &event["aggregate_id"]], [&json!("user.registered"), &account["id"]]);
    let data = json!({"user_id": account["id"], "username": "alice", "email": "alice@example.com", "name": "alice",
        "role": "customer"});
    assert_eq!(event["data"], data);
}

#[tokio::test]
async fn nobody_chooses_a_role_or_an_id() {
    let accounts = accounts();
    for (field, value) in [
        ("role", json!("admin")),
        ("admin", json!(true)),
        ("is_admin", json!(true)),
        ("id", json!(1)),
        ("Role", json!(1)),
    ] {
        let mut body = registration("mallory");
        body[field] = value;
        let answer = accounts.register().post(PATH, &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{field}");
        assert_eq!(answer.pointers(), [format!("/{field}")]);
    }
    assert_eq!(accounts.items().len(), 0);
}

#[tokio::test]
async fn bad_registrations_are_refused_with_a_pointer_and_leave_nothing_behind() {
    let accounts = accounts();
    let cases = [
        ("username", json!("ab")),
        ("username", json!("x".repeat(65))),
        ("username", json!("alice johnson")),
        ("username", json!("älice")),
        ("username", json!("аlice")),
        ("username", json!("ａｌｉｃｅ")),
        ("username", json!("al\u{200b}ice")),
        ("username", json!("\u{202e}ecila")),
        ("username", json!("\u{212a}elvin")),
        ("username", json!("alice\n")),
        ("username", json!("ali#ce")),
        ("username", json!(null)),
        ("username", json!(-1)),
        ("username", json!(1e300)),
        ("email", json!("")),
        ("email", json!("alice")),
        ("email", json!("alice@")),
        ("email", json!("аlice@example.com")),
        ("email", json!("alice@exаmple.com")),
        ("email", json!("ａlice@example.com")),
        ("email", json!("alice@example\u{3002}com")),
        ("email", json!("alice\u{200d}@example.com")),
        ("email", json!("\u{212a}elvin@example.com")),
        ("email", json!("a@b@example.com")),
        ("email", json!("alice@example.com\r\nbcc: x@example.com")),
        ("email", json!(format!("{}@example.com", "x".repeat(254)))),
        ("email", json!(["alice@example.com"])),
        ("name", json!("")),
        ("name", json!(" \t ")),
        ("name", json!("x".repeat(201))),
        ("name", json!({"first": "Alice"})),
        ("password", json!("")),
        ("password", json!("seven77")),
        ("password", json!("ü".repeat(7))),
        ("password", json!("x".repeat(129))),
        ("password", json!(12_345_678)),
        ("password", json!(null)),
    ];
    for (field, value) in cases {
        let mut body = registration("alice");
        body[field] = value;
        let answer = accounts.register().post(PATH, &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let mut pointers = answer.pointers();
        pointers.dedup();
        assert_eq!(pointers, [format!("/{field}")], "{body}");
    }
    for field in ["username", "email", "password"] {
        let mut body = registration("alice");
        body.as_object_mut().unwrap().remove(field);
        let answer = accounts.register().post(PATH, &body).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec![&*format!("/{field}")]));
    }
    assert_eq!(accounts.items().len(), 0);
}

#[tokio::test]
async fn every_wrong_field_is_pointed_at() {
    let body = json!({"username": "x", "email": "x", "name": "", "password": "x"});
    let answer = accounts().register().post(PATH, &body).await;
    let mut pointers = answer.pointers();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/email", "/name", "/password", "/username"]);
}

#[tokio::test]
async fn passwords_are_measured_in_characters() {
    let accounts = accounts();
    for (username, password) in [("shortest", "ü".repeat(8)), ("longest", "ü".repeat(128))] {
        let mut body = registration(username);
        body["password"] = json!(password);
        assert_eq!(accounts.register().post(PATH, &body).await.status, StatusCode::CREATED);
        assert_eq!(accounts.try_password(username, &password).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_taken_name_or_address_is_a_conflict_that_names_it_and_writes_nothing() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    let before = accounts.items().len();
    let cases = [
        ("ALICE", "other@example.com", "/username"),
        ("other", "alice@example.com", "/email"),
        ("other", "Alice@EXAMPLE.com", "/email"),
        ("alice", "alice@example.com", "/username"),
    ];
    for (username, email, pointer) in cases {
        let body = json!({"username": username, "email": email, "password": PASSWORD});
        let answer = accounts.register().post(PATH, &body).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::CONFLICT, vec![pointer]), "{body}");
    }
    assert_eq!(accounts.items().len(), before);
}

#[tokio::test]
async fn a_name_that_looks_like_anothers_is_a_conflict() {
    let accounts = accounts();
    accounts.signed_up("alice").await;
    accounts.signed_up("admin").await;
    for lookalike in ["aIice", "a1ice", "AL1CE", "adrnin", "ADM1N"] {
        let answer = accounts.register().post(PATH, &registration(lookalike)).await;
        let conflict = (StatusCode::CONFLICT, json!("username_confusable"), vec!["/username"]);
        assert_eq!((answer.status, answer.body["code"].clone(), answer.pointers()), conflict, "{lookalike}");
        assert_eq!(accounts.try_password(lookalike, PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    }
    accounts.signed_up("malice").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_who_want_one_address_at_once_one_gets_it() {
    let accounts = accounts();
    let attempts = ["Alice@example.com", "alice@EXAMPLE.com", "ALICE@example.com", "alice@example.com"];
    let attempts = attempts.into_iter().enumerate().map(|(n, email)| {
        let register = accounts.register();
        let body = json!({"username": format!("user{n}"), "email": email, "password": PASSWORD});
        tokio::spawn(async move { register.post(PATH, &body).await })
    });
    let answers: Vec<_> = join_all(attempts).await.into_iter().map(Result::unwrap).collect();
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == StatusCode::CREATED);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|answer| answer.status == StatusCode::CONFLICT && answer.pointers() == ["/email"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_who_want_one_name_at_once_one_gets_it() {
    let accounts = accounts();
    let attempts = (0..6).map(|n| {
        let register = accounts.register();
        let body = json!({"username": "alice", "email": format!("alice{n}@example.com"), "password": PASSWORD});
        tokio::spawn(async move { register.post(PATH, &body).await })
    });
    let answers: Vec<_> = join_all(attempts).await.into_iter().map(Result::unwrap).collect();
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == StatusCode::CREATED);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|answer| answer.status == StatusCode::CONFLICT && answer.pointers() == ["/username"]));
    assert_eq!(types(&accounts), ["account", "appearance", "audit", "credentials", "email", "outbox", "username"]);
}

#[tokio::test]
async fn a_registration_whose_answer_was_lost_is_repeated_with_its_key() {
    let accounts = accounts();
    let register = accounts.register().with("idempotency-key", "k");
    accounts.database.inject(Fault::AnswerLost);
    assert_eq!(register.post(PATH, &registration("alice")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let again = register.post(PATH, &registration("alice")).await;
    assert_eq!((again.status, &again.headers["idempotency-replayed"]), (StatusCode::CREATED, &"true".parse().unwrap()));
    let [account] = accounts.of_type("account").try_into().unwrap();
    assert_eq!(account["id"]["N"], json!(id(&again.body).to_string()));
    assert_eq!(accounts.events().len(), 1);
}

#[tokio::test]
async fn a_key_that_was_used_for_another_registration_is_refused() {
    let accounts = accounts();
    let register = accounts.register().with("idempotency-key", "k");
    register.post(PATH, &registration("alice")).await;
    let answer = register.post(PATH, &registration("bob")).await;
    let refused = (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency_key_reused"));
    assert_eq!((answer.status, &answer.body["code"]), refused);
    assert_eq!(accounts.of_type("account").len(), 1);
}

#[tokio::test]
async fn without_a_table_nobody_registers_and_the_client_may_try_again() {
    let accounts = accounts();
    accounts.database.inject(Fault::Down);
    let answer = accounts.register().post(PATH, &registration("alice")).await;
    assert_eq!(
        (answer.status, answer.body["code"].clone()),
        (StatusCode::SERVICE_UNAVAILABLE, Value::from("unavailable"))
    );
    assert!(answer.headers.contains_key("retry-after"));
}
