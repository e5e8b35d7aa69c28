use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::{
    consumer::{self, ConsumerError, Outcome},
    context::Context,
    event::{Envelope, SensorReadingRecorded},
    id::Id,
    runtime::Function,
    time::Timestamp,
};
use testing::Fault;

use crate::world::{World, moments, world};

/// The event of a reading so many milliseconds after the first one of its device.
fn event(device_id: &str, value: f64, millis: u64) -> Envelope {
    let recorded_at = Timestamp::from_unix_millis(1_768_473_000_000).plus(Duration::from_millis(millis));
    let reading_id = Id::derived(&format!("{device_id} {recorded_at}"));
    let (sensor_type, unit, device_id) = ("temperature".into(), "°C".into(), device_id.into());
    Envelope::new(&SensorReadingRecorded { reading_id, sensor_type, device_id, value, unit, recorded_at }).unwrap()
}

fn figures(window: &Value) -> (u64, f64, f64, f64, f64) {
    let summary = &window["summary"]["M"];
    let number = |name: &str| summary[name]["N"].as_str().unwrap().parse::<f64>().unwrap();
    (number("count") as u64, number("mean"), number("m2"), number("min"), number("max"))
}

/// The windows whose partition begins so.
fn windows(world: &World, prefix: &str) -> Vec<Value> {
    let windows = world.of_type("window").into_iter();
    windows.filter(|window| window["pk"]["S"].as_str().unwrap().starts_with(prefix)).collect()
}

fn counted(world: &World, prefix: &str) -> u64 {
    windows(world, prefix).iter().map(|window| figures(window).0).sum()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

#[tokio::test]
async fn dozens_of_readings_of_one_device_are_three_reads_and_one_transaction() {
    let world = world();
    let events = (0..48).map(|n| event("d1", 20.0, n)).collect();
    assert!(world.deliver(events).await.into_iter().all(|outcome| outcome.unwrap() == Outcome::Handled));
    assert_eq!(world.database.calls(), ["GetItem", "GetItem", "GetItem", "TransactWriteItems"]);
    assert_eq!(["inbox", "window", "sensor_state"].map(|item| world.of_type(item).len()), [48, 2, 1]);
}

#[tokio::test]
async fn a_reading_delivered_again_is_not_counted_again() {
    let world = world();
    let (first, second) = (event("d1", 20.0, 0), event("d1", 30.0, 1));
    let outcomes = world.deliver(vec![first.clone(), first.clone()]).await;
    assert_eq!(outcomes.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [Outcome::Handled, Outcome::Duplicate]);
    let outcomes = world.deliver(vec![first, second]).await;
    assert_eq!(outcomes.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [Outcome::Duplicate, Outcome::Handled]);
    assert_eq!((counted(&world, "SENSOR_WINDOWS#"), counted(&world, "TYPE_WINDOWS#")), (2, 2));
}

#[tokio::test]
async fn a_reading_whose_transactions_answer_was_lost_is_counted_once() {
    let world = world();
    let events: Vec<_> = (0..5).map(|n| event("d1", 20.0, n)).collect();
    world.database.inject(Fault::AnswerLost);
    assert!(world.deliver(events.clone()).await.iter().all(Result::is_err));
    assert!(world.deliver(events).await.into_iter().all(|outcome| outcome.unwrap() == Outcome::Duplicate));
    assert_eq!(counted(&world, "SENSOR_WINDOWS#"), 5);
}

#[tokio::test]
async fn a_lost_table_leaves_the_messages_for_later() {
    let world = world();
    world.database.inject(Fault::Down);
    assert!(world.deliver(vec![event("d1", 20.0, 0)]).await[0].is_err());
    world.database.heal();
    assert_eq!(world.deliver(vec![event("d1", 20.0, 0)]).await[0].as_ref().unwrap(), &Outcome::Handled);
}

#[tokio::test]
async fn one_poisoned_message_does_not_hold_up_the_others() {
    let world = world();
    let mut poisoned = event("d1", 20.0, 1);
    poisoned.data = json!({"value": "warm"});
    let mut newer = event("d1", 20.0, 2);
    newer.version = 2;
    // Beyond what DynamoDB can hold: refused with the transaction that it is in.
    let unstorable = event("d1", f64::MAX, 3);
    let outcomes = world.deliver(vec![event("d1", 20.0, 0), poisoned, newer, unstorable, event("d1", 21.0, 4)]).await;
    assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, false, true]);
    assert_eq!(counted(&world, "SENSOR_WINDOWS#"), 2);
}

#[tokio::test]
async fn an_event_that_is_too_old_to_be_told_from_a_repetition_is_not_counted() {
    let world = world();
    let mut old = event("d1", 20.0, 0);
    old.occurred_at = Timestamp::now().minus(Duration::from_secs(29 * 24 * 3600));
    assert!(world.deliver(vec![old]).await[0].is_ok());
    assert_eq!(world.database.items(&world.table).len(), 0);
}

#[tokio::test]
async fn an_excursion_raises_one_alert_that_names_the_reading_as_its_cause() {
    let world = world();
    let values = [20.0, 85.0, 86.0, 79.0, 81.0, 77.0, 20.0, 82.0];
    let events: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(n, value)| {
            let context = Context::of_request(Some(&format!("request-{n}")));
            (context, *value, n as u64)
        })
        .collect();
    let mut delivered = Vec::new();
    for (context, value, n) in events {
        delivered.push(context.scope(async { event("d1", value, n) }).await);
    }
    world.deliver(delivered.clone()).await;
    let alerts = world.events("sensor.alert_raised");
    assert_eq!(alerts.iter().map(|alert| alert.data["value"].as_f64().unwrap()).collect::<Vec<_>>(), [85.0, 82.0]);
    let (alert, cause) = (&alerts[0], &delivered[1]);
    assert_eq!((alert.causation_id, &alert.correlation_id), (Some(cause.id), &"request-1".to_owned()));
    assert_eq!((&alert.data["kind"], &alert.data["threshold"]), (&json!("above"), &json!(80.0)));
    assert_eq!(alert.data["reading_id"], cause.data["reading_id"]);
    assert_ne!(alert.aggregate_id, alerts[1].aggregate_id);
    world.deliver(delivered).await;
    assert_eq!(world.events("sensor.alert_raised").len(), 2);
}

#[tokio::test]
async fn readings_that_each_raise_an_alert_still_fit_their_transaction() {
    let world = world();
    let events = (0..96).map(|n| event("d1", if n % 2 == 0 { 140.0 } else { -40.0 }, n)).collect();
    assert!(world.deliver(events).await.iter().all(Result::is_ok));
    assert_eq!(world.events("sensor.alert_raised").len(), 96);
}

#[tokio::test]
async fn a_late_reading_tells_of_the_excursion_that_it_shows_to_be_one_of_its_own() {
    let world = world();
    world.deliver(vec![event("d1", 85.0, 1), event("d1", 86.0, 3)]).await;
    let late = event("d1", 20.0, 2);
    world.deliver(vec![late.clone()]).await;
    let alerts = world.events("sensor.alert_raised");
    assert_eq!(alerts.iter().map(|alert| alert.data["value"].as_f64().unwrap()).collect::<Vec<_>>(), [85.0, 86.0]);
    assert_eq!(
        (&alerts[1].data["recorded_at"], alerts[1].causation_id),
        (&event("d1", 86.0, 3).data["recorded_at"], Some(late.id))
    );
}

#[tokio::test]
async fn readings_that_each_raise_two_alerts_are_processed_in_halves() {
    let world = world();
    for pair in 0..16 {
        let (begin, end, rest) =
            (event("d1", 140.0, 10 * pair), event("d1", 140.0, 10 * pair + 4), event("d1", 20.0, 10 * pair + 6));
        world.deliver(vec![begin, end, rest]).await;
    }
    assert_eq!(world.events("sensor.alert_raised").len(), 16);
    let cutting = (0..16).map(|pair| event("d1", -40.0, 10 * pair + 2));
    let more = (0..32).map(|n| event("d1", if n % 2 == 0 { 140.0 } else { -40.0 }, 1000 + n));
    world.database.calls();
    let outcomes = world.deliver(cutting.chain(more).collect()).await;
    assert!(outcomes.iter().all(Result::is_ok));
    let calls = world.database.calls();
    assert_eq!(calls.iter().filter(|call| *call == "TransactWriteItems").count(), 3, "all, and two halves");
    assert_eq!((counted(&world, "SENSOR_WINDOWS#"), world.events("sensor.alert_raised").len()), (48 + 48, 16 + 64));
}

#[tokio::test]
async fn readings_of_a_type_that_is_no_longer_configured_are_counted_and_not_judged() {
    let world = world();
    let reading = SensorReadingRecorded {
        reading_id: Id::derived("r"),
        sensor_type: "flux".into(),
        device_id: "d1".into(),
        value: 1e6,
        unit: "x".into(),
        recorded_at: Timestamp::now(),
    };
    assert!(world.deliver(vec![Envelope::new(&reading).unwrap()]).await[0].is_ok());
    assert_eq!((counted(&world, "SENSOR_WINDOWS#flux#d1"), world.of_type("outbox").len()), (1, 0));
}

/// A function over the consumer, as Lambda would call it.
fn function(world: &World) -> Box<dyn Function> {
    consumer::batches(world.consumer())
}

#[tokio::test]
async fn only_the_messages_that_failed_are_delivered_again() {
    let world = world();
    let message = |id: &str, body: String| json!({"messageId": id, "body": body, "eventSource": "aws:sqs"});
    let wrapped = |event: &Envelope| json!({"detail-type": event.event_type, "detail": event}).to_string();
    let good = event("d1", 20.0, 0);
    let mut wrong = event("d1", 20.0, 1);
    wrong.data = json!({});
    let records = [
        message("a", wrapped(&good)),
        message("b", "not json".into()),
        message("c", wrapped(&wrong)),
        message("d", wrapped(&good)),
    ];
    let payload = json!({ "Records": records });
    let answer = function(&world).invoke(lambda_runtime::LambdaEvent::new(payload, Default::default())).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "c"}]}));
    assert_eq!(counted(&world, "SENSOR_WINDOWS#"), 1);
}

/// Deliveries of each reading once or more, in any order, in batches of any size.
fn deliveries() -> impl Strategy<Value = (Vec<f64>, Vec<Vec<usize>>, Vec<u8>)> {
    let values = prop::collection::vec(prop::sample::select(vec![-40.0, -19.0, 20.0, 21.5, 79.0, 90.0]), 1..40);
    values.prop_flat_map(|values| {
        let count = values.len();
        let extra = prop::collection::vec(0..count, 0..count + 1);
        let all = extra.prop_flat_map(move |extra| Just((0..count).chain(extra).collect::<Vec<_>>()).prop_shuffle());
        let batches = (all, prop::collection::vec(1usize..12, 1..8)).prop_map(|(all, sizes)| {
            let (mut batches, mut rest) = (Vec::new(), all.as_slice());
            for size in sizes.iter().cycle() {
                let (batch, after) = rest.split_at((*size).min(rest.len()));
                batches.push(batch.to_vec());
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            batches
        });
        (Just(values), batches, prop::collection::vec(0u8..4, 1..20))
    })
}

/// Whether this value ends or begins nothing, is clear, or beyond a threshold.
fn level(value: f64) -> i8 {
    match value {
        value if value > 80.0 => 1,
        value if value < -20.0 => -1,
        value if (-18.0..=78.0).contains(&value) => 0,
        _ => 9,
    }
}

/// The excursions of values in the order of time: the moments of their readings.
fn excursions(values: &[f64]) -> Vec<Vec<usize>> {
    let mut excursions: Vec<(i8, Vec<usize>)> = vec![(0, vec![])];
    for (moment, value) in values.iter().enumerate().filter(|(_, value)| level(**value) != 9) {
        match excursions.last_mut() {
            Some((current, moments)) if *current == level(*value) => moments.push(moment),
            _ => excursions.push((level(*value), vec![moment])),
        }
    }
    excursions.into_iter().filter(|(level, _)| *level != 0).map(|(_, moments)| moments).collect()
}

fn assert_counted_once(world: &World, values: &[f64]) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let m2 = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    let devices = windows(world, "SENSOR_WINDOWS#");
    assert_eq!(devices.len(), 1);
    let (counted, counted_mean, counted_m2, min, max) = figures(&devices[0]);
    assert_eq!(counted, values.len() as u64);
    assert!(close(counted_mean, mean) && close(counted_m2, m2), "{counted_mean} {mean} {counted_m2} {m2}");
    assert_eq!(Some(min), values.iter().copied().reduce(f64::min));
    assert_eq!(Some(max), values.iter().copied().reduce(f64::max));
    assert_eq!(self::counted(world, "TYPE_WINDOWS#"), values.len() as u64);
}

/// No excursion is told of twice, and none of a kind goes untold.
fn assert_alerts(world: &World, events: &[Envelope], values: &[f64]) {
    let alerts = world.events("sensor.alert_raised");
    let of = |alert: &Envelope| alert.data["reading_id"].clone();
    let moment = |alert: &Envelope| events.iter().position(|event| event.data["reading_id"] == of(alert)).unwrap();
    let told: Vec<usize> = alerts.iter().map(moment).collect();
    for excursion in excursions(values) {
        assert!(told.iter().filter(|moment| excursion.contains(moment)).count() <= 1, "{told:?} {excursion:?}");
    }
    for kind in [1, -1] {
        let happened = values.iter().any(|value| level(*value) == kind);
        assert_eq!(told.iter().any(|moment| level(values[*moment]) == kind), happened);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_reading_is_counted_once_however_often_in_whatever_order_and_by_whomever_it_is_delivered(
        (values, batches, pauses) in deliveries()
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = world();
            world.database.interleave(pauses);
            let events: Vec<_> = values.iter().enumerate().map(|(n, value)| event("d1", *value, n as u64)).collect();
            let batches: Vec<Vec<_>> = batches.iter().map(|batch| batch.iter().map(|n| events[*n].clone()).collect()).collect();
            for concurrent in batches.chunks(3) {
                for outcome in join_all(concurrent.iter().map(|batch| world.deliver(batch.clone()))).await.concat() {
                    outcome.unwrap();
                }
            }
            assert_counted_once(&world, &values);
            assert_alerts(&world, &events, &values);
        });
    }

    #[test]
    fn in_the_order_of_time_there_is_one_alert_for_each_excursion((values, _, _) in deliveries(), size in 1usize..50) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = world();
            let events: Vec<_> = values.iter().enumerate().map(|(n, value)| event("d1", *value, n as u64)).collect();
            for batch in events.chunks(size) {
                world.deliver(batch.to_vec()).await.into_iter().for_each(|outcome| assert!(outcome.is_ok()));
            }
            let alerts = world.events("sensor.alert_raised");
            let told: Vec<_> = alerts.iter().map(|alert| alert.causation_id.unwrap()).collect();
            let first: Vec<_> = excursions(&values).iter().map(|moments| events[moments[0]].id).collect();
            assert_eq!(told.len(), first.len());
            assert!(first.iter().all(|id| told.contains(id)));
        });
    }
}

#[tokio::test]
async fn a_backlog_of_one_device_is_worked_off_by_many_at_the_same_time() {
    let world = world();
    world.database.interleave(vec![0, 3, 1, 2, 5]);
    let events: Vec<_> = (0..480).map(|n| event("d1", 20.0, n)).collect();
    let workers = events.chunks(48).map(|batch| world.deliver(batch.to_vec()));
    let outcomes: Vec<Result<Outcome, Arc<ConsumerError>>> = join_all(workers).await.concat();
    assert!(outcomes.iter().all(Result::is_ok), "{:?}", outcomes.iter().find(|outcome| outcome.is_err()));
    assert_eq!((counted(&world, "SENSOR_WINDOWS#"), counted(&world, "TYPE_WINDOWS#")), (480, 480));
}

#[tokio::test]
async fn what_is_sent_and_processed_is_what_is_counted() {
    let world = world();
    let readings: Vec<_> = moments(100)
        .iter()
        .enumerate()
        .map(|(n, moment)| json!({"device_id": format!("d{}", n % 7), "value": n, "recorded_at": moment}))
        .collect();
    world.send(&readings).await;
    world.send(&readings).await;
    world.process().await;
    world.process().await;
    assert_eq!(counted(&world, "SENSOR_WINDOWS#"), 100);
    assert_eq!(world.statistics("").await.body["count"], 100);
}
