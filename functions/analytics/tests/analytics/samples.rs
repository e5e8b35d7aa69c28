//! The sample events in `events/analytics` are what AWS sends, and each of them works.

use std::{collections::BTreeSet, fs, sync::Arc};

use analytics::{consumers::payment_events, http};
use axum::{Router, http::StatusCode};
use lambda_http::request::from_str;
use serde_json::{Value, json};
use shared::{
    auth::{ApiKeyRecord, ApiKeySecret, Identity, PublicKeys, Scope},
    consumer,
    event::Role,
    http::{Origins, layered},
    id::Id,
    table::Transaction,
};
use testing::token;

use crate::{
    health::{EMPTY, Queue},
    world::{World, world},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const PUBLIC_KEY: &str = "test:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn sample(function: &str) -> String {
    fs::read_to_string(format!("{ROOT}/events/analytics/{function}.json")).unwrap()
}

/// Sends a sample of API Gateway's to the endpoint that it is for, with credentials that are good.
async fn send(world: &World, function: &str, router: Router) -> (StatusCode, Value) {
    let (id, secret) = (Id::generate(), ApiKeySecret::generate().unwrap());
    let record = ApiKeyRecord::new(id, &secret, "monitor", &[Scope::AnalyticsRead], 1000, None);
    world.platform.commit(Transaction::new().insert(&record)).await.unwrap();
    let sample = sample(function).replace("ACCESS_TOKEN", &token(7, Role::Customer));
    let sample = sample.replace("API_KEY", &secret.key_text(id));
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
async fn the_samples_of_the_queue_and_of_requests_work() {
    let world = world();
    let batch: Value = serde_json::from_str(&sample("analytics-on-payment-events")).unwrap();
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
    let names = |folder: String| -> BTreeSet<String> {
        let files = fs::read_dir(folder).unwrap();
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(format!("{ROOT}/events/analytics")), names(format!("{ROOT}/functions/analytics/src/bin")));
}
