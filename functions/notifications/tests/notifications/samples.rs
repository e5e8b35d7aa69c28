//! The sample events in `events/notifications` are what AWS sends, and each of them works.

use std::{collections::BTreeSet, fs};

use axum::{Router, http::StatusCode};
use lambda_http::request::from_str;
use notifications::http;
use serde_json::{Value, json};
use shared::{
    auth::{Identity, PublicKeys, Scope},
    consumer,
    event::{Envelope, NotificationRequested, Role},
    failure::Failures,
    http::{Origins, layered},
    outbox::OutboxItem,
    time::Timestamp,
};
use testing::token;

use crate::{
    office::Office,
    world::{World, deserted, message, world},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const PUBLIC_KEY: &str = "test:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn sample(function: &str) -> String {
    fs::read_to_string(format!("{ROOT}/events/notifications/{function}.json")).unwrap()
}

/// Sends a sample of API Gateway's to the endpoint that it is for, with credentials that are good.
async fn send(world: &World, function: &str, notification: &Value, router: Router) -> (StatusCode, Value) {
    let key = world.key(Scope::NotificationsSend).await;
    let sample = sample(function)
        .replace("ACCESS_TOKEN", &token(7, Role::Customer))
        .replace("API_KEY", &key)
        .replace("NOTIFICATION_ID", &notification["id"].to_string());
    let identity = Identity::new(PublicKeys::parse(PUBLIC_KEY).unwrap(), Some(world.platform.clone()));
    let request = from_str(&sample).unwrap().map(axum::body::Body::new);
    // The stage is no part of the path: `AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH` in a function.
    let (mut parts, body) = request.into_parts();
    parts.uri = parts.uri.to_string().replacen("/live", "", 1).parse().unwrap();
    let request = axum::http::Request::from_parts(parts, body);
    let response = tower::ServiceExt::oneshot(layered(router, identity, &Origins::default()), request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
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
    let payload = serde_json::from_str(&sample("notifications-on-user-events")).unwrap();
    let event = lambda_runtime::LambdaEvent::new(payload, Default::default());
    let answer = consumer::function(world.user_events()).invoke(event).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    assert_eq!((world.of_type("recipient").len(), world.of_type("inbox").len()), (1, 2));
}

#[tokio::test]
async fn the_sample_of_the_domain_events_queue_is_handled() {
    let world = world().await;
    world.know(1, "Root", Role::Admin).await;
    let payload =
        sample("notifications-on-domain-events").replace("2026-01-15T10:30:45", &Timestamp::now().to_string()[..19]);
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
    let payload = sample("notifications-on-requests").replace("900719925474", &sent["id"].to_string());
    let event = lambda_runtime::LambdaEvent::new(serde_json::from_str(&payload).unwrap(), Default::default());
    let failures = Failures::new(table);
    let function = consumer::messages_recorded(office.handler(), failures);
    assert_eq!(function.invoke(event.clone()).await.unwrap(), json!({"batchItemFailures": []}));
    assert_eq!(function.invoke(event).await.unwrap(), json!({"batchItemFailures": []}));
    assert_eq!(provider.taken(), [(sent["id"].as_u64().unwrap(), 1)]);
}

#[tokio::test]
async fn the_sample_of_the_schedule_is_answered() {
    let world = deserted();
    let payload = serde_json::from_str(&sample("notifications-wake")).unwrap();
    let event = lambda_runtime::LambdaEvent::new(payload, Default::default());
    let job = notifications::wake::Wake { table: world.table.clone() };
    assert_eq!(shared::schedule::function(job).invoke(event).await.unwrap(), json!({"done": 0}));
}

#[test]
fn the_sample_of_the_stream_is_an_outbox_item_with_a_request_in_it() {
    let event: aws_lambda_events::event::dynamodb::Event =
        serde_json::from_str(&sample("notifications-relay")).unwrap();
    let record = event.records.into_iter().next().unwrap();
    assert_eq!(record.event_name, "INSERT");
    let item: OutboxItem = serde_dynamo::from_item(record.change.new_image).unwrap();
    let envelope: Envelope = serde_json::from_str(&item.envelope).unwrap();
    let requested: NotificationRequested = envelope.payload().unwrap();
    assert_eq!((item.event_id, requested.user_id.value()), (envelope.id.to_string(), 7));
}

#[test]
fn every_function_has_a_sample() {
    let names = |folder: String| -> BTreeSet<String> {
        let files = fs::read_dir(folder).unwrap();
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(format!("{ROOT}/events/notifications")), names(format!("{ROOT}/functions/notifications/src/bin")));
}
