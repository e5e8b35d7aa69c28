//! Who is told of things: what is known of a user's profile, a replica fed by events, and the user's
//! preferences.

use serde::{Deserialize, Serialize};
use shared::{event::Role, id::Id, time::Timestamp};

use crate::{notification::Channel, preferences::Preferences};

/// What a user's profile says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    pub name: String,
    pub email: String,
    pub role: Role,
}

/// A user as notifications knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    pub user_id: Id,
    /// `None` before the profile was heard of, and after it was deleted.
    pub profile: Option<Profile>,
    /// Of the profile, where it was heard of: the highest seen. An account's registration is 0.
    pub profile_version: Option<u64>,
    pub deleted: bool,
    pub welcomed_at: Option<Timestamp>,
    pub preferences: Preferences,
    pub version: u64,
}

/// What an event says of a user's profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileNews {
    pub user_id: Id,
    /// `None` when the profile is gone.
    pub profile: Option<Profile>,
    pub version: u64,
}

impl Recipient {
    /// A user of whom nothing is known.
    pub fn unknown(user_id: Id) -> Self {
        Self {
            user_id,
            profile: None,
            profile_version: None,
            deleted: false,
            welcomed_at: None,
            preferences: Preferences::default(),
            version: 0,
        }
    }

    /// The user after news of the profile, one version on; `None` when it is not new.
    ///
    /// Nothing personal is kept of a profile that is gone.
    pub fn heard(&self, news: ProfileNews) -> Option<Self> {
        if self.profile_version.is_some_and(|known| known >= news.version) {
            return None;
        }
        let deleted = news.profile.is_none();
        let preferences = if deleted { Preferences::default() } else { self.preferences.clone() };
        Some(Self {
            profile: news.profile,
            profile_version: Some(news.version),
            deleted,
            preferences,
            version: self.version + 1,
            ..self.clone()
        })
    }

    /// Whether the user can be welcomed and was not.
    pub fn awaits_welcome(&self) -> bool {
        self.profile.is_some() && self.welcomed_at.is_none()
    }

    /// The user once welcomed, one version on from the stored one.
    #[must_use]
    pub fn welcomed(&self, stored: u64, now: Timestamp) -> Self {
        Self { welcomed_at: Some(now), version: stored + 1, ..self.clone() }
    }

    /// The user with other preferences, one version on.
    #[must_use]
    pub fn preferring(&self, preferences: Preferences) -> Self {
        Self { preferences, version: self.version + 1, ..self.clone() }
    }

    /// Where the user is reached on a channel, if anywhere.
    pub fn address(&self, channel: Channel) -> Option<&str> {
        match channel {
            Channel::Email => self.profile.as_ref().map(|profile| profile.email.as_str()),
            Channel::Sms => self.preferences.phone.as_deref(),
            Channel::Push => self.preferences.push_endpoint.as_deref(),
        }
    }

    pub fn is_admin(&self) -> bool {
        self.profile.as_ref().is_some_and(|profile| profile.role == Role::Admin)
    }
}
