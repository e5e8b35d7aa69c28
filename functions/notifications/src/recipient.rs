//! Who is told of things: what is known of a user's profile, a replica fed by events, and the user's
//! preferences.

use serde::{Deserialize, Serialize};
use shared::{event::Role, id::Id, time::Timestamp};

use crate::{
    notification::{Category, Channel, NotificationFailure},
    preferences::Preferences,
};

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
    pub preferences: Preferences,
    pub version: u64,
}

/// Where and when a user is told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach<'a> {
    pub profile: &'a Profile,
    /// An e-mail address, a telephone number or the ARN of a push endpoint.
    pub to: &'a str,
    /// The end of the quiet hours that hold it back.
    pub held_until: Option<Timestamp>,
}

/// Why a user is not told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    #[error("the user is not known any more")]
    Gone,
    #[error("the user has no address for the channel")]
    NoAddress,
    #[error("the user does not want this")]
    OptedOut,
}

impl Unreached {
    /// What becomes of a notification for this reason.
    pub fn failure(self) -> NotificationFailure {
        match self {
            Self::Gone | Self::NoAddress => NotificationFailure::Unreachable,
            Self::OptedOut => NotificationFailure::OptedOut,
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::Gone => "UserGone",
            Self::NoAddress => "NoAddress",
            Self::OptedOut => "OptedOut",
        }
    }
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

    /// Where and when the user is told something of this category on a channel, as things are `now`.
    /// What is urgent does not wait for the end of quiet hours.
    pub fn reach(
        &self,
        channel: Channel,
        category: Category,
        urgent: bool,
        now: Timestamp,
    ) -> Result<Reach<'_>, Unreached> {
        let profile = self.profile.as_ref().ok_or(Unreached::Gone)?;
        if self.preferences.opted_out(channel, category) {
            return Err(Unreached::OptedOut);
        }
        let to = self.address(channel).ok_or(Unreached::NoAddress)?;
        let held_until = if urgent { None } else { self.preferences.quiet_until(channel, now) };
        Ok(Reach { profile, to, held_until })
    }

    pub fn is_admin(&self) -> bool {
        self.profile.as_ref().is_some_and(|profile| profile.role == Role::Admin)
    }
}
