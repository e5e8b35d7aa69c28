//! The sample events in `events/notifications` are what AWS sends, and each of them works.

use axum::{Router, http::StatusCode};
use notifications::http;
use serde_json::{Value, json};
use shared::{
    auth::Scope,
    consumer,
    event::{Envelope, NotificationRequested, Role},
    failure::Failures,
    outbox::OutboxItem,
    time::Timestamp,
};
use testing::{Samples, identity_accepting_keys, token};

use crate::{
    office::Office,
    world::{World, deserted, message, world},
};

const SAMPLES: Samples = Samples::of("notifications");

/// Sends a sample of API Gateway's to the endpoint that it is for, with credentials that are good.
async fn send(world: &World, function: &str, notification: &Value, router: Router) -> (StatusCode, Value) {
    let (token, key) = (token(7, Role::Customer), world.key(Scope::NotificationsSend).await);
    let notification = notification["id"].to_string();
    let placeholders =
        [("ACCESS_TOKEN", &*token), ("API_KEY", &*key), ("NOTIFICATION_ID", &*notification), ("USER_ID", "7")];
    SAMPLES.send(function, &placeholders, identity_accepting_keys(&world.platform), router).await
}

/// A sample of a queue or stream, about this notification of user 7.
fn about(sample: &str, notification_id: &str) -> String {
    sample.replace("NOTIFICATION_ID", notification_id).replace("USER_ID", "7")
}

#[tokio::test]
async fn the_samples_of_requests_are_answered() {
    let (world, none) = (world().await, Value::Null);
    let (service, table) = (world.notifications.clone(), world.table.clone());
    let preferring = http::set_preferences::router(table.clone());
    let (status, body) = send(&world, "notifications-set-preferences", &none, preferring).await;
    assert_eq!((status, &body["language"]), (StatusCode::OK, &json!("de")), "{body}");
    let (status, read) =
        send(&world, "notifications-preferences", &none, http::get_preferences::router(table.clone())).await;
    assert_eq!((status, &read), (StatusCode::OK, &body));
    let (status, sent) = send(&world, "notifications-send", &none, http::send::router(service.clone())).await;
    assert_eq!((status, &sent["status"]), (StatusCode::CREATED, &json!("QUEUED")), "{sent}");
    let (status, body) = send(&world, "notifications-send-batch", &none, http::send_batch::router(service)).await;
    assert_eq!((status, &body["queued"], &body["rejected"]), (StatusCode::OK, &json!(2), &json!(1)), "{body}");
    let (status, body) = send(&world, "notifications-get", &sent, http::get_notification::router(table.clone())).await;
    assert_eq!((status, &body["to"]), (StatusCode::OK, &json!("anna@example.com")), "{body}");
    let (status, body) =
        send(&world, "notifications-by-user", &none, http::notifications_by_user::router(table.clone())).await;
    assert_eq!((status, body["data"].as_array().unwrap().len()), (StatusCode::OK, 3), "{body}");
    let health = shared::health::router(notifications::SERVICE, "1", table, http::health::PATHS);
    let (status, body) = send(&world, "notifications-health", &none, health).await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("healthy")), "{body}");
}

#[tokio::test]
async fn the_sample_of_the_users_queue_is_handled() {
    let world = deserted();
    let payload = serde_json::from_str(&SAMPLES.text("notifications-on-user-events")).unwrap();
    let event = lambda_runtime::LambdaEvent::new(payload, Default::default());
    let answer = consumer::function(world.user_events()).invoke(event).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    assert_eq!((world.of_type("recipient").len(), world.of_type("inbox").len()), (1, 2));
}

#[tokio::test]
async fn the_sample_of_the_domain_events_queue_is_handled() {
    let world = world().await;
    world.know(1, "Root", Role::Admin).await;
    let payload = SAMPLES
        .text("notifications-on-domain-events")
        .replace("2026-01-15T10:30:45", &Timestamp::now().to_string()[..19]);
    let event = lambda_runtime::LambdaEvent::new(serde_json::from_str(&payload).unwrap(), Default::default());
    let answer = consumer::function(world.domain_events()).invoke(event).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    let subjects =
        [world.history(7, "").await, world.history(1, "").await].map(|page| page.body["data"][0]["subject"].clone());
    assert_eq!(subjects, ["Your order 42 is confirmed", "Alert: temperature of boiler-1"]);
}

#[tokio::test]
async fn the_sample_of_the_delivery_queue_is_delivered() {
    let world = world().await;
    let sent = world.sent(&message("Hi")).await.body;
    let office = Office::of(world, vec![]);
    let (provider, table) = (office.provider.clone(), office.world.table.clone());
    let payload = about(&SAMPLES.text("notifications-on-requests"), &sent["id"].to_string());
    let event = lambda_runtime::LambdaEvent::new(serde_json::from_str(&payload).unwrap(), Default::default());
    let failures = Failures::new(table);
    let function = consumer::messages_recorded(office.handler(), failures);
    assert_eq!(function.invoke(event.clone()).await.unwrap(), json!({"batchItemFailures": []}));
    assert_eq!(function.invoke(event).await.unwrap(), json!({"batchItemFailures": []}));
    assert_eq!(provider.taken(), [(sent["id"].as_u64().unwrap(), 1)]);
}

#[tokio::test]
async fn a_delivery_is_not_begun_that_the_provider_could_outlast() {
    let world = world().await;
    let sent = world.sent(&message("Hi")).await.body;
    let office = Office::of(world, vec![]);
    let (provider, platform) = (office.provider.clone(), office.world.platform.clone());
    let payload = about(&SAMPLES.text("notifications-on-requests"), &sent["id"].to_string());
    let function = consumer::messages_recorded(office.handler(), Failures::new(platform));
    for (seconds, asked) in [(10, 0), (20, 1)] {
        let mut context = lambda_runtime::Context::default();
        context.deadline = (Timestamp::now().unix_millis() + seconds * 1000).unsigned_abs();
        let event = lambda_runtime::LambdaEvent::new(serde_json::from_str(&payload).unwrap(), context);
        let answer = function.invoke(event).await.unwrap();
        assert_eq!((answer["batchItemFailures"].as_array().unwrap().len(), provider.asked()), (1 - asked, asked));
    }
}

#[tokio::test]
async fn the_sample_of_the_schedule_is_answered() {
    let world = deserted();
    let payload = serde_json::from_str(&SAMPLES.text("notifications-wake")).unwrap();
    let event = lambda_runtime::LambdaEvent::new(payload, Default::default());
    let job = notifications::wake::Wake { table: world.table.clone() };
    assert_eq!(shared::schedule::function(job).invoke(event).await.unwrap(), json!({"done": 0}));
}

#[test]
fn the_sample_of_the_stream_is_an_outbox_item_with_a_request_in_it() {
    let event: aws_lambda_events::event::dynamodb::Event =
        serde_json::from_str(&about(&SAMPLES.text("notifications-relay"), "900719925474")).unwrap();
    let record = event.records.into_iter().next().unwrap();
    assert_eq!(record.event_name, "INSERT");
    let item: OutboxItem = serde_dynamo::from_item(record.change.new_image).unwrap();
    let envelope: Envelope = serde_json::from_str(&item.envelope).unwrap();
    let requested: NotificationRequested = envelope.payload().unwrap();
    assert_eq!((item.event_id, requested.user_id.value()), (envelope.id.to_string(), 7));
}

#[test]
fn every_function_has_a_sample() {
    assert_eq!(SAMPLES.sampled(), SAMPLES.functions());
}
