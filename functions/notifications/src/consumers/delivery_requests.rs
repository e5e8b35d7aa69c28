//! Delivers what is asked for.

use std::time::Duration;

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, ConsumerError, MessageHandler},
    context::Context,
    runtime::Function,
    time::Timestamp,
};
use tracing::Instrument;

use crate::{
    aws_provider::ANSWER_TIMEOUT,
    delivery::{Deliveries, DeliveryMessage},
};

pub struct DeliveryRequests {
    pub deliveries: Deliveries,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(consumer::messages(DeliveryRequests { deliveries: Deliveries::from_env()? }))
}

/// What a delivery takes beside the provider's answer: two reads, a claim and a record.
const BESIDE_THE_PROVIDER: Duration = Duration::from_secs(4);

#[async_trait]
impl MessageHandler for DeliveryRequests {
    async fn handle(&self, body: &str) -> Result<(), ConsumerError> {
        let message = DeliveryMessage::parse(body)?;
        let event = &message.bus.detail;
        let context = Context::of_event(&event.correlation_id, event.id);
        let span = tracing::info_span!("delivery", correlation_id = %context.correlation_id, event_id = %event.id);
        context.scope(self.deliveries.deliver(&message, Timestamp::now()).instrument(span)).await
    }

    fn takes(&self) -> Duration {
        ANSWER_TIMEOUT + BESIDE_THE_PROVIDER
    }
}
