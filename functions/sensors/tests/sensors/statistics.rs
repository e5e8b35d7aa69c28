use axum::http::StatusCode;
use sensors::http;
use serde_json::{Value, json};
use testing::{Api, Fault};

use crate::world::{World, moments, world};

async fn with_values(device_id: &str, values: &[f64]) -> World {
    let world = world();
    processed(&world, device_id, values).await;
    world
}

async fn processed(world: &World, device_id: &str, values: &[f64]) {
    let moments = moments(values.len() as u64).into_iter().rev();
    let readings: Vec<Value> = moments
        .zip(values)
        .map(|(moment, value)| json!({"device_id": device_id, "value": value, "recorded_at": moment}))
        .collect();
    assert_eq!(world.send(&readings).await.body["accepted"], values.len());
    world.process().await;
    world.database.calls();
}

#[tokio::test]
async fn a_devices_statistics_are_those_of_its_readings() {
    let world = with_values("d1", &[20.0, 22.0, 24.0, 30.0]).await;
    let answer = world.statistics("?device_id=d1").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let figures = ["count", "mean", "min", "max", "outliers"].map(|name| answer.body[name].as_f64().unwrap());
    assert_eq!(figures, [4.0, 24.0, 20.0, 30.0, 0.0]);
    assert!((answer.body["variance"].as_f64().unwrap() - 56.0 / 3.0).abs() < 1e-9);
    assert_eq!((&answer.body["unit"], &answer.body["window_seconds"]), (&json!("°C"), &json!(300)));
    let counts = answer.body["windows"].as_array().unwrap().iter().map(|window| window["count"].as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), 4);
}

#[tokio::test]
async fn a_types_statistics_are_those_of_all_its_devices() {
    let world = with_values("d1", &[20.0, 22.0]).await;
    processed(&world, "d2", &[40.0]).await;
    let answer = world.statistics("").await.body;
    assert_eq!((&answer["count"], &answer["min"], &answer["max"]), (&json!(3), &json!(20.0), &json!(40.0)));
    assert_eq!((&answer["device_id"], answer.get("alert")), (&Value::Null, None));
    assert!((answer["mean"].as_f64().unwrap() - 82.0 / 3.0).abs() < 1e-9);
}

#[tokio::test]
async fn nothing_recorded_has_no_mean() {
    let answer = world().statistics("?device_id=d1").await.body;
    assert_eq!((&answer["count"], &answer["mean"], &answer["windows"]), (&json!(0), &Value::Null, &json!([])));
    assert_eq!((&answer["alert"], &answer["recent_outliers"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn a_spike_is_shown_as_an_outlier() {
    let mut values: Vec<f64> = (0..40).map(|n| 20.0 + f64::from(n % 5)).collect();
    values.push(70.0);
    let answer = with_values("d1", &values).await.statistics("?device_id=d1").await.body;
    assert_eq!((&answer["outliers"], &answer["recent_outliers"][0]["value"]), (&json!(1), &json!(70.0)));
    assert!(answer["recent_outliers"][0]["score"].as_f64().unwrap() > 10.0);
}

#[tokio::test]
async fn an_alert_is_shown_while_it_is_on() {
    let world = with_values("d1", &[20.0, 90.0]).await;
    assert_eq!(world.statistics("?device_id=d1").await.body["alert"]["kind"], "above");
    processed(&world, "d1", &[79.0]).await;
    assert_eq!(world.statistics("?device_id=d1").await.body["alert"]["kind"], "above");
    processed(&world, "d1", &[77.0]).await;
    assert_eq!(world.statistics("?device_id=d1").await.body["alert"], Value::Null);
}

#[tokio::test]
async fn statistics_cost_the_same_however_many_readings_there_are() {
    let world = with_values("d1", &[20.0; 90]).await;
    world.statistics("?device_id=d1").await;
    let mut calls = world.database.calls();
    calls.sort();
    assert_eq!(calls, ["GetItem", "Query"]);
    world.statistics("").await;
    assert_eq!(world.database.calls(), ["Query"; 16]);
}

#[tokio::test]
async fn what_a_query_cannot_mean_is_refused_with_a_pointer() {
    let world = world();
    for (query, pointer) in [
        ("?device_id=a%2Fb", "?device_id"),
        ("?from=x", "?from"),
        ("?to=x", "?to"),
        ("?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:01Z", "?from"),
        ("?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "?to"),
        ("?to=9999-12-31T23:59:59Z", "?to"),
    ] {
        let answer = world.statistics(query).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::BAD_REQUEST, vec![pointer]), "{query}");
    }
    let day = world.statistics("?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z").await;
    assert_eq!(day.status, StatusCode::OK);
    let api = Api::new(http::statistics::router(world.sensors.clone()));
    assert_eq!(api.customer(7).get("/api/sensors/flux/stats").await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.get("/api/sensors/temperature/stats").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_lost_table_is_a_503() {
    let world = world();
    world.database.inject(Fault::Down);
    assert_eq!(world.statistics("?device_id=d1").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.statistics("").await.status, StatusCode::SERVICE_UNAVAILABLE);
}
