//! A thousand readings a second from one device: which partitions take how many writes.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::world::{World, ago, world};

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

/// A second of one device's readings; answers with the items that were written.
async fn second(world: &World, named: bool, batch: usize) -> Vec<Value> {
    world.database.stream();
    let readings: Vec<Value> = (0..RATE)
        .map(|n| {
            let mut reading =
                json!({"device_id": "d1", "value": 20.0 + (n % 7) as f64 / 10.0, "recorded_at": ago(RATE - n)});
            if named {
                reading["reading_id"] = format!("{n:08}").into();
                reading["recorded_at"] = ago(0).into();
            }
            reading
        })
        .collect();
    for batch in readings.chunks(100) {
        let answer = world.send(batch).await;
        assert_eq!(answer.body["accepted"], batch.len(), "{}", answer.body);
    }
    for batch in world.events("sensor.reading_recorded").chunks(batch) {
        world.deliver(batch.to_vec()).await.into_iter().for_each(|outcome| assert!(outcome.is_ok()));
    }
    world.database.stream()
}

#[tokio::test]
async fn no_partition_takes_more_than_half_of_what_it_can() {
    for (named, batch) in [(false, 96), (true, 96), (false, 10)] {
        let world = world();
        let units = write_units(&second(&world, named, batch).await);
        let (hottest, most) = units.iter().max_by_key(|(_, units)| **units).unwrap();
        let total: u64 = units.values().sum();
        println!(
            "named {named}, batches of {batch}: {} partitions, {total} write units, most {most} in {hottest}",
            units.len()
        );
        assert!(*most <= PARTITION_LIMIT / 2, "{hottest}: {most}");
    }
}
