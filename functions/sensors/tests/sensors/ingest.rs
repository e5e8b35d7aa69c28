use axum::http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::auth::Scope;
use testing::{Answer, Fault};

use crate::world::{ago, moments, world};

const PATH: &str = "/api/sensors/temperature/readings";

fn statuses(answer: &Answer) -> Vec<&str> {
    answer.body["results"].as_array().unwrap().iter().map(|result| result["status"].as_str().unwrap()).collect()
}

fn reading(device_id: &str, value: f64, millis_ago: u64) -> Value {
    json!({"device_id": device_id, "value": value, "recorded_at": ago(millis_ago)})
}

/// So many readings of one device, each of another moment.
fn readings(count: u64) -> Vec<Value> {
    let moments = moments(count);
    moments.iter().map(|moment| json!({"device_id": "d1", "value": 20.0, "recorded_at": moment})).collect()
}

#[tokio::test]
async fn every_reading_of_a_batch_has_its_own_outcome() {
    let world = world();
    let stored = reading("d1", 20.0, 1000);
    world.send(std::slice::from_ref(&stored)).await;
    let other_value = json!({"device_id": "d1", "value": 21.0, "recorded_at": stored["recorded_at"]});
    let answer = world
        .send(&[
            reading("d1", 20.5, 900),
            stored,
            json!({"device_id": "d1", "value": 200, "recorded_at": ago(1)}),
            json!({"value": 20, "recorded_at": ago(1)}),
            json!({"device_id": "d1", "value": 20}),
            other_value,
            json!("20"),
            json!({"device_id": "d1", "value": 20, "reading_id": "r1"}),
        ])
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let expected = ["accepted", "duplicate", "rejected", "rejected", "rejected", "rejected", "rejected", "accepted"];
    assert_eq!(statuses(&answer), expected, "{}", answer.body);
    let pointers: Vec<_> =
        [2, 3, 4, 5, 6].map(|index| answer.body["results"][index]["errors"][0]["pointer"].clone()).to_vec();
    let expected =
        ["/readings/2/value", "/readings/3/device_id", "/readings/4/recorded_at", "/readings/5", "/readings/6"];
    assert_eq!(pointers, expected);
    assert_eq!(
        ["accepted", "duplicates", "rejected", "unavailable"].map(|name| answer.body[name].as_u64().unwrap()),
        [2, 1, 5, 0]
    );
    assert_eq!((world.of_type("reading").len(), world.events("sensor.reading_recorded").len()), (3, 3));
}

#[tokio::test]
async fn a_hundred_readings_are_two_transactions() {
    let world = world();
    let readings = readings(100);
    let answer = world.send(&readings).await;
    assert_eq!(answer.body["accepted"], 100, "{}", answer.body);
    assert_eq!(world.database.calls(), ["TransactWriteItems"; 2]);
    let again = world.send(&readings).await;
    assert_eq!(
        (again.body["duplicates"].as_u64(), &again.body["results"][0]["id"]),
        (Some(100), &answer.body["results"][0]["id"])
    );
    assert_eq!(world.database.calls(), ["TransactWriteItems"; 2]);
    assert_eq!(world.of_type("outbox").len(), 100);
}

#[tokio::test]
async fn a_devices_own_name_for_a_reading_makes_it_the_same_whatever_moment_it_is_sent_with() {
    let world = world();
    let named = |value: f64| json!({"device_id": "d1", "value": value, "reading_id": "r1"});
    let moment = ago(5);
    let dated = json!({"device_id": "d1", "value": 20.0, "reading_id": "r1", "recorded_at": moment});
    assert_eq!(statuses(&world.send(&[named(20.0)]).await), ["accepted"]);
    assert_eq!(
        statuses(&world.send(&[named(20.0), named(21.0), named(20.0)]).await),
        ["duplicate", "rejected", "duplicate"]
    );
    assert_eq!(statuses(&world.send(&[dated]).await), ["rejected"]);
    let other_device = json!({"device_id": "d2", "value": 20.0, "reading_id": "r1"});
    assert_eq!(statuses(&world.send(&[other_device]).await), ["accepted"]);
    assert_eq!((world.of_type("reading").len(), world.of_type("outbox").len()), (2, 2));
}

#[tokio::test]
async fn readings_of_one_moment_are_told_apart_by_their_names() {
    let world = world();
    let moment = ago(5);
    let named = |name: &str| json!({"device_id": "d1", "value": 20.0, "reading_id": name, "recorded_at": moment});
    assert_eq!(
        statuses(&world.send(&[named("a"), named("b"), named("a")]).await),
        ["accepted", "accepted", "duplicate"]
    );
    assert_eq!(world.of_type("reading").len(), 2);
}

#[tokio::test]
async fn readings_whose_answer_was_lost_are_stored_once_when_they_are_sent_again() {
    let world = world();
    let readings = readings(60);
    world.database.inject(Fault::AnswerLost);
    let first = world.send(&readings).await;
    assert_eq!((first.body["accepted"].as_u64(), first.body["unavailable"].as_u64()), (Some(10), Some(50)));
    let again = world.send(&readings).await;
    assert_eq!(again.body["duplicates"], 60, "{}", again.body);
    assert_eq!((world.of_type("reading").len(), world.of_type("outbox").len()), (60, 60));
}

#[tokio::test]
async fn a_lost_table_is_a_503_that_says_when_to_come_back() {
    let world = world();
    world.database.inject(Fault::Down);
    let answer = world.send(&[reading("d1", 20.0, 0)]).await;
    assert_eq!((answer.status, answer.headers.contains_key("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, true));
    let wrong = world.send(&[reading("d1", 20.0, 0), json!({})]).await;
    assert_eq!((wrong.status, statuses(&wrong)), (StatusCode::OK, vec!["unavailable", "rejected"]));
}

#[tokio::test]
async fn batches_that_are_none_are_refused() {
    let world = world();
    let too_many: Vec<_> = (0..101).map(|n| reading("d1", 20.0, n)).collect();
    for (body, pointer) in [
        (json!({"readings": []}), "/readings"),
        (json!({"readings": too_many}), "/readings"),
        (json!({}), "/readings"),
        (json!({"readings": {}}), "/readings"),
        (json!({"readings": [reading("d1", 20.0, 0)], "device_id": "d1"}), "/device_id"),
        (json!([]), ""),
    ] {
        let answer = world.ingest().admin().post(PATH, &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
        assert!(answer.pointers().contains(&pointer), "{}", answer.body);
    }
    let post = |mime: &str, body: String| {
        let api = world.ingest().admin().with("content-type", mime);
        async move { api.post_raw(PATH, body).await.status }
    };
    assert_eq!(post("application/json", "".into()).await, StatusCode::BAD_REQUEST);
    assert_eq!(post("application/json", "{\"readings\": [1e999]}".into()).await, StatusCode::BAD_REQUEST);
    assert_eq!(post("text/csv", "d1,20".into()).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(post("application/json", "x".repeat(1 << 20)).await, StatusCode::PAYLOAD_TOO_LARGE);
    let unknown = world.ingest().admin().post("/api/sensors/flux/readings", &json!({"readings": [1]})).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(world.database.items(&world.table).is_empty());
}

#[tokio::test]
async fn a_key_for_sensors_may_send_readings_and_nobody_else_but_an_admin() {
    let world = world();
    let body = json!({"readings": [reading("d1", 20.0, 0)]});
    let with_key = |key: String| world.ingest().with("x-api-key", &key);
    let (good, other) = (world.key(Scope::SensorsWrite).await, world.key(Scope::RegistryRead).await);
    assert_eq!(with_key(good).post(PATH, &body).await.status, StatusCode::OK);
    assert_eq!(with_key(other).post(PATH, &body).await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.ingest().customer(7).post(PATH, &body).await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.ingest().post(PATH, &body).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_type_that_the_configuration_adds_is_as_good_as_a_built_in_one() {
    let mut world = world();
    let types = r#"{"co2": {"unit": "ppm", "min": 0, "max": 10000, "alert_above": 1500, "hysteresis": 100}}"#;
    world.sensors.types = sensors::sensor_type::SensorTypes::parse(types).unwrap().into();
    let readings = json!({"readings": [reading("d1", 1600.0, 2), reading("d1", 10_001.0, 1)]});
    let answer = world.ingest().admin().post("/api/sensors/co2/readings", &readings).await;
    assert_eq!(statuses(&answer), ["accepted", "rejected"], "{}", answer.body);
    world.process().await;
    assert_eq!(world.events("sensor.alert_raised")[0].data["threshold"], 1500.0);
}

/// What a batch of readings is made of: few identities, so that they often clash.
fn batches() -> impl Strategy<Value = Vec<Vec<(u8, bool, u8)>>> {
    let reading = (0u8..6, any::<bool>(), 0u8..2);
    prop::collection::vec(prop::collection::vec(reading, 1..8), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_is_sent_each_identity_is_stored_once_with_one_event_and_the_first_value(batches in batches()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (world, moments) = (world(), moments(6));
            let mut values = std::collections::HashMap::new();
            for batch in &batches {
                let readings: Vec<_> = batch.iter().map(|(identity, named, value)| {
                    let moment = &moments[usize::from(*identity)];
                    let mut reading = json!({"device_id": "d1", "value": value, "recorded_at": moment});
                    if *named {
                        reading["reading_id"] = format!("r{identity}").into();
                    }
                    reading
                }).collect();
                let expected: Vec<_> = batch.iter().map(|(identity, named, value)| {
                    match values.get(&(*identity, *named)) {
                        None => {
                            values.insert((*identity, *named), *value);
                            "accepted"
                        }
                        Some(stored) if stored == value => "duplicate",
                        Some(_) => "rejected",
                    }
                }).collect();
                assert_eq!(statuses(&world.send(&readings).await), expected, "{batch:?}");
            }
            assert_eq!((world.of_type("reading").len(), world.of_type("outbox").len()), (values.len(), values.len()));
        });
    }
}
