use axum::http::StatusCode;
use serde_json::{Value, json};
use shared::{auth::Scope, event::Role};
use testing::{Answer, Fault};

use crate::world::{message, world};

fn statuses(answer: &Answer) -> Vec<&str> {
    answer.body["results"].as_array().unwrap().iter().map(|result| result["status"].as_str().unwrap()).collect()
}

fn keyed(body: &str, key: &str) -> Value {
    let mut message = message(body);
    message["idempotency_key"] = key.into();
    message
}

#[tokio::test]
async fn every_notification_of_a_batch_has_its_own_outcome() {
    let world = world().await;
    world.know(8, "Ben", Role::Customer).await;
    world.prefer(8, &json!({"opt_out": [{"channel": "email"}]})).await;
    let mut to_ben = message("Hi");
    to_ben["user_id"] = 8.into();
    let mut to_nobody = message("Hi");
    to_nobody["user_id"] = 9.into();
    world.batch(&[keyed("before", "k0")]).await;
    let answer = world
        .batch(&[
            message("Hi"),
            to_ben,
            to_nobody,
            json!("Hi"),
            json!({"user_id": 7, "channel": "email", "template": "message", "params": {"subject": "s"}}),
            keyed("before", "k0"),
            keyed("after", "k0"),
            keyed("Hi", "k1"),
            keyed("Hi", "k1"),
            keyed("Hi", ""),
        ])
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let expected = [
        "queued",
        "opted_out",
        "rejected",
        "rejected",
        "rejected",
        "duplicate",
        "rejected",
        "queued",
        "rejected",
        "rejected",
    ];
    assert_eq!(statuses(&answer), expected, "{}", answer.body);
    let pointer = |index: usize| answer.body["results"][index]["errors"][0]["pointer"].clone();
    assert_eq!(pointer(2), "/notifications/2/user_id");
    assert_eq!(pointer(3), "/notifications/3");
    assert_eq!(pointer(4), "/notifications/4/params/body");
    assert_eq!(pointer(6), "/notifications/6/idempotency_key");
    let counts = ["queued", "duplicates", "opted_out", "rejected", "unavailable"];
    assert_eq!(counts.map(|name| answer.body[name].as_u64().unwrap()), [2, 1, 1, 6, 0]);
    assert_eq!((world.of_type("notification").len(), world.events("notification.requested").len()), (3, 3));
}

#[tokio::test]
async fn a_hundred_notifications_are_one_read_and_four_transactions() {
    let world = world().await;
    let batch: Vec<Value> = (0..100).map(|n| keyed("Hi", &n.to_string())).collect();
    let answer = world.batch(&batch).await;
    assert_eq!(answer.body["queued"], 100, "{}", answer.body);
    assert_eq!(
        world.database.calls(),
        ["BatchGetItem", "TransactWriteItems", "TransactWriteItems", "TransactWriteItems", "TransactWriteItems"]
    );
    let again = world.batch(&batch).await;
    assert_eq!(again.body["duplicates"], 100, "{}", again.body);
    assert_eq!(again.body["results"][50]["id"], answer.body["results"][50]["id"]);
    assert_eq!((world.of_type("notification").len(), world.events("notification.requested").len()), (100, 100));
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_can_be_sent_again() {
    let world = world().await;
    let batch: Vec<Value> = (0..40).map(|n| keyed("Hi", &n.to_string())).collect();
    world.database.inject(Fault::AnswerLost);
    let first = world.batch(&batch).await;
    assert_eq!((first.body["queued"].as_u64(), first.body["unavailable"].as_u64()), (Some(7), Some(33)));
    let again = world.batch(&batch).await;
    assert_eq!(again.body["duplicates"], 40, "{}", again.body);
    assert_eq!(world.of_type("notification").len(), 40);
}

#[tokio::test]
async fn a_batch_with_an_idempotency_key_can_be_sent_again_without_a_key_for_each() {
    let world = world().await;
    let (path, api) = ("/api/notifications/send-batch", world.send_batch().admin().with("idempotency-key", "b1"));
    let batch = json!({"notifications": vec![message("Hi"); 40]});
    world.database.inject(Fault::AnswerLost);
    let first = api.post(path, &batch).await;
    assert_eq!((first.body["queued"].as_u64(), first.body["unavailable"].as_u64()), (Some(7), Some(33)));
    let again = api.post(path, &batch).await;
    assert_eq!((&again.body["duplicates"], world.of_type("notification").len()), (&json!(40), 40), "{}", again.body);
    // Another batch under the same key is refused, where it is another.
    let other = json!({"notifications": [message("Hi"), message("Bye")]});
    assert_eq!(statuses(&api.post(path, &other).await), ["duplicate", "rejected"]);
    let other_key = world.send_batch().admin().with("idempotency-key", "b2").post(path, &other).await;
    assert_eq!(statuses(&other_key), ["queued", "queued"]);
    assert_eq!(
        world.send_batch().admin().with("idempotency-key", "no spaces").post(path, &other).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_batch_that_is_sent_again_is_judged_by_what_became_of_it_whatever_its_users_said_since() {
    let world = world().await;
    let batch = [keyed("Hi", "k1"), keyed("Ho", "k2")];
    let first = world.batch(&batch).await;
    assert_eq!(statuses(&first), ["queued", "queued"]);
    world.prefer(7, &json!({"opt_out": [{"channel": "email"}]})).await;
    let again = world.batch(&[keyed("Hi", "k1"), keyed("Hello", "k2"), keyed("Hi", "k3"), message("Hi")]).await;
    assert_eq!(statuses(&again), ["duplicate", "rejected", "opted_out", "opted_out"]);
    assert_eq!(again.body["results"][0]["id"], first.body["results"][0]["id"]);
}

#[tokio::test]
async fn one_senders_key_says_nothing_about_anothers() {
    let world = world().await;
    let body = json!({"notifications": [keyed("Hi", "k1")]});
    for _ in 0..2 {
        let key = world.key(Scope::NotificationsSend).await;
        let answer = world.send_batch().with("x-api-key", &key).post("/api/notifications/send-batch", &body).await;
        assert_eq!(statuses(&answer), ["queued"], "{}", answer.body);
    }
}

#[tokio::test]
async fn batches_that_are_none_are_refused() {
    let world = world().await;
    let path = "/api/notifications/send-batch";
    for body in [
        json!({"notifications": []}),
        json!({"notifications": vec![message("Hi"); 101]}),
        json!({}),
        json!({"notifications": [message("Hi")], "x": 1}),
    ] {
        let answer = world.send_batch().admin().post(path, &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
    }
    let body = json!({"notifications": [message("Hi")]});
    let other = world.key(Scope::RegistryRead).await;
    assert_eq!(world.send_batch().with("x-api-key", &other).post(path, &body).await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.send_batch().customer(7).post(path, &body).await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.send_batch().post(path, &body).await.status, StatusCode::UNAUTHORIZED);
    world.database.inject(Fault::Down);
    assert_eq!(world.batch(&[message("Hi")]).await.status, StatusCode::SERVICE_UNAVAILABLE);
    world.database.heal();
    assert!(world.of_type("notification").is_empty());
}
