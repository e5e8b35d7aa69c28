use axum::http::StatusCode;
use sensors::http;
use serde_json::{Value, json};
use shared::auth::Scope;
use testing::{Api, Fault};

use crate::world::{World, ago, moments, world};

async fn with_readings(count: u64) -> World {
    let world = world();
    let moments = moments(count);
    let readings: Vec<Value> = moments
        .iter()
        .enumerate()
        .map(|(n, moment)| json!({"device_id": "d1", "value": n, "recorded_at": moment}))
        .collect();
    assert_eq!(world.send(&readings).await.body["accepted"], count);
    world.database.calls();
    world
}

fn values(answer: &Value) -> Vec<u64> {
    answer["data"].as_array().unwrap().iter().map(|reading| reading["value"].as_f64().unwrap() as u64).collect()
}

#[tokio::test]
async fn a_devices_readings_come_newest_first_page_by_page() {
    let world = with_readings(50).await;
    world.send(&[json!({"device_id": "d2", "value": 99, "recorded_at": ago(0)})]).await;
    let (mut seen, mut query) = (Vec::new(), "?device_id=d1&limit=7".to_owned());
    loop {
        let page = world.readings(&query).await.body;
        seen.extend(values(&page));
        match page["next"].as_str() {
            Some(cursor) => query = format!("?device_id=d1&limit=7&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_is_one_query_for_each_partition_however_many_readings_there_are() {
    let world = with_readings(100).await;
    world.readings("?device_id=d1&limit=5").await;
    assert_eq!(world.database.calls(), ["Query"; 8]);
}

#[tokio::test]
async fn a_span_of_time_has_the_readings_from_its_beginning_to_before_its_end() {
    let world = with_readings(10).await;
    let moments: Vec<String> = world.readings("?device_id=d1").await.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reading| reading["recorded_at"].as_str().unwrap().to_owned())
        .collect();
    let (from, to) = (&moments[6], &moments[3]);
    assert_eq!(values(&world.readings(&format!("?device_id=d1&from={from}&to={to}")).await.body), [4, 5, 6]);
    assert!(values(&world.readings(&format!("?device_id=d1&from={to}&to={to}")).await.body).is_empty());
    let first = world.readings(&format!("?device_id=d1&from={from}&to={to}&limit=2")).await.body;
    let cursor = first["next"].as_str().unwrap();
    let second = world.readings(&format!("?device_id=d1&from={from}&to={to}&cursor={cursor}")).await.body;
    assert_eq!((values(&first), values(&second)), (vec![4, 5], vec![6]));
    let beyond = world.readings(&format!("?device_id=d1&from={to}&cursor={cursor}")).await;
    assert_eq!((beyond.status, values(&beyond.body)), (StatusCode::OK, vec![]));
}

#[tokio::test]
async fn without_a_device_one_sees_ones_own_sensor_tests() {
    let world = with_readings(1).await;
    let taken = world.test().post_raw("/test/sensor/temperature", "").await.body;
    let own = world.readings("").await.body;
    assert_eq!((own["data"].as_array().unwrap().len(), &own["data"][0]["id"]), (1, &taken["id"]));
}

#[tokio::test]
async fn what_a_query_cannot_mean_is_refused_with_a_pointer() {
    let world = with_readings(3).await;
    let cursor = world.readings("?device_id=d1&limit=1").await.body["next"].as_str().unwrap().to_owned();
    for (query, pointer) in [
        ("?device_id=", "?device_id"),
        ("?device_id=a%23b", "?device_id"),
        ("?from=yesterday", "?from"),
        ("?from=%2B99999-01-01T00:00:00Z", "?from"),
        ("?to=0000-01-01T00:00:00Z", "?to"),
        ("?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "?to"),
        ("?limit=0", "?limit"),
        ("?limit=101", "?limit"),
        ("?cursor=x", "?cursor"),
        (&format!("?device_id=d2&cursor={cursor}"), "?cursor"),
        ("?device_id=a&device_id=b", "?"),
    ] {
        let answer = world.readings(query).await;
        assert_eq!((answer.status, answer.pointers()), (StatusCode::BAD_REQUEST, vec![pointer]), "{query}");
    }
    let api = Api::new(http::list_readings::router(world.sensors.clone()));
    assert_eq!(api.customer(7).get("/api/sensors/flux/readings").await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.get("/api/sensors/temperature/readings").await.status, StatusCode::UNAUTHORIZED);
    let keys = Api::accepting_keys(http::list_readings::router(world.sensors.clone()), &world.platform);
    let key = keys.with("x-api-key", &world.key(Scope::SensorsWrite).await);
    assert_eq!(key.get("/api/sensors/temperature/readings").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_lost_table_is_a_503() {
    let world = with_readings(1).await;
    world.database.inject(Fault::Down);
    assert_eq!(world.readings("?device_id=d1").await.status, StatusCode::SERVICE_UNAVAILABLE);
    let health = |world: &World| {
        let paths = http::health::PATHS;
        Api::new(shared::health::router(sensors::SERVICE, "1", world.table.clone(), paths))
    };
    assert_eq!(health(&world).get("/api/sensors/health").await.status, StatusCode::SERVICE_UNAVAILABLE);
    world.database.heal();
    assert_eq!(health(&world).get("/api/sensors/health").await.body["status"], "healthy");
    assert_eq!(health(&world).post_raw("/api/sensors/health", "").await.body["service"], "sensors");
}
