//! Takes what the provider tells of its own accord: once, twice, late or first.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, ConsumerError, MessageHandler},
    runtime::Function,
    table::Table,
};

use crate::{
    provider::Notification,
    settlement::{SettleError, settle},
};

pub struct ProviderEvents {
    pub table: Table,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(consumer::messages(ProviderEvents { table: Table::from_env()? }))
}

#[async_trait]
impl MessageHandler for ProviderEvents {
    async fn handle(&self, body: &str) -> Result<(), ConsumerError> {
        let rejected = |reason: String| ConsumerError::Rejected(reason);
        let notification: Notification = serde_json::from_str(body).map_err(|error| rejected(error.to_string()))?;
        match settle(&self.table, notification.payment_id, &notification.outcome).await {
            Ok(_) => Ok(()),
            Err(SettleError::Table(error)) => Err(error.into()),
            Err(error) => Err(rejected(error.to_string())),
        }
    }
}
