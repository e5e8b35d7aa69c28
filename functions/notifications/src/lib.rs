//! The notifications service: what users are told by e-mail, SMS and push.
//!
//! A request or an event composes a notification and stores it; the provider is asked behind a queue,
//! at most once for each attempt that may have been made. Addresses and languages come from a
//! replica of the users, fed by events, so that the users service may be down.

pub mod aws_provider;
pub mod composing;
pub mod consumers;
pub mod delivery;
pub mod http;
pub mod notification;
pub mod occasions;
pub mod pauses;
pub mod preferences;
pub mod provider;
pub mod queue;
pub mod recipient;
pub mod recording;
pub mod store;
pub mod templates;
pub mod wake;

use std::sync::Arc;

use shared::{aws::ConfigError, table::Table};

use crate::templates::Library;

/// The service's name, in event sources, function names and health.
pub const SERVICE: &str = "notifications";

/// What the service's functions share, built once per cold start.
#[derive(Clone, Debug)]
pub struct Notifications {
    pub table: Table,
    pub library: Arc<Library>,
}

impl Notifications {
    /// A service on this table with the built-in templates.
    pub fn new(table: Table) -> Self {
        Self { table, library: Arc::new(Library::built_in()) }
    }

    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self::new(Table::from_env()?))
    }
}
