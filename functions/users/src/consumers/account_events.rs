//! Makes a profile for every account, and lets it follow the account's name and e-mail.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, Consumer, ConsumerError, Delivery},
    event::{AccountUpdated, Payload, UserRegistered},
    runtime::Function,
    table::{Table, Transaction},
};

use crate::{
    store::{self, EMAIL},
    user::User,
};

pub struct AccountEvents {
    pub table: Table,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(consumer::function(AccountEvents { table: Table::from_env()? }))
}

#[async_trait]
impl Consumer for AccountEvents {
    fn name(&self) -> &'static str {
        "account-events"
    }

    async fn handle(&self, delivery: &Delivery) -> Result<(), ConsumerError> {
        if delivery.event.event_type == UserRegistered::TYPE {
            self.registered(delivery, delivery.event.payload()?).await
        } else {
            self.updated(delivery, delivery.event.payload()?).await
        }
    }
}

impl AccountEvents {
    async fn registered(&self, delivery: &Delivery, account: UserRegistered) -> Result<(), ConsumerError> {
        let user = User::new(account.user_id, &account.name, &account.email, account.role);
        match self.table.commit(store::insertion(&user).once(delivery)).await {
            Err(error) if error.failed(EMAIL) && !error.failed("inbox") => {
                tracing::warn!(user_id = %user.id, "another profile holds the account's e-mail address");
                Ok(self.table.commit(store::unguarded_insertion(&user).once(delivery)).await?)
            }
            result => Ok(result?),
        }
    }

    /// The newest of what auth and users were told wins.
    async fn updated(&self, delivery: &Delivery, account: AccountUpdated) -> Result<(), ConsumerError> {
        let stored = store::get(&self.table, account.user_id).await?;
        let news = stored.filter(|user| {
            user.updated_at <= delivery.event.occurred_at && (user.name != account.name || user.email != account.email)
        });
        let Some(stored) = news else { return Ok(self.table.commit(Transaction::new().once(delivery)).await?) };
        let holds_email = store::holds_email(&self.table, &stored).await?;
        let at = delivery.event.occurred_at;
        let updated = stored.updated(&account.name, &account.email, at);
        match self.table.commit(store::update(&stored, &updated, holds_email).once(delivery)).await {
            Err(error) if error.failed(EMAIL) && !error.failed("inbox") => {
                tracing::warn!(user_id = %stored.id, "another profile holds the account's e-mail address");
                let renamed = stored.updated(&account.name, &stored.email, at);
                Ok(self.table.commit(store::update(&stored, &renamed, holds_email).once(delivery)).await?)
            }
            result => Ok(result?),
        }
    }
}
