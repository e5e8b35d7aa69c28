//! A thousand readings a second from one device: which partitions take how many writes.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use crate::world::{moments, world};

const RATE: u64 = 1000;
/// Write units a second that a DynamoDB partition takes.
const PARTITION_LIMIT: f64 = 1000.0;

/// DynamoDB's notation as it is charged: names and values, and a few bytes for structure.
fn size(value: &Value) -> u64 {
    let object = value.as_object().unwrap();
    let Some((kind, inner)) = object.iter().next() else { return 0 };
    match kind.as_str() {
        "S" => inner.as_str().unwrap().len() as u64,
        "N" => inner.as_str().unwrap().len() as u64 / 2 + 2,
        "L" => 3 + inner.as_array().unwrap().iter().map(|element| 1 + size(element)).sum::<u64>(),
        "M" => 3 + attributes(inner),
        _ => 1,
    }
}

fn attributes(object: &Value) -> u64 {
    object.as_object().unwrap().iter().map(|(name, value)| name.len() as u64 + 1 + size(value)).sum()
}

/// The write units that each partition takes for these items: two for each kilobyte in a transaction.
fn write_units(items: &[Value]) -> HashMap<String, u64> {
    let mut units = HashMap::new();
    for item in items {
        let partition = item["pk"]["S"].as_str().unwrap().to_owned();
        *units.entry(partition).or_default() += 2 * attributes(item).div_ceil(1024);
    }
    units
}

/// The most write units a second that a partition of each kind takes, when these are written in `seconds`.
fn fullest(items: &[Value], seconds: f64) -> BTreeMap<String, f64> {
    let mut fullest = BTreeMap::new();
    for (partition, units) in write_units(items) {
        let most: &mut f64 = fullest.entry(partition.split('#').next().unwrap().to_owned()).or_default();
        *most = most.max((units as f64 / seconds).round());
    }
    fullest
}

/// How a device behaves, and how full the queue's batches are.
#[derive(Clone, Copy, Debug)]
struct Scenario {
    /// Every reading has a name, and all have the same moment.
    named: bool,
    /// Every other reading begins an excursion.
    restless: bool,
    batch: usize,
}

/// Batches that are processed at the same time: the queue's `MaximumConcurrency`.
const CONCURRENCY: usize = 10;
/// The queue's `BatchSize`.
const FULL: usize = 96;
/// How long DynamoDB takes for a call.
const LATENCY: Duration = Duration::from_millis(10);

/// What a second of a device's readings costs.
struct Cost {
    /// The items that storing it wrote.
    stored: Vec<Value>,
    /// The items that processing it wrote, or would have written had not another batch been first.
    processed: Vec<Value>,
    /// How long processing took.
    seconds: f64,
}

/// A second of one device's readings is sent, and processed as it comes.
async fn second(scenario: Scenario) -> Cost {
    let (world, moments) = (world(), moments(RATE));
    let readings: Vec<Value> = (0..)
        .zip(moments.iter().rev())
        .map(|(n, moment)| {
            let value = if scenario.restless { f64::from(n % 2) * 100.0 } else { 20.0 + f64::from(n % 7) / 10.0 };
            match scenario.named {
                true => json!({"device_id": "d1", "value": value, "recorded_at": moments[0], "reading_id": format!("{n:08}")}),
                false => json!({"device_id": "d1", "value": value, "recorded_at": moment}),
            }
        })
        .collect();
    for batch in readings.chunks(100) {
        let answer = world.send(batch).await;
        assert_eq!(answer.body["accepted"], batch.len(), "{}", answer.body);
    }
    let events = world.events("sensor.reading_recorded");
    let stored = world.database.attempted();
    world.database.take(LATENCY);
    let started = Instant::now();
    let filling = Duration::from_secs(1) * scenario.batch as u32 / RATE as u32;
    let deliveries = (1..).zip(events.chunks(scenario.batch)).map(|(n, batch)| {
        let (world, due) = (&world, started + filling * n);
        async move {
            sleep_until(due).await;
            world.deliver(batch.to_vec()).await
        }
    });
    let outcomes: Vec<_> = stream::iter(deliveries).buffer_unordered(CONCURRENCY).collect().await;
    outcomes.into_iter().flatten().for_each(|outcome| assert!(outcome.is_ok()));
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(world.statistics("?device_id=d1").await.body["count"], RATE);
    Cost { stored, processed: world.database.attempted(), seconds }
}

#[tokio::test(start_paused = true)]
async fn no_partition_takes_more_than_it_can_nor_half_of_it_in_full_batches() {
    for scenario in [
        Scenario { named: false, restless: false, batch: FULL },
        Scenario { named: true, restless: false, batch: FULL },
        Scenario { named: false, restless: true, batch: FULL },
        Scenario { named: false, restless: false, batch: 10 },
    ] {
        let Cost { stored, processed, seconds } = second(scenario).await;
        let fullest = [fullest(&stored, 1.0), fullest(&processed, seconds)];
        println!(
            "{scenario:?}, {seconds:.1} s: write units a second in the fullest partition of each kind: {fullest:?}"
        );
        let most = fullest.iter().flat_map(BTreeMap::values).copied().fold(0.0, f64::max);
        let share = if scenario.batch == FULL { 0.5 } else { 1.0 };
        assert!(most <= PARTITION_LIMIT * share, "{scenario:?}: {fullest:?}");
    }
}
