use axum::http::StatusCode;
use serde_json::json;
use shared::auth::Scope;
use testing::{Api, Fault};

use crate::world::{message, world};

#[tokio::test]
async fn a_notification_is_one_read_and_one_transaction_and_asks_for_its_delivery() {
    let world = world().await;
    let answer =
        world.send().admin().with("idempotency-key", "k1").post("/api/notifications/send", &message("Hi")).await;
    assert_eq!(world.database.calls(), ["GetItem", "TransactWriteItems"]);
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    assert_eq!(answer.headers["location"], format!("/api/notifications/{}", answer.body["id"]));
    assert_eq!((&answer.body["status"], &answer.body["category"]), (&json!("QUEUED"), &json!("general")));
    let requested = world.events("notification.requested");
    assert_eq!(requested.len(), 1);
    assert_eq!(requested[0].data["notification_id"], answer.body["id"]);
}

#[tokio::test]
async fn the_sender_is_not_told_where_the_user_is_reached_and_neither_is_the_bus() {
    let world = world().await;
    let answer = world.sent(&message("Hi")).await;
    assert!(!answer.body.to_string().contains("example.com"), "{}", answer.body);
    assert!(world.events("notification.requested").iter().all(|event| !event.data.to_string().contains("example.com")));
    assert_eq!(world.get(&answer.body).await["to"], "anna@example.com");
}

#[tokio::test]
async fn the_users_language_is_used_unless_the_sender_says_another() {
    let world = world().await;
    let order = |language: Option<&str>| {
        let mut body = json!({"user_id": 7, "channel": "email", "template": "order-confirmed",
            "params": {"order_id": 42, "quantity": 3, "total": 2999.97}});
        if let Some(language) = language {
            body["language"] = language.into();
        }
        body
    };
    let subject = async |body| world.get(&world.sent(&body).await.body).await["subject"].clone();
    assert_eq!(subject(order(None)).await, "Your order 42 is confirmed");
    world.prefer(7, &json!({"language": "de"})).await;
    assert_eq!(subject(order(None)).await, "Ihre Bestellung 42 ist bestätigt");
    assert_eq!(subject(order(Some("en"))).await, "Your order 42 is confirmed");
}

#[tokio::test]
async fn bad_requests_are_refused_with_a_pointer_and_leave_nothing_behind() {
    let world = world().await;
    let with = |field: &str, value: serde_json::Value| {
        let mut body = message("Hi");
        body[field] = value;
        body
    };
    let cases = [
        (with("user_id", json!(99)), "/user_id"),
        (with("user_id", json!("7")), "/user_id"),
        (with("channel", json!("fax")), "/channel"),
        (with("channel", json!("sms")), "/channel"),
        (with("channel", json!("push")), "/channel"),
        (with("template", json!("nope")), "/template"),
        (with("template_version", json!(99)), "/template_version"),
        (with("language", json!("xx")), "/language"),
        (with("params", json!({"subject": "s"})), "/params/body"),
        (with("params", json!({"subject": "s\r\nBcc: eve@example.com", "body": "b"})), "/params/subject"),
        (with("params", json!({"subject": "s", "body": "b", "x": 1})), "/params/x"),
        (with("params", json!(["s", "b"])), "/params"),
        (with("params", json!({"subject": "s", "body": "x".repeat(5001)})), "/params/body"),
        (with("to", json!("eve@example.com")), "/to"),
    ];
    for (body, pointer) in cases {
        let answer = world.sent(&body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", answer.body);
        assert!(answer.pointers().contains(&pointer), "{body}: {}", answer.body);
    }
    assert!(world.of_type("notification").is_empty() && world.of_type("outbox").is_empty());
}

#[tokio::test]
async fn only_a_key_for_notifications_and_an_admin_may_send() {
    let world = world().await;
    let path = "/api/notifications/send";
    let with_key = |key: String| world.send().with("x-api-key", &key);
    let (good, other) = (world.key(Scope::NotificationsSend).await, world.key(Scope::SensorsWrite).await);
    assert_eq!(with_key(good).post(path, &message("a")).await.status, StatusCode::CREATED);
    assert_eq!(with_key(other).post(path, &message("b")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.send().customer(7).post(path, &message("c")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.send().post(path, &message("d")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.of_type("notification").len(), 1);
}

#[tokio::test]
async fn the_same_key_is_one_notification_even_when_the_answer_was_lost() {
    let world = world().await;
    let send = world.send().admin().with("idempotency-key", "k1");
    world.database.inject(Fault::AnswerLost);
    let lost = send.post("/api/notifications/send", &message("Hi")).await;
    assert_eq!((lost.status, lost.headers.contains_key("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, true));
    let again = send.post("/api/notifications/send", &message("Hi")).await;
    assert_eq!(again.status, StatusCode::CREATED);
    let other = send.post("/api/notifications/send", &message("Bye")).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!((world.of_type("notification").len(), world.events("notification.requested").len()), (1, 1));
}

#[tokio::test]
async fn what_a_user_does_not_want_is_not_sent() {
    let world = world().await;
    world.prefer(7, &json!({"phone": "+41446681800", "opt_out": [{"channel": "email", "category": "general"}]})).await;
    let unwanted = world.sent(&message("Hi")).await;
    assert_eq!((unwanted.status, &unwanted.body["code"]), (StatusCode::CONFLICT, &json!("opted_out")));
    let wanted = json!({"user_id": 7, "channel": "email", "template": "welcome"});
    assert_eq!(world.sent(&wanted).await.status, StatusCode::CREATED);
    let mut by_sms = message("Hi");
    by_sms["channel"] = "sms".into();
    let answer = world.sent(&by_sms).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let seen = world.get(&answer.body).await;
    assert_eq!((&seen["to"], &seen["subject"], &seen["text"]), (&json!("+41446681800"), &json!(null), &json!("Hi")));
}

#[tokio::test]
async fn what_is_sent_again_under_its_key_is_answered_as_before_whatever_the_user_said_since() {
    let world = world().await;
    let send = world.send().admin().with("idempotency-key", "k1");
    let path = "/api/notifications/send";
    let first = send.post(path, &message("Hi")).await;
    world.prefer(7, &json!({"opt_out": [{"channel": "email"}]})).await;
    let again = send.post(path, &message("Hi")).await;
    assert_eq!((again.status, &again.body), (StatusCode::CREATED, &first.body));
    assert_eq!(send.post(path, &message("Bye")).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(world.sent(&message("Hi")).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_lost_table_is_a_503() {
    let world = world().await;
    world.database.inject(Fault::Down);
    assert_eq!(world.sent(&message("Hi")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let get = Api::new(notifications::http::get_notification::router(world.table.clone())).admin();
    assert_eq!(get.get("/api/notifications/1").await.status, StatusCode::SERVICE_UNAVAILABLE);
}
