//! Keeps the replica of the catalogue.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, Consumer, ConsumerError, Delivery},
    event::{Payload, ProductCreated, ProductUpdated},
    runtime::Function,
    table::{Table, Transaction},
};

use crate::{catalogue::Catalogue, order::Quote};

pub struct ProductEvents {
    pub table: Table,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(consumer::function(ProductEvents { table: Table::from_env()? }))
}

#[async_trait]
impl Consumer for ProductEvents {
    fn name(&self) -> &'static str {
        "product-events"
    }

    async fn handle(&self, delivery: &Delivery) -> Result<(), ConsumerError> {
        let quote = quote(delivery)?;
        let known = Catalogue::new(self.table.clone(), None).known(quote.product_id).await?;
        let transaction = match known {
            None => Transaction::new().insert(&quote),
            Some(known) if known.version < quote.version => Transaction::new().overwrite(&quote, known.version),
            Some(_) => Transaction::new(),
        };
        Ok(self.table.commit(transaction.once(delivery)).await?)
    }
}

fn quote(delivery: &Delivery) -> Result<Quote, ConsumerError> {
    let event = &delivery.event;
    if event.event_type == ProductCreated::TYPE {
        let ProductCreated { product_id, name, price, category, version } = event.payload()?;
        Ok(Quote { product_id, name, price, category, version })
    } else {
        let ProductUpdated { product_id, name, price, category, version } = event.payload()?;
        Ok(Quote { product_id, name, price, category, version })
    }
}
