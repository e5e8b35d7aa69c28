//! Delivers what is asked for.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, ConsumerError, MessageHandler},
    context::Context,
    runtime::Function,
    time::Timestamp,
};
use tracing::Instrument;

use crate::delivery::{Deliveries, DeliveryMessage};

pub struct DeliveryRequests {
    pub deliveries: Deliveries,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(consumer::messages(DeliveryRequests { deliveries: Deliveries::from_env()? }))
}

#[async_trait]
impl MessageHandler for DeliveryRequests {
    async fn handle(&self, body: &str) -> Result<(), ConsumerError> {
        let message = DeliveryMessage::parse(body)?;
        let event = &message.bus.detail;
        let context = Context::of_event(&event.correlation_id, event.id);
        let span = tracing::info_span!("delivery", correlation_id = %context.correlation_id, event_id = %event.id);
        context.scope(self.deliveries.deliver(&message, Timestamp::now()).instrument(span)).await
    }
}
