//! Lets an account follow its profile's name and e-mail, and end with it.

use async_trait::async_trait;
use shared::{
    auth::Admins,
    aws::ConfigError,
    consumer::{self, Consumer, ConsumerError, Delivery},
    event::{Payload, Role, UserDeleted, UserUpdated},
    runtime::Function,
    table::{Table, Transaction},
};

use crate::{
    account::{Account, Profile},
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
        let transaction = match account {
            Some(account) => self.ended(&account, user.by).await?,
            None => Transaction::new(),
        };
        Ok(self.table.commit(transaction.once(delivery)).await?)
    }

    async fn ended(&self, account: &Account, by: Option<String>) -> Result<Transaction, ConsumerError> {
        let id = account.profile.id;
        let entry = AuditEntry::new(AuditEvent::Disabled, &Origin::told_by("users", by)).user(id);
        let admins = match account.profile.role {
            Role::Admin => Admins::read(&self.table).await?.left_by(id),
            _ => Transaction::new(),
        };
        Ok(admins.and(Transaction::new().replace(&account.disable())).insert(&entry))
    }

    /// The newest of what auth and users were told wins.
    async fn updated(&self, delivery: &Delivery, user: UserUpdated) -> Result<(), ConsumerError> {
        let at = delivery.event.occurred_at;
        let account = store::account(&self.table, user.user_id).await?;
        // Stored even if it changes nothing but the time: an older event may yet come.
        let news = account.filter(|account| account.updated_at <= at);
        let Some(account) = news else { return Ok(self.table.commit(Transaction::new().once(delivery)).await?) };
        let origin = Origin::told_by("users", user.by);
        let renamed = account.renamed(&user.name, &user.email, at);
        match self.table.commit(followed(&account, &renamed, &origin).once(delivery)).await {
            Err(error) if error.failed(EMAIL) && !error.failed("inbox") => {
                tracing::warn!(user_id = %user.user_id, "another account has the profile's e-mail address");
                let renamed = account.renamed(&user.name, &account.profile.email, at);
                Ok(self.table.commit(followed(&account, &renamed, &origin).once(delivery)).await?)
            }
            result => Ok(result?),
        }
    }
}

/// Stores an account with its profile's name and e-mail. That they were others goes into the audit log, and not
/// that users repeats what it heard from auth.
fn followed(account: &Account, renamed: &Account, origin: &Origin) -> Transaction {
    let transaction = store::renaming(account, renamed);
    let shown = |Profile { name, email, .. }: &Profile| (name.clone(), email.clone());
    if shown(&account.profile) == shown(&renamed.profile) {
        return transaction;
    }
    transaction.insert(&AuditEntry::new(AuditEvent::Updated, origin).user(account.profile.id))
}
