//! The sample events in `events/sensors` are what AWS sends, and each of them works.

use axum::{Router, http::StatusCode};
use sensors::http;
use serde_json::{Value, json};
use shared::{
    auth::Scope,
    consumer,
    event::{Envelope, Role, SensorReadingRecorded},
    outbox::OutboxItem,
};
use testing::{Samples, identity_accepting_keys, token};

use crate::world::{World, world};

const SAMPLES: Samples = Samples::of("sensors");

/// Sends a sample of API Gateway's to the endpoint that it is for, with credentials that are good.
async fn send(world: &World, function: &str, router: Router) -> (StatusCode, Value) {
    let (token, key) = (token(7, Role::Customer), world.key(Scope::SensorsWrite).await);
    let placeholders = [("ACCESS_TOKEN", &*token), ("API_KEY", &*key)];
    SAMPLES.send(function, &placeholders, identity_accepting_keys(&world.platform), router).await
}

#[tokio::test]
async fn the_samples_of_requests_are_answered() {
    let world = world();
    let sensors = world.sensors.clone();
    let auth = world.functions.client("auth", &world.platform);
    let (status, body) = send(&world, "sensors-test", http::test_sensor::router(sensors.clone(), auth)).await;
    assert_eq!((status, &body["auth"]), (StatusCode::CREATED, &json!("verified")), "{body}");
    let (status, body) = send(&world, "sensors-ingest", http::ingest_readings::router(sensors.clone())).await;
    assert_eq!((status, &body["accepted"], &body["rejected"]), (StatusCode::OK, &json!(2), &json!(1)), "{body}");
    let (status, body) = send(&world, "sensors-readings", http::list_readings::router(sensors.clone())).await;
    assert_eq!((status, body["data"].as_array().unwrap().len()), (StatusCode::OK, 2), "{body}");
    world.process().await;
    let (status, body) = send(&world, "sensors-stats", http::statistics::router(sensors.clone())).await;
    assert_eq!(
        (status, &body["count"], &body["alert"]["kind"]),
        (StatusCode::OK, &json!(2), &json!("above")),
        "{body}"
    );
    let health = shared::health::router(sensors::SERVICE, "1", world.table.clone(), http::health::PATHS);
    let (status, body) = send(&world, "sensors-health", health).await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("healthy")), "{body}");
}

#[tokio::test]
async fn the_sample_of_the_queue_is_processed() {
    let world = world();
    let payload =
        SAMPLES.text("sensors-on-reading-events").replace("2026-01-15T10:30:45", &crate::world::ago(1000)[..19]);
    let event = lambda_runtime::LambdaEvent::new(serde_json::from_str(&payload).unwrap(), Default::default());
    let answer = consumer::batches(world.consumer()).invoke(event).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    assert_eq!(
        (world.statistics("?device_id=boiler-1").await.body["count"].as_u64(), world.of_type("inbox").len()),
        (Some(2), 2)
    );
}

#[test]
fn the_sample_of_the_stream_is_an_outbox_item_with_a_reading_in_it() {
    let event: aws_lambda_events::event::dynamodb::Event =
        serde_json::from_str(&SAMPLES.text("sensors-relay")).unwrap();
    let record = event.records.into_iter().next().unwrap();
    assert_eq!(record.event_name, "INSERT");
    let item: OutboxItem = serde_dynamo::from_item(record.change.new_image).unwrap();
    let envelope: Envelope = serde_json::from_str(&item.envelope).unwrap();
    let reading: SensorReadingRecorded = envelope.payload().unwrap();
    assert_eq!((item.event_id, reading.value), (envelope.id.to_string(), 61.25));
}

#[test]
fn every_function_has_a_sample() {
    assert_eq!(SAMPLES.sampled(), SAMPLES.functions());
}
