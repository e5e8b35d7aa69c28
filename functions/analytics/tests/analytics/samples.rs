//! The sample events in `events/analytics` are what AWS sends, and each of them works.

use std::sync::Arc;

use analytics::{consumers::payment_events, http};
use axum::{Router, http::StatusCode};
use serde_json::{Value, json};
use shared::{auth::Scope, consumer, event::Role};
use testing::{Samples, api_key, identity_accepting_keys, token};

use crate::{
    health::{EMPTY, Queue},
    world::{World, world},
};

const SAMPLES: Samples = Samples::of("analytics");

/// Sends a sample of API Gateway's to the endpoint that it is for, with credentials that are good.
async fn send(world: &World, function: &str, router: Router) -> (StatusCode, Value) {
    let (token, key) = (token(7, Role::Customer), api_key(&world.platform, Scope::AnalyticsRead).await);
    let placeholders = [("ACCESS_TOKEN", &*token), ("API_KEY", &*key)];
    SAMPLES.send(function, &placeholders, identity_accepting_keys(&world.platform), router).await
}

#[tokio::test]
async fn the_samples_of_the_queue_and_of_requests_work() {
    let world = world();
    let batch: Value = serde_json::from_str(&SAMPLES.text("analytics-on-payment-events")).unwrap();
    let function = payment_events::tracked(&world.table, consumer::function(world.consumer()));
    let answer = function.invoke(lambda_runtime::LambdaEvent::new(batch, Default::default())).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));

    let query = http::query::router(world.analytics.clone());
    let (status, body) = send(&world, "analytics-query", query).await;
    assert_eq!((status, &body["data"]["spent"]), (StatusCode::OK, &json!(2999.97)), "{body}");
    assert_eq!(body["data"]["categories"][0]["category"], "computers");

    let detailed = http::health_detailed::router(world.table.clone(), Arc::new(Queue(Ok(EMPTY))));
    let (status, body) = send(&world, "analytics-health-detailed", detailed).await;
    assert_eq!((status, &body["read_model"]["facts"]), (StatusCode::OK, &json!(2)), "{body}");
    assert_eq!(body["lag"]["newest_applied"], "2026-01-15T10:31:00.513Z");

    let health = shared::health::router(analytics::SERVICE, "1", world.table.clone(), http::health::PATHS);
    let (status, body) = send(&world, "analytics-health", health).await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("healthy")), "{body}");
}

#[test]
fn every_function_has_a_sample() {
    assert_eq!(SAMPLES.sampled(), SAMPLES.functions());
}
