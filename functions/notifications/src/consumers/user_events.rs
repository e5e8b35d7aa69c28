//! Keeps the replica of the users.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, Consumer, ConsumerError, Delivery},
    event::{Payload, UserCreated, UserDeleted, UserRegistered, UserUpdated},
    runtime::Function,
    table::Transaction,
};

use crate::{
    Notifications,
    recipient::{Profile, ProfileNews, Recipient},
    store,
};

pub struct UserEvents {
    pub notifications: Notifications,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(consumer::function(UserEvents { notifications: Notifications::from_env()? }))
}

#[async_trait]
impl Consumer for UserEvents {
    fn name(&self) -> &'static str {
        "user-events"
    }

    async fn handle(&self, delivery: &Delivery) -> Result<(), ConsumerError> {
        let news = news(delivery)?;
        let table = &self.notifications.table;
        let stored = store::recipient(table, news.user_id).await?;
        let known = stored.unwrap_or_else(|| Recipient::unknown(news.user_id));
        let transaction = known.heard(news).map(|heard| store::save(&heard)).unwrap_or_default();
        Ok(table.commit(Transaction::new().once(delivery).and(transaction)).await?)
    }
}

fn news(delivery: &Delivery) -> Result<ProfileNews, ConsumerError> {
    let event = &delivery.event;
    let news = match event.event_type.as_str() {
        UserDeleted::TYPE => {
            let UserDeleted { user_id, version } = event.payload()?;
            ProfileNews { user_id, profile: None, version }
        }
        UserRegistered::TYPE => {
            let UserRegistered { user_id, email, name, role, .. } = event.payload()?;
            ProfileNews { user_id, profile: Some(Profile { name, email, role }), version: 0 }
        }
        UserCreated::TYPE => {
            let UserCreated { user_id, name, email, role, version } = event.payload()?;
            ProfileNews { user_id, profile: Some(Profile { name, email, role }), version }
        }
        _ => {
            let UserUpdated { user_id, name, email, role, version } = event.payload()?;
            ProfileNews { user_id, profile: Some(Profile { name, email, role }), version }
        }
    };
    Ok(news)
}
