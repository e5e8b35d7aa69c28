use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use shared::event::Role;
use testing::{Api, Behaviour, Fault};

use crate::world::{ago, world};

const PATH: &str = "/api/sensors/temperature/test";

#[tokio::test]
async fn the_documents_request_takes_a_reading_stores_it_and_queues_it() {
    let world = world();
    let answer = world.test().post_raw("/test/sensor/temperature", "").await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    assert_eq!((&answer.body["status"], &answer.body["auth"]), (&json!("success"), &json!("verified")));
    assert_eq!((&answer.body["sensor_type"], &answer.body["unit"]), (&json!("temperature"), &json!("°C")));
    assert_eq!((&answer.body["device_id"], &answer.body["processing"]), (&json!("test-7"), &json!("queued")));
    let value = answer.body["value"].as_f64().unwrap();
    assert!((-18.0..=78.0).contains(&value), "{value}");
    let events = world.events("sensor.reading_recorded");
    assert_eq!((world.of_type("reading").len(), events.len()), (1, 1));
    assert_eq!((&events[0].data["value"], &events[0].data["reading_id"]), (&json!(value), &answer.body["id"]));
}

#[tokio::test]
async fn every_built_in_type_can_be_tested_and_a_reading_it_takes_is_no_alert() {
    let world = world();
    for sensor_type in ["temperature", "humidity", "pressure", "vibration", "light"] {
        for _ in 0..20 {
            let answer = world.test().post_raw(&format!("/api/sensors/{sensor_type}/test"), "").await;
            assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        }
    }
    world.process().await;
    assert_eq!(world.of_type("reading").len(), 100);
    assert!(world.events("sensor.alert_raised").is_empty());
}

#[tokio::test]
async fn the_reading_in_the_body_is_the_one_that_is_stored() {
    let world = world();
    let recorded_at = ago(1000);
    let body = json!({"device_id": "boiler-1", "value": 61.25, "unit": "°C", "recorded_at": recorded_at});
    let answer = world.test_by_anybody().admin().post(PATH, &body).await;
    assert_eq!((answer.status, &answer.body["value"]), (StatusCode::CREATED, &json!(61.25)));
    let stored = world.readings("?device_id=boiler-1").await.body;
    assert_eq!((&stored["data"][0]["value"], &stored["data"][0]["recorded_at"]), (&json!(61.25), &json!(recorded_at)));
}

#[tokio::test]
async fn nobody_tests_in_the_name_of_a_device_but_an_admin() {
    let world = world();
    let answer = world.test().post(PATH, &json!({"device_id": "boiler-1", "value": 149})).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(world.of_type("reading").is_empty());
}

#[tokio::test]
async fn a_test_is_one_question_to_auth_and_one_transaction() {
    let world = world();
    world.test().with("idempotency-key", "k").post_raw(PATH, "").await;
    assert_eq!(world.functions.calls(), ["auth-verify"]);
    assert_eq!(world.database.calls(), ["GetItem", "TransactWriteItems"], "the breaker's state, and the reading");
    assert_eq!(
        ["reading", "outbox", "idempotency", "reading_name"].map(|item| world.of_type(item).len()),
        [1, 1, 1, 1]
    );
}

#[tokio::test(start_paused = true)]
async fn sensor_tests_go_on_by_the_tokens_signature_while_auth_is_away() {
    for behaviour in [Behaviour::Missing, Behaviour::Crashes, Behaviour::Hangs, Behaviour::Babbles] {
        let world = world();
        world.functions.set("auth-verify", behaviour.clone());
        for _ in 0..5 {
            let answer = world.test().post_raw(PATH, "").await;
            assert_eq!(
                (answer.status, &answer.body["auth"]),
                (StatusCode::CREATED, &json!("jwt_fallback")),
                "{behaviour:?}"
            );
        }
        assert_eq!(world.of_type("reading").len(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_spares_auth_and_the_caller_the_wait() {
    let world = world();
    world.functions.set("auth-verify", Behaviour::Hangs);
    let test = world.test();
    for _ in 0..3 {
        test.post_raw(PATH, "").await;
    }
    world.functions.calls();
    let started = tokio::time::Instant::now();
    let answer = test.post_raw(PATH, "").await;
    assert_eq!((answer.status, &answer.body["auth"]), (StatusCode::CREATED, &json!("jwt_fallback")));
    assert!(world.functions.calls().is_empty());
    assert!(started.elapsed() < Duration::from_millis(10), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_token_that_auth_has_revoked_is_refused_and_leaves_nothing_behind() {
    let world = world();
    world.functions.set("auth-verify", Behaviour::Answers(401, json!({"status": 401})));
    assert_eq!(world.test().post_raw(PATH, "").await.status, StatusCode::UNAUTHORIZED);
    assert!(world.database.items(&world.table).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_no_good_by_itself_is_refused_even_while_auth_is_away() {
    let world = world();
    world.functions.set("auth-verify", Behaviour::Missing);
    let auth = world.functions.client("auth", &world.platform);
    let api = Api::new(sensors::http::test_sensor::router(world.sensors.clone(), auth));
    let (own, others) = (testing::token(7, Role::Customer), testing::token(8, Role::Admin));
    let (signed, signature) = (own.rsplit_once('.').unwrap().0, others.rsplit_once('.').unwrap().1);
    let forged = format!("{signed}.{signature}");
    for authorization in [None, Some("Bearer x".to_owned()), Some(format!("Bearer {forged}")), Some(own)] {
        let api = authorization.iter().fold(api.clone(), |api, value| api.with("authorization", value));
        assert_eq!(api.post_raw(PATH, "").await.status, StatusCode::UNAUTHORIZED, "{authorization:?}");
    }
    assert!(world.functions.calls().is_empty());
}

#[tokio::test]
async fn the_same_key_is_one_test_however_often_it_is_sent() {
    let world = world();
    let test = world.test().with("idempotency-key", "k1");
    let (first, again) = (test.post_raw(PATH, "").await, test.post_raw(PATH, "").await);
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!((&first.body, &again.headers["idempotency-replayed"]), (&again.body, &"true".parse().unwrap()));
    assert_eq!(test.post(PATH, &json!({"value": 20})).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(world.of_type("reading").len(), 1);
}

#[tokio::test]
async fn a_reading_that_is_stored_already_is_a_conflict() {
    let world = world();
    let body = json!({"value": 20, "recorded_at": ago(1000)});
    assert_eq!(world.test().post(PATH, &body).await.status, StatusCode::CREATED);
    let again = world.test().post(PATH, &body).await;
    assert_eq!((again.status, &again.body["code"]), (StatusCode::CONFLICT, &json!("reading_exists")));
    assert_eq!((world.of_type("reading").len(), world.of_type("outbox").len()), (1, 1));
}

#[tokio::test]
async fn bad_readings_are_refused_with_a_pointer_and_leave_nothing_behind() {
    let world = world();
    let cases = [
        (json!({}), "/value"),
        (json!({"value": "20"}), "/value"),
        (json!({"value": null}), "/value"),
        (json!({"value": 150.1}), "/value"),
        (json!({"value": -1e300}), "/value"),
        (json!({"value": 20, "unit": "K"}), "/unit"),
        (json!({"value": 20, "device_id": ""}), "/device_id"),
        (json!({"value": 20, "device_id": "a#b"}), "/device_id"),
        (json!({"value": 20, "device_id": "x".repeat(65)}), "/device_id"),
        (json!({"value": 20, "reading_id": "a b"}), "/reading_id"),
        (json!({"value": 20, "recorded_at": "yesterday"}), "/recorded_at"),
        (json!({"value": 20, "recorded_at": 1_768_473_045}), "/recorded_at"),
        (json!({"value": 20, "recorded_at": "2019-01-01T00:00:00Z"}), "/recorded_at"),
        (json!({"value": 20, "recorded_at": "2999-01-01T00:00:00Z"}), "/recorded_at"),
        (json!({"value": 20, "colour": "red"}), "/colour"),
        (json!([]), ""),
        (json!("20"), ""),
    ];
    for (body, pointer) in cases {
        let answer = world.test().post(PATH, &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", answer.body);
        assert!(answer.pointers().contains(&pointer), "{body}: {}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    let post = |mime: &str, body: String| {
        let api = world.test().with("content-type", mime);
        async move { api.post_raw(PATH, body).await.status }
    };
    assert_eq!(post("application/json", "{".into()).await, StatusCode::BAD_REQUEST);
    assert_eq!(post("application/json", "{\"value\": 1e999}".into()).await, StatusCode::BAD_REQUEST);
    assert_eq!(post("text/plain", "20".into()).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(post("application/json", "x".repeat(1 << 20)).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(world.test().post_raw("/api/sensors/flux/test", "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.test().get(PATH).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(world.database.items(&world.table).is_empty());
}

#[tokio::test]
async fn a_lost_table_is_a_503_that_says_when_to_come_back() {
    let world = world();
    world.database.inject(Fault::Down);
    let answer = world.test().post_raw(PATH, "").await;
    assert_eq!((answer.status, answer.headers.contains_key("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, true));
    world.database.heal();
    assert_eq!(world.test().post_raw(PATH, "").await.status, StatusCode::CREATED);
}
