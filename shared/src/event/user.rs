use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::payload;
use crate::id::Id;

/// What a caller may do. People are customers or admins; whoever comes with an API key is a device
/// or a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    #[default]
    Customer,
    Admin,
    Device,
    Service,
}

/// Somebody signed up with auth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserRegistered {
    pub user_id: Id,
    pub username: String,
    pub email: String,
    pub name: String,
    pub role: Role,
}

/// A signed-in user changed name or e-mail with auth, or an operator the role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountUpdated {
    pub user_id: Id,
    pub email: String,
    pub name: String,
    /// `None` when it stays what it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// A user's profile exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserCreated {
    pub user_id: Id,
    pub name: String,
    pub email: String,
    pub role: Role,
    /// Of the profile: replicas keep the highest they have seen.
    pub version: u64,
}

/// A user's profile changed; carries all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserUpdated {
    pub user_id: Id,
    pub name: String,
    pub email: String,
    pub role: Role,
    pub version: u64,
    /// Who changed it: `user:42`. `None` when it follows the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A user's profile is gone; the account must not sign in again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserDeleted {
    pub user_id: Id,
    pub version: u64,
    /// Who removed it: `user:42`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

payload! {
    UserRegistered = "user.registered", "User", user_id;
    AccountUpdated = "account.updated", "User", user_id;
    UserCreated = "user.created", "User", user_id;
    UserUpdated = "user.updated", "User", user_id;
    UserDeleted = "user.deleted", "User", user_id;
}
