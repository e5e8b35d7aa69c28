//! Counts payments and refunds, each once, in the read model that answers and in the one being built.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, Consumer, ConsumerError, Delivery},
    runtime::Function,
    table::{Item, Table},
};

use crate::{
    fact::Fact,
    model::Models,
    progress::Tracked,
    store::{self, Counted},
};

pub struct PaymentEvents {
    pub table: Table,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    let table = Table::from_env()?;
    Ok(tracked(&table, consumer::function(PaymentEvents { table: table.clone() })))
}

/// A consumer's function that keeps the marks of its progress in this table.
pub fn tracked(table: &Table, function: Box<dyn Function>) -> Box<dyn Function> {
    Box::new(Tracked { function, table: table.clone() })
}

#[async_trait]
impl Consumer for PaymentEvents {
    fn name(&self) -> &'static str {
        "payment-events"
    }

    fn once_check(&self) -> &'static str {
        Counted::TYPE
    }

    /// One GetItem, and one TransactWriteItems for each model that takes events. The record that a fact
    /// was counted stands for the inbox record: it does not expire, so that no replay, however late and
    /// under whatever name, counts anything twice.
    async fn handle(&self, delivery: &Delivery) -> Result<(), ConsumerError> {
        let Some(fact) = Fact::of(&delivery.event)? else { return Ok(()) };
        let (mut counted, mut repeated) = (false, None);
        for model in Models::read(&self.table).await?.live() {
            match store::count(&self.table, model, &fact).await {
                Ok(()) => counted = true,
                Err(error) if error.failed(Counted::TYPE) => repeated = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        repeated.filter(|_| !counted).map_or(Ok(()), |error| Err(error.into()))
    }
}
