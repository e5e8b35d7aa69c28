//! The products service: the catalogue, and the stock that orders reserve.

pub mod consumers;
pub mod http;
pub mod product;
pub mod reservation;
pub mod store;

use shared::{aws::ConfigError, table::Table};

/// The service's name, in event sources, function names and health.
pub const SERVICE: &str = "products";

/// What the service's functions share, built once per cold start.
#[derive(Clone, Debug)]
pub struct Products {
    pub table: Table,
}

impl Products {
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self { table: Table::from_env()? })
    }
}
