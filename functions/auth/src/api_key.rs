//! An API key as its admins see it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use shared::{
    auth::{ApiKeyRecord, KeyUse, Scope},
    aws::ConfigError,
    event::Role,
    id::Id,
    table::{Page, PageError, PageRequest, Table, Transaction},
    time::Timestamp,
};
use utoipa::ToSchema;

use crate::audit::{AuditEntry, AuditEvent, Origin};

/// What an admin may know of an API key: all but its secret, and not its hash either.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    pub id: Id,
    pub name: String,
    pub client: Option<String>,
    pub role: Role,
    pub scopes: Vec<Scope>,
    pub requests_per_second: u32,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// To the hour.
    pub last_used_at: Option<Timestamp>,
}

/// A key as the audit log names it.
pub fn subject(id: Id) -> String {
    format!("api_key:{id}")
}

/// What the functions that deal with API keys share.
#[derive(Clone)]
pub struct Keys {
    /// Where the keys are.
    pub platform: Table,
    /// Where the audit log is, and the session of the admin.
    pub auth: Table,
}

impl Keys {
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self { platform: Table::from_env_variable("PLATFORM_TABLE_NAME")?, auth: Table::from_env()? })
    }
}

/// Stores a new key in the platform's table, and that it was made in auth's.
pub fn insertion(record: &ApiKeyRecord, origin: &Origin, audit: &Table) -> Transaction {
    let entry = AuditEntry::new(AuditEvent::ApiKeyCreated, origin).subject(subject(record.id));
    Transaction::new().insert(&entry).to(audit).and(Transaction::new().insert_new(record))
}

/// Stores in the platform's table that a key is good no more, and in auth's that it was revoked.
pub fn revocation(record: &ApiKeyRecord, origin: &Origin, audit: &Table) -> Transaction {
    let entry = AuditEntry::new(AuditEvent::ApiKeyRevoked, origin).subject(subject(record.id));
    Transaction::new().insert(&entry).to(audit).and(Transaction::new().replace(&record.revoked()))
}

/// All keys, newest first, and when they were used last: a page's Queries and one BatchGetItem.
pub async fn page(platform: &Table, request: &PageRequest) -> Result<Page<ApiKey>, PageError> {
    let page = ApiKeyRecord::page(platform, request).await?;
    let uses = KeyUse::of_many(platform, page.data.iter().map(|record| record.id)).await?;
    let used: HashMap<Id, Timestamp> = uses.iter().filter_map(|used| Some((used.id, used.last_used_at?))).collect();
    Ok(page.map(|record| {
        let key = ApiKey::from(record);
        ApiKey { last_used_at: used.get(&key.id).copied().max(key.last_used_at), ..key }
    }))
}

impl From<ApiKeyRecord> for ApiKey {
    fn from(record: ApiKeyRecord) -> Self {
        Self {
            id: record.id,
            role: record.role(),
            name: record.name,
            client: record.client,
            scopes: record.scopes,
            requests_per_second: record.requests_per_second,
            created_at: record.created_at,
            expires_at: record.expires_at,
            revoked_at: record.revoked_at,
            last_used_at: record.last_used_at,
        }
    }
}

impl shared::http::Resource for ApiKey {
    const COLLECTION: &'static str = "/api/auth/keys";

    fn id(&self) -> Id {
        self.id
    }
}
