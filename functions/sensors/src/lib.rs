//! The sensors service: readings, rolling statistics, outliers and alerts.
//!
//! A request validates and stores readings, each in one transaction with its event. Everything else
//! is done behind a queue that the events feed, so that a burst of readings waits there rather than
//! in the requests.

pub mod consumers;
pub mod excursion;
pub mod http;
pub mod outlier;
pub mod reading;
pub mod recording;
pub mod sensor_type;
pub mod statistics;
pub mod store;
pub mod verification;

use std::sync::Arc;

use shared::{aws::ConfigError, table::Table};

use crate::sensor_type::SensorTypes;

/// The service's name, in event sources, function names and health.
pub const SERVICE: &str = "sensors";

/// What the service's functions share, built once per cold start.
#[derive(Clone, Debug)]
pub struct Sensors {
    pub table: Table,
    pub types: Arc<SensorTypes>,
}

impl Sensors {
    /// A service on this table with the built-in types of sensors.
    pub fn new(table: Table) -> Self {
        Self { table, types: Arc::default() }
    }

    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self { table: Table::from_env()?, types: Arc::new(SensorTypes::from_env()?) })
    }
}
