//! An API key as its admins see it.

use serde::{Deserialize, Serialize};
use shared::{
    auth::{ApiKeyRecord, Scope},
    id::Id,
    time::Timestamp,
};

/// What an admin may know of an API key: all but its secret, and not its hash either.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiKey {
    pub id: Id,
    pub name: String,
    pub scopes: Vec<Scope>,
    pub requests_per_second: u32,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

impl From<ApiKeyRecord> for ApiKey {
    fn from(record: ApiKeyRecord) -> Self {
        Self {
            id: record.id,
            name: record.name,
            scopes: record.scopes,
            requests_per_second: record.requests_per_second,
            created_at: record.created_at,
            expires_at: record.expires_at,
            revoked_at: record.revoked_at,
        }
    }
}

impl shared::http::Resource for ApiKey {
    const COLLECTION: &'static str = "/api/auth/keys";

    fn id(&self) -> Id {
        self.id
    }
}
