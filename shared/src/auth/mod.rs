//! Who is calling: bearer tokens checked locally, API keys checked against their stored hash.

mod admins;
mod api_key;
mod caller;
mod confirmation;
mod key_use;
mod token;

use std::sync::Arc;

pub use self::{
    admins::Admins,
    api_key::{ApiKeyRecord, ApiKeySecret, MAX_REQUESTS_PER_SECOND, Scope},
    caller::{Caller, Subject},
    confirmation::Unconfirmed,
    key_use::KeyUse,
    token::{AUDIENCE, Claims, ISSUER, InvalidToken, PublicKeys},
};
use crate::{
    aws::{self, ConfigError},
    table::Table,
};

/// What a caller's credentials are checked against. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Identity {
    keys: Arc<PublicKeys>,
    /// The platform's table, which holds the API keys' hashes.
    api_keys: Option<Table>,
}

impl Identity {
    pub fn new(keys: PublicKeys, api_keys: Option<Table>) -> Self {
        Self { keys: Arc::new(keys), api_keys }
    }

    /// Public keys from `JWT_PUBLIC_KEYS`, API keys from the table in `API_KEYS_TABLE_NAME`. Functions
    /// without the one accept no token, without the other no API key.
    pub fn from_env() -> Result<Self, ConfigError> {
        let keys = PublicKeys::parse(&aws::optional("JWT_PUBLIC_KEYS").unwrap_or_default())
            .map_err(|reason| ConfigError { variable: "JWT_PUBLIC_KEYS", reason })?;
        let table = aws::optional("API_KEYS_TABLE_NAME").map(|_| Table::from_env_variable("API_KEYS_TABLE_NAME"));
        Ok(Self::new(keys, table.transpose()?))
    }
}
