//! Deciding what a user is told, where, and when.

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::{http::FieldError, id::Id, time::Timestamp};
use utoipa::ToSchema;

use crate::{
    notification::{Channel, Draft},
    recipient::{Reach, Recipient, Unreached},
    templates::{Language, Library, RenderError, TemplateName, Wanted},
};

/// A notification as its sender describes it.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNotification {
    #[garde(skip)]
    pub user_id: Id,
    #[garde(skip)]
    pub channel: Channel,
    #[garde(skip)]
    pub template: TemplateName,
    /// The latest when it is not given.
    #[garde(skip)]
    #[serde(default)]
    pub template_version: Option<u32>,
    /// The user's own when it is not given.
    #[garde(skip)]
    #[serde(default)]
    pub language: Option<Language>,
    #[garde(skip)]
    #[serde(default = "nothing")]
    #[schema(value_type = Object)]
    pub params: Value,
    /// It does not wait for the end of quiet hours.
    #[garde(skip)]
    #[serde(default)]
    pub urgent: bool,
}

fn nothing() -> Value {
    Value::Object(serde_json::Map::new())
}

/// Why a user is not told.
#[derive(Debug, thiserror::Error)]
pub enum NotTold {
    #[error("no such user")]
    UnknownUser,
    #[error("the user has no {0}")]
    NoAddress(&'static str),
    #[error("the user does not want this")]
    OptedOut,
    #[error(transparent)]
    Words(#[from] RenderError),
}

impl NotTold {
    /// What is wrong with the sender's description, with pointers into it; `None` when nothing is.
    pub fn field_errors(&self) -> Option<Vec<FieldError>> {
        let at = |pointer: &str| Some(vec![FieldError { pointer: pointer.to_owned(), detail: self.to_string() }]);
        match self {
            Self::UnknownUser => at("/user_id"),
            Self::NoAddress(_) => at("/channel"),
            Self::Words(RenderError::UnknownVersion) => at("/template_version"),
            Self::Words(RenderError::TooLong) => at("/params"),
            Self::Words(RenderError::Parameters(errors)) => {
                let within = errors.iter().map(|error| FieldError {
                    pointer: format!("/params{}", error.pointer),
                    detail: error.detail.clone(),
                });
                Some(within.collect())
            }
            Self::OptedOut | Self::Words(RenderError::Defect(_)) => None,
        }
    }
}

/// Composes what is to be sent to a user.
pub fn compose(
    library: &Library,
    recipient: Option<&Recipient>,
    new: &NewNotification,
    now: Timestamp,
) -> Result<Draft, NotTold> {
    let recipient = recipient.ok_or(NotTold::UnknownUser)?;
    let NewNotification { channel, template, urgent, .. } = *new;
    let reach = recipient.reach(channel, template.category(), urgent, now);
    let Reach { profile, to, held_until } = reach.map_err(|reason| not_told(reason, channel))?;
    let preferences = &recipient.preferences;
    let language = new.language.unwrap_or(preferences.language);
    let wanted = Wanted {
        template,
        version: new.template_version,
        language,
        channel,
        time_zone: preferences.time_zone,
        name: &profile.name,
        params: &new.params,
    };
    let (content, template_version) = library.render(&wanted)?;
    Ok(Draft {
        user_id: recipient.user_id,
        channel,
        template,
        template_version,
        language,
        to: to.to_owned(),
        content,
        urgent,
        held_until,
    })
}

fn not_told(reason: Unreached, channel: Channel) -> NotTold {
    match reason {
        Unreached::Gone => NotTold::UnknownUser,
        Unreached::NoAddress => NotTold::NoAddress(address_of(channel)),
        Unreached::OptedOut => NotTold::OptedOut,
    }
}

fn address_of(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "e-mail address",
        Channel::Sms => "telephone number",
        Channel::Push => "push endpoint",
    }
}
