//! Lets an account follow its profile's name and e-mail, and end with it.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, Consumer, ConsumerError, Delivery},
    event::{Payload, UserDeleted, UserUpdated},
    runtime::Function,
    table::{Table, Transaction},
};

use crate::{
    account::Account,
    audit::{AuditEntry, AuditEvent, Origin},
    store::{self, EMAIL},
};

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
        if delivery.event.event_type == UserDeleted::TYPE {
            self.deleted(delivery, delivery.event.payload()?).await
        } else {
            self.updated(delivery, delivery.event.payload()?).await
        }
    }
}

impl UserEvents {
    async fn deleted(&self, delivery: &Delivery, user: UserDeleted) -> Result<(), ConsumerError> {
        let account = store::account(&self.table, user.user_id).await?.filter(|account| !account.disabled);
        let end = |account: Account| {
            let entry = AuditEntry::new(AuditEvent::Disabled, &Origin::service("users")).user(user.user_id);
            Transaction::new().replace(&account.disable()).insert(&entry)
        };
        let transaction = account.map(end).unwrap_or_default();
        Ok(self.table.commit(transaction.once(delivery)).await?)
    }

    /// The newest of what auth and users were told wins.
    async fn updated(&self, delivery: &Delivery, user: UserUpdated) -> Result<(), ConsumerError> {
        let at = delivery.event.occurred_at;
        let account = store::account(&self.table, user.user_id).await?;
        // Stored even if it changes nothing but the time: an older event may yet come.
        let news = account.filter(|account| account.updated_at <= at);
        let Some(account) = news else { return Ok(self.table.commit(Transaction::new().once(delivery)).await?) };
        let renamed = account.renamed(&user.name, &user.email, at);
        match self.table.commit(store::renaming(&account, &renamed).once(delivery)).await {
            Err(error) if error.failed(EMAIL) && !error.failed("inbox") => {
                tracing::warn!(user_id = %user.user_id, "another account has the profile's e-mail address");
                let renamed = account.renamed(&user.name, &account.profile.email, at);
                Ok(self.table.commit(store::renaming(&account, &renamed).once(delivery)).await?)
            }
            result => Ok(result?),
        }
    }
}
