//! The sensors table, and how its writes spread.
//!
//! A partition takes 1000 write units a second, and a write in a transaction costs two for each
//! kilobyte. The readings of one sensor are spread over [`SHARDS`] partitions by their id, which is a
//! hash; so are their events and inbox records, each in a partition of its own. The sensor's state
//! and windows are written once for dozens of readings, and a type's windows are spread over
//! [`TYPE_SHARDS`] partitions.

use std::time::Duration;

use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use shared::{
    table::{Item, Key, Listing, Page, PageError, PageRequest, Table, TableError, Transaction},
    time::Timestamp,
};
use utoipa::ToSchema;

use crate::{
    excursion::Timeline,
    outlier::Recent,
    reading::Reading,
    statistics::{Summary, WINDOW},
};

/// Partitions that one sensor's readings are spread over.
pub const SHARDS: u64 = 8;
/// Partitions that the windows of a type of sensors are spread over.
pub const TYPE_SHARDS: u64 = 16;
/// How long readings, windows and the state of a silent sensor are kept.
const RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);

impl Item for Reading {
    const TYPE: &'static str = "reading";

    fn key(&self) -> Key {
        let shard = self.id.value() % SHARDS;
        let partition = readings_of(&self.sensor_type, &self.device_id, shard);
        Key::new(partition, format!("{}#{}", self.recorded_at, self.id.sortable()))
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.recorded_at.plus(RETENTION))
    }
}

fn readings_of(sensor_type: &str, device_id: &str, shard: u64) -> String {
    format!("READINGS#{sensor_type}#{device_id}#{shard}")
}

/// Holds a device's own name for a reading, whatever moment it is sent with. Its key is the name itself:
/// a reading's id is a hash of 53 bits, and two names that share one are two readings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadingName {
    pub reading: Reading,
}

impl Item for ReadingName {
    const TYPE: &'static str = "reading_name";

    fn key(&self) -> Key {
        let Reading { sensor_type, device_id, reading_id, .. } = &self.reading;
        let name = reading_id.as_deref().unwrap_or_default();
        Key::new(format!("READING_NAME#{sensor_type}#{device_id}#{name}"), "READING_NAME")
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.reading.expires_at()
    }
}

/// Stores a reading and publishes that it was recorded, unless it is stored already: then the check
/// labelled `reading`, `reading_name` or both fails.
pub fn insertion(transaction: Transaction, reading: &Reading) -> Transaction {
    let transaction = transaction.insert(reading).publish(&reading.recorded_event());
    match reading.reading_id {
        Some(_) => transaction.insert(&ReadingName { reading: reading.clone() }),
        None => transaction,
    }
}

/// How many writes an [`insertion`] is.
pub fn writes(reading: &Reading) -> usize {
    if reading.reading_id.is_some() { 3 } else { 2 }
}

/// One sensor's readings from `from` up to but not including `to`, newest first: a Query for each of
/// its partitions, at the same time.
pub async fn readings(
    table: &Table,
    sensor_type: &str,
    device_id: &str,
    (from, to): (Timestamp, Timestamp),
    request: &PageRequest,
) -> Result<Page<Reading>, PageError> {
    let partitions = (0..SHARDS).map(|shard| readings_of(sensor_type, device_id, shard)).collect();
    // A reading's sort key goes on behind its moment, so that it comes after the moment itself.
    let listing = Listing::of_table(partitions).between(Some(from.to_string()), Some(to.to_string()));
    table.page(&listing, request).await
}

/// An outlier, as the latest of them are shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Outlier {
    pub reading_id: shared::id::Id,
    pub value: f64,
    /// Robust standard deviations from the median.
    pub score: f64,
    pub recorded_at: Timestamp,
}

/// What processing knows of one device's sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SensorState {
    pub sensor_type: String,
    pub device_id: String,
    pub timeline: Timeline,
    pub recent: Recent,
    /// The latest first found.
    pub outliers: Vec<Outlier>,
    pub updated_at: Timestamp,
    pub version: u64,
}

impl SensorState {
    fn new(sensor_type: &str, device_id: &str) -> Self {
        Self {
            sensor_type: sensor_type.to_owned(),
            device_id: device_id.to_owned(),
            timeline: Timeline::default(),
            recent: Recent::default(),
            outliers: Vec::new(),
            updated_at: Timestamp::now(),
            version: 0,
        }
    }
}

impl Item for SensorState {
    const TYPE: &'static str = "sensor_state";

    fn key(&self) -> Key {
        state_key(&self.sensor_type, &self.device_id)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.updated_at.plus(RETENTION))
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

fn state_key(sensor_type: &str, device_id: &str) -> Key {
    Key::new(format!("SENSOR#{sensor_type}#{device_id}"), "SENSOR")
}

/// Whose readings a window sums up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series(String);

impl Series {
    pub fn of_device(sensor_type: &str, device_id: &str) -> Self {
        Self(format!("SENSOR_WINDOWS#{sensor_type}#{device_id}"))
    }

    /// A part of all sensors of a type.
    pub fn of_type(sensor_type: &str, shard: u64) -> Self {
        Self(format!("TYPE_WINDOWS#{sensor_type}#{}", shard % TYPE_SHARDS))
    }
}

/// The summary of a series' readings in one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    series: String,
    pub start: Timestamp,
    pub summary: Summary,
    version: u64,
}

impl Item for Window {
    const TYPE: &'static str = "window";

    fn key(&self) -> Key {
        window_key(&self.series, self.start)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.start.plus(WINDOW).plus(RETENTION))
    }

    fn version(&self) -> Option<u64> {
        Some(self.version)
    }
}

fn window_key(series: &str, start: Timestamp) -> Key {
    Key::new(series, format!("WINDOW#{start}"))
}

/// A device's sensor, as processing knows it: one GetItem.
pub async fn known_state(table: &Table, sensor_type: &str, device_id: &str) -> Result<Option<SensorState>, TableError> {
    table.get(&state_key(sensor_type, device_id)).await
}

/// A device's sensor, which may be new, with the version to be written next.
pub async fn state(table: &Table, sensor_type: &str, device_id: &str) -> Result<SensorState, TableError> {
    let known = known_state(table, sensor_type, device_id).await?;
    let mut state = known.unwrap_or_else(|| SensorState::new(sensor_type, device_id));
    state.version += 1;
    Ok(state)
}

/// A window of a series, which may be empty, with the version to be written next.
pub async fn window(table: &Table, series: &Series, start: Timestamp) -> Result<Window, TableError> {
    let known: Option<Window> = table.get(&window_key(&series.0, start)).await?;
    let new = || Window { series: series.0.clone(), start, summary: Summary::default(), version: 0 };
    let mut window = known.unwrap_or_else(new);
    window.version += 1;
    Ok(window)
}

/// Stores an item whose version was raised by one, if nobody else has changed it meanwhile.
pub fn save<T: Item>(transaction: Transaction, item: &T) -> Transaction {
    if item.version() == Some(1) { transaction.insert(item) } else { transaction.replace(item) }
}

/// The windows of these series that begin from `from` up to but not including `to`, by their
/// beginning: a Query for each series, at the same time.
pub async fn windows(
    table: &Table,
    series: &[Series],
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<Window>, TableError> {
    let (lowest, highest) = (window_key("", from).sk, window_key("", to).sk);
    let reads = series.iter().map(|series| table.range::<Window>(&series.0, &lowest, &highest));
    let mut windows: Vec<Window> = try_join_all(reads).await?.into_iter().flatten().collect();
    windows.retain(|window| window.start < to);
    windows.sort_by_key(|window| window.start);
    Ok(windows)
}
