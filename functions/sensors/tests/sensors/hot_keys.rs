//! A thousand readings a second from one device: which partitions take how many writes.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::world::{moments, world};

const RATE: u64 = 1000;
/// Write units a second that a DynamoDB partition takes.
const PARTITION_LIMIT: u64 = 1000;

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

/// The most that a partition of each kind takes.
fn fullest(units: &HashMap<String, u64>) -> BTreeMap<&str, u64> {
    let mut fullest = BTreeMap::new();
    for (partition, units) in units {
        let most: &mut u64 = fullest.entry(partition.split('#').next().unwrap()).or_default();
        *most = (*most).max(*units);
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

/// A second of one device's readings, sent and processed; answers with the items that were written.
async fn second(scenario: Scenario) -> Vec<Value> {
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
    for batch in world.events("sensor.reading_recorded").chunks(scenario.batch) {
        world.deliver(batch.to_vec()).await.into_iter().for_each(|outcome| assert!(outcome.is_ok()));
    }
    assert_eq!(world.statistics("?device_id=d1").await.body["count"], RATE);
    world.database.stream()
}

#[tokio::test]
async fn no_partition_takes_more_than_half_of_what_it_can() {
    for scenario in [
        Scenario { named: false, restless: false, batch: 96 },
        Scenario { named: true, restless: false, batch: 96 },
        Scenario { named: false, restless: true, batch: 96 },
        Scenario { named: false, restless: false, batch: 10 },
    ] {
        let units = write_units(&second(scenario).await);
        let fullest = fullest(&units);
        println!("{scenario:?}: write units a second in the fullest partition of each kind: {fullest:?}");
        assert!(fullest.values().all(|units| *units <= PARTITION_LIMIT / 2), "{scenario:?}: {fullest:?}");
    }
}
