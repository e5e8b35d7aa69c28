//! Counts readings, judges them, and raises alerts: dozens in one transaction, each once.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, BatchConsumer, ConsumerError, Delivery, Group},
    event::{Envelope, SensorAlertRaised, SensorReadingRecorded},
    id::Id,
    runtime::Function,
    table::{Table, Transaction},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    Sensors,
    excursion::{Sample, Untold},
    sensor_type::{SensorType, SensorTypes},
    statistics::window_of,
    store::{self, Outlier, SensorState, Series, Window},
};

/// Readings in one transaction: for each an inbox record and an alert, if all of them raise one; and
/// three items more, of the hundred that a transaction may write. Should some raise two, and all be too
/// many, the batch is halved.
const LIMIT: usize = 48;
/// Inbox records tell repetitions of an event for thirty days; an older one could be a repetition
/// that nothing tells any more, and is not counted.
const COUNTED_FOR: Duration = Duration::from_secs(28 * 24 * 3600);
/// Outliers that are shown.
const SHOWN_OUTLIERS: usize = 10;

pub struct ReadingEvents {
    pub table: Table,
    pub types: Arc<SensorTypes>,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    let Sensors { table, types } = Sensors::from_env()?;
    Ok(consumer::batches(ReadingEvents { table, types }))
}

#[async_trait]
impl BatchConsumer for ReadingEvents {
    fn name(&self) -> &'static str {
        "reading-events"
    }

    fn limit(&self) -> usize {
        LIMIT
    }

    /// Readings of one sensor in one window of time change the same three items.
    fn group(&self, event: &Envelope) -> Result<Group, ConsumerError> {
        let reading: SensorReadingRecorded = event.payload()?;
        let lane = format!("{}#{}", reading.sensor_type, reading.device_id);
        Ok(Group { lane, name: window_of(reading.recorded_at).to_string() })
    }

    async fn handle(&self, deliveries: &[Delivery]) -> Result<(), ConsumerError> {
        let mut readings = readings(deliveries)?;
        readings.sort_by_key(|(delivery, reading)| (reading.recorded_at, delivery.event.id));
        let Some((_, first)) = readings.first() else { return Ok(()) };
        let mut sensor = Sensor::read(&self.table, first).await?;
        let sensor_type = self.types.get(&first.sensor_type);
        let mut transaction = Transaction::new();
        for (delivery, reading) in &readings {
            transaction = transaction.once(delivery);
            for alert in sensor.take_in(reading, sensor_type) {
                transaction = delivery.context().scope(async { transaction.publish(&alert) }).await;
            }
        }
        Ok(self.table.commit(sensor.saved(transaction)).await?)
    }
}

fn readings(deliveries: &[Delivery]) -> Result<Vec<(&Delivery, SensorReadingRecorded)>, ConsumerError> {
    let now = Timestamp::now();
    let counted = deliveries.iter().filter(|delivery| {
        let event = &delivery.event;
        let old = now.since(event.occurred_at) > COUNTED_FOR;
        if old {
            tracing::warn!(event_id = %event.id, occurred_at = %event.occurred_at, "too old to be counted");
        }
        !old
    });
    counted.map(|delivery| Ok((delivery, delivery.event.payload()?))).collect()
}

/// What the readings of one sensor in one window change.
struct Sensor {
    state: SensorState,
    window: Window,
    /// The same window of a part of all sensors of the type.
    type_window: Window,
}

impl Sensor {
    /// Three GetItems at the same time.
    async fn read(table: &Table, reading: &SensorReadingRecorded) -> Result<Self, ConsumerError> {
        let SensorReadingRecorded { sensor_type, device_id, recorded_at, .. } = reading;
        let start = window_of(*recorded_at);
        // Any part will do; another one each time keeps writers out of each other's way.
        let any = u64::from(Uuid::new_v4().as_bytes()[0]);
        let (of_device, of_type) = (Series::of_device(sensor_type, device_id), Series::of_type(sensor_type, any));
        let (state, window, type_window) = futures::try_join!(
            store::state(table, sensor_type, device_id),
            store::window(table, &of_device, start),
            store::window(table, &of_type, start),
        )?;
        Ok(Self { state, window, type_window })
    }

    /// Counts a reading and judges it; answers with the alerts that it raises: two when it begins an
    /// excursion in the midst of what was taken for another.
    fn take_in(&mut self, reading: &SensorReadingRecorded, sensor_type: Option<&SensorType>) -> Vec<SensorAlertRaised> {
        let score = sensor_type.and_then(|kind| self.state.recent.outlier(reading.value, kind.noise()));
        self.state.recent.remember(reading.recorded_at, reading.value);
        for window in [&mut self.window, &mut self.type_window] {
            window.summary.add(reading.value, score.is_some());
        }
        if let Some(score) = score {
            self.show_outlier(reading, score);
        }
        let Some(sensor_type) = sensor_type else { return Vec::new() };
        let sample = Sample { reading_id: reading.reading_id, value: reading.value };
        let untold = self.state.timeline.observe(reading.recorded_at, sensor_type.level(reading.value), sample);
        untold.iter().filter_map(|untold| Some(alert(reading, untold, sensor_type.threshold(untold.kind)?))).collect()
    }

    fn show_outlier(&mut self, reading: &SensorReadingRecorded, score: f64) {
        let SensorReadingRecorded { reading_id, value, recorded_at, .. } = *reading;
        self.state.outliers.insert(0, Outlier { reading_id, value, score, recorded_at });
        self.state.outliers.truncate(SHOWN_OUTLIERS);
    }

    fn saved(mut self, transaction: Transaction) -> Transaction {
        self.state.updated_at = Timestamp::now();
        let transaction = store::save(transaction, &self.state);
        store::save(store::save(transaction, &self.window), &self.type_window)
    }
}

/// The alert for a reading of the same sensor as this one.
fn alert(reading: &SensorReadingRecorded, untold: &Untold, threshold: f64) -> SensorAlertRaised {
    let Untold { kind, at, sample: Sample { reading_id, value } } = *untold;
    SensorAlertRaised {
        alert_id: Id::derived(&format!("alert#{reading_id}")),
        sensor_type: reading.sensor_type.clone(),
        device_id: reading.device_id.clone(),
        reading_id,
        kind,
        value,
        threshold,
        unit: reading.unit.clone(),
        recorded_at: at,
    }
}
