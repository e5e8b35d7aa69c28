//! A user's profile.

use garde::Validate;
use serde::{Deserialize, Serialize};
use shared::{
    event::{Role, UserCreated, UserDeleted, UserRegistered, UserUpdated},
    id::Id,
    text::not_blank,
    time::Timestamp,
};
use utoipa::ToSchema;

/// A profile as its owner or an admin describes it: the body of a create and of a full update.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    #[garde(custom(not_blank), length(chars, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    #[garde(email, length(max = 254))]
    #[schema(max_length = 254, format = Email)]
    pub email: String,
}

/// A user's profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    pub id: Id,
    pub name: String,
    pub email: String,
    pub role: Role,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: u64,
}

impl User {
    pub fn new(id: Id, name: &str, email: &str, role: Role) -> Self {
        Self::since(Timestamp::now(), id, name, email, role)
    }

    /// The profile of an account that was registered at `at`, which is as new as its news: a change
    /// of the account after that is newer, however late the registration is heard of.
    pub fn of_account(account: &UserRegistered, at: Timestamp) -> Self {
        Self::since(at, account.user_id, &account.name, &account.email, account.role)
    }

    fn since(at: Timestamp, id: Id, name: &str, email: &str, role: Role) -> Self {
        Self {
            id,
            name: name.trim().to_owned(),
            email: email.trim().to_owned(),
            role,
            created_at: at,
            updated_at: at,
            version: 1,
        }
    }

    /// The profile with another name and e-mail since `now`, one version on.
    #[must_use]
    pub fn updated(&self, name: &str, email: &str, now: Timestamp) -> Self {
        Self {
            name: name.trim().to_owned(),
            email: email.trim().to_owned(),
            updated_at: now,
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// The same profile with this role, if there is one.
    #[must_use]
    pub fn in_role(self, role: Option<Role>) -> Self {
        Self { role: role.unwrap_or(self.role), ..self }
    }

    pub fn created_event(&self) -> UserCreated {
        UserCreated {
            user_id: self.id,
            name: self.name.clone(),
            email: self.email.clone(),
            role: self.role,
            version: self.version,
        }
    }

    pub fn updated_event(&self) -> UserUpdated {
        UserUpdated {
            user_id: self.id,
            name: self.name.clone(),
            email: self.email.clone(),
            role: self.role,
            version: self.version,
            by: None,
        }
    }

    pub fn deleted_event(&self) -> UserDeleted {
        UserDeleted { user_id: self.id, version: self.version + 1, by: None }
    }
}
