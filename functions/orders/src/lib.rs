//! The orders service: placing, following and cancelling orders, and the order saga.
//!
//! It prices orders from its own replica of the catalogue and shows names from its own replica of
//! the users, both fed by events, so that products and users may be down.

pub mod catalogue;
pub mod consumers;
pub mod expiry;
pub mod http;
pub mod order;
pub mod store;

use std::time::Duration;

use shared::{
    aws::{self, ConfigError},
    client::ServiceClient,
    table::Table,
};

use crate::catalogue::Catalogue;

/// The service's name, in event sources, function names and health.
pub const SERVICE: &str = "orders";

/// How long an order may stay unpaid when `PAYMENT_WINDOW_SECONDS` does not say.
const DEFAULT_PAYMENT_WINDOW: Duration = Duration::from_secs(30 * 60);

/// What the service's functions share, built once per cold start.
#[derive(Clone, Debug)]
pub struct Orders {
    pub table: Table,
    pub catalogue: Catalogue,
    pub payment_window: Duration,
}

impl Orders {
    /// A service on this table that knows only the products in its replica.
    pub fn new(table: Table) -> Self {
        Self { catalogue: Catalogue::new(table.clone(), None), table, payment_window: DEFAULT_PAYMENT_WINDOW }
    }

    pub fn from_env() -> Result<Self, ConfigError> {
        let table = Table::from_env()?;
        let catalogue = Catalogue::new(table.clone(), Some(ServiceClient::from_env("products")?));
        Ok(Self { table, catalogue, payment_window: payment_window()? })
    }
}

fn payment_window() -> Result<Duration, ConfigError> {
    let variable = "PAYMENT_WINDOW_SECONDS";
    let Some(text) = aws::optional(variable) else { return Ok(DEFAULT_PAYMENT_WINDOW) };
    let seconds = text.parse().map_err(|_| ConfigError { variable, reason: "not a number of seconds".into() })?;
    Ok(Duration::from_secs(seconds))
}
