//! Keeps the replica of the users, and welcomes them.

use async_trait::async_trait;
use shared::{
    aws::ConfigError,
    consumer::{self, Consumer, ConsumerError, Delivery},
    event::{Payload, UserCreated, UserDeleted, UserRegistered, UserUpdated},
    runtime::Function,
    time::Timestamp,
};

use super::{once, tell, words};
use crate::{
    Notifications,
    notification::Channel,
    occasions::{Occasion, is_old_news},
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

    /// A user is welcomed at the first of the events that tell of the account and of the profile; at
    /// later ones, it is found that they were.
    async fn handle(&self, delivery: &Delivery) -> Result<(), ConsumerError> {
        let (news, now) = (news(delivery)?, Timestamp::now());
        let Notifications { table, library } = &self.notifications;
        let stored = store::recipient(table, news.user_id).await?;
        let known = stored.unwrap_or_else(|| Recipient::unknown(news.user_id));
        let heard = known.heard(news);
        let recipient = heard.as_ref().unwrap_or(&known);
        let occasion = Occasion::welcome(recipient.user_id);
        let welcome = match begins(delivery, now) {
            true => occasion.draft(library, recipient, Channel::Email, now).map_err(words)?,
            false => None,
        };
        let change = || heard.as_ref().map(store::save).unwrap_or_default().and(once(delivery));
        Ok(tell(table, &occasion, welcome.into_iter().collect(), change, now).await?)
    }
}

/// Whether the event tells of a new user.
fn begins(delivery: &Delivery, now: Timestamp) -> bool {
    let event = &delivery.event;
    [UserRegistered::TYPE, UserCreated::TYPE].contains(&event.event_type.as_str()) && !is_old_news(event, now)
}

fn news(delivery: &Delivery) -> Result<ProfileNews, ConsumerError> {
    let event = &delivery.event;
    let news = match event.event_type.as_str() {
        UserDeleted::TYPE => {
            let UserDeleted { user_id, version, .. } = event.payload()?;
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
            let UserUpdated { user_id, name, email, role, version, .. } = event.payload()?;
            ProfileNews { user_id, profile: Some(Profile { name, email, role }), version }
        }
    };
    Ok(news)
}
