//! Tells users, and admins, what has happened.

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use shared::{
    aws::ConfigError,
    consumer::{self, Consumer, ConsumerError, Delivery},
    id::Id,
    runtime::Function,
    table::{Cursor, PageError, PageRequest, Transaction},
    time::Timestamp,
};

use super::{once, tell, words};
use crate::{
    Notifications,
    occasions::{Audience, Occasion, is_old_news},
    recipient::Recipient,
    store,
};

/// Admins who are told at the same time.
const ADMINS_AT_ONCE: usize = 8;

pub struct DomainEvents {
    pub notifications: Notifications,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(consumer::function(DomainEvents { notifications: Notifications::from_env()? }))
}

#[async_trait]
impl Consumer for DomainEvents {
    fn name(&self) -> &'static str {
        "domain-events"
    }

    async fn handle(&self, delivery: &Delivery) -> Result<(), ConsumerError> {
        let (event, now) = (&delivery.event, Timestamp::now());
        if is_old_news(event, now) {
            tracing::warn!(event_id = %event.id, occurred_at = %event.occurred_at, "too old to be told of");
            return self.let_pass(delivery).await;
        }
        let occasion = Occasion::of(event)?;
        match occasion.audience {
            Audience::User(user_id) => self.tell_user(delivery, &occasion, user_id, now).await,
            Audience::Admins => self.tell_admins(delivery, &occasion, now).await,
        }
    }
}

impl DomainEvents {
    async fn tell_user(
        &self,
        delivery: &Delivery,
        occasion: &Occasion,
        user_id: Id,
        now: Timestamp,
    ) -> Result<(), ConsumerError> {
        let recipient = store::recipient(&self.notifications.table, user_id).await?;
        let recipient = recipient.filter(|recipient| recipient.deleted || recipient.profile.is_some());
        let unheard = || ConsumerError::Rejected(format!("user {user_id} was not heard of yet"));
        let recipient = recipient.ok_or_else(unheard)?;
        let drafts = occasion.drafts(&self.notifications.library, &recipient, now).map_err(words)?;
        Ok(tell(&self.notifications.table, occasion, drafts, || once(delivery), now).await?)
    }

    /// Tells each admin in a transaction of its own: should this end in between, those who were told are
    /// known when the event comes again.
    async fn tell_admins(&self, delivery: &Delivery, occasion: &Occasion, now: Timestamp) -> Result<(), ConsumerError> {
        let admins = self.admins().await?;
        if admins.is_empty() {
            return Err(ConsumerError::Rejected("no admin is known who could be told".into()));
        }
        let Notifications { table, library } = &self.notifications;
        let told = admins.into_iter().map(|admin| async move {
            let drafts = occasion.drafts(library, &admin, now).map_err(words)?;
            Ok::<_, ConsumerError>(tell(table, occasion, drafts, Transaction::new, now).await?)
        });
        stream::iter(told).buffer_unordered(ADMINS_AT_ONCE).try_collect::<()>().await?;
        self.let_pass(delivery).await
    }

    async fn admins(&self) -> Result<Vec<Recipient>, ConsumerError> {
        let mut found = Vec::new();
        let mut request = PageRequest { limit: Some(PageRequest::MAX_LIMIT), cursor: None };
        loop {
            let page = store::admins(&self.notifications.table, &request).await.map_err(unlisted)?;
            found.extend(page.data);
            let Some(next) = page.next else { return Ok(found) };
            request.cursor = Some(Cursor::parse(&next).map_err(|error| unlisted(error.into()))?);
        }
    }

    async fn let_pass(&self, delivery: &Delivery) -> Result<(), ConsumerError> {
        Ok(self.notifications.table.commit(once(delivery)).await?)
    }
}

fn unlisted(error: PageError) -> ConsumerError {
    match error {
        PageError::Table(error) => error.into(),
        PageError::Cursor(error) => ConsumerError::Rejected(error.to_string()),
    }
}
