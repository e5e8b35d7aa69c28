//! Makes a profile for every account, and lets it follow the account's name and e-mail.

use async_trait::async_trait;
use shared::{
    auth::Admins,
    aws::ConfigError,
    consumer::{self, Consumer, ConsumerError, Delivery},
    event::{AccountUpdated, Payload, Role, UserRegistered},
    id::Id,
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
        let user = User::of_account(&account, delivery.event.occurred_at);
        let joining = self.change_of_role(user.id, Role::Customer, user.role).await?;
        match self.table.commit(store::insertion(&user).and(joining).once(delivery)).await {
            Err(error) if error.failed(EMAIL) && !error.failed("inbox") => {
                warn_of_taken_email(&user);
                let joining = self.change_of_role(user.id, Role::Customer, user.role).await?;
                Ok(self.table.commit(store::unguarded_insertion(&user).and(joining).once(delivery)).await?)
            }
            result => Ok(result?),
        }
    }

    /// The newest of what auth and users were told wins, but for the role, which only auth is told. News that
    /// is older than the profile, or of a profile that was deleted, is let pass; news of a profile that is
    /// still to come comes again.
    async fn updated(&self, delivery: &Delivery, account: AccountUpdated) -> Result<(), ConsumerError> {
        let at = delivery.event.occurred_at;
        let Some(stored) = store::get(&self.table, account.user_id).await? else {
            return self.without_profile(delivery, account.user_id).await;
        };
        if at < stored.updated_at {
            return self.role_only(delivery, &stored, account.role).await;
        }
        let updated = stored.updated(&account.name, &account.email, at).in_role(account.role);
        if (&updated.name, &updated.email, updated.role) == (&stored.name, &stored.email, stored.role) {
            return Ok(self.table.commit(store::confirmation(&updated).once(delivery)).await?);
        }
        let holds_email = store::holds_email(&self.table, &stored).await?;
        let change = store::update(&stored, &updated, holds_email, None);
        let change = change.and(self.change_of_role(stored.id, stored.role, updated.role).await?);
        match self.table.commit(change.once(delivery)).await {
            Err(error) if error.failed(EMAIL) && !error.failed("inbox") => {
                warn_of_taken_email(&stored);
                let renamed = stored.updated(&account.name, &stored.email, at).in_role(account.role);
                let change = store::update(&stored, &renamed, holds_email, None);
                let change = change.and(self.change_of_role(stored.id, stored.role, renamed.role).await?);
                Ok(self.table.commit(change.once(delivery)).await?)
            }
            result => Ok(result?),
        }
    }

    async fn role_only(&self, delivery: &Delivery, stored: &User, role: Option<Role>) -> Result<(), ConsumerError> {
        let updated = stored.updated(&stored.name, &stored.email, stored.updated_at).in_role(role);
        if updated.role == stored.role {
            return self.let_pass(delivery).await;
        }
        let change = store::update(stored, &updated, true, None);
        let change = change.and(self.change_of_role(stored.id, stored.role, updated.role).await?);
        Ok(self.table.commit(change.once(delivery)).await?)
    }

    /// What keeps in mind who the admins are.
    async fn change_of_role(&self, id: Id, before: Role, after: Role) -> Result<Transaction, ConsumerError> {
        Ok(match (before, after) {
            (Role::Admin, Role::Admin) => Transaction::new(),
            (_, Role::Admin) => Admins::read(&self.table).await?.joined_by(id),
            (Role::Admin, _) => Admins::read(&self.table).await?.left_by(id),
            _ => Transaction::new(),
        })
    }

    async fn without_profile(&self, delivery: &Delivery, id: Id) -> Result<(), ConsumerError> {
        if store::was_deleted(&self.table, id).await? {
            self.let_pass(delivery).await
        } else {
            Err(ConsumerError::Rejected(format!("user {id} has no profile yet")))
        }
    }

    async fn let_pass(&self, delivery: &Delivery) -> Result<(), ConsumerError> {
        Ok(self.table.commit(Transaction::new().once(delivery)).await?)
    }
}

fn warn_of_taken_email(user: &User) {
    tracing::warn!(user_id = %user.id, "another profile holds the account's e-mail address");
}
