//! Keeps the replica of the users' names.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, Consumer, ConsumerError, Delivery},
    event::{Payload, UserCreated, UserDeleted, UserUpdated},
    runtime::Function,
    table::{Table, Transaction},
};

use crate::store::{self, KnownUser};

pub struct UserEvents {
    pub table: Table,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(consumer::function(UserEvents { table: Table::from_env()? }))
}

#[async_trait]
impl Consumer for UserEvents {
    fn name(&self) -> &'static str {
        "user-events"
    }

    async fn handle(&self, delivery: &Delivery) -> Result<(), ConsumerError> {
        let user = user(delivery)?;
        let transaction = match store::known_user(&self.table, user.user_id).await? {
            None => Transaction::new().insert(&user),
            Some(known) if known.version < user.version => Transaction::new().overwrite(&user, known.version),
            Some(_) => Transaction::new(),
        };
        Ok(self.table.commit(transaction.once(delivery)).await?)
    }
}

fn user(delivery: &Delivery) -> Result<KnownUser, ConsumerError> {
    let event = &delivery.event;
    if event.event_type == UserDeleted::TYPE {
        let UserDeleted { user_id, version, .. } = event.payload()?;
        return Ok(KnownUser { user_id, name: None, version });
    }
    let (user_id, name, version) = if event.event_type == UserCreated::TYPE {
        let created: UserCreated = event.payload()?;
        (created.user_id, created.name, created.version)
    } else {
        let updated: UserUpdated = event.payload()?;
        (updated.user_id, updated.name, updated.version)
    };
    Ok(KnownUser { user_id, name: Some(name), version })
}
