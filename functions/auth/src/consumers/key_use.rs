//! Notes the use of API keys, and that they were refused, in the audit log.
//!
//! Every service sees keys used, and only auth writes its log: so the kit notes a use in an item of the
//! platform's table, at most once an hour from one address, and the table's stream brings it here.

use async_trait::async_trait;
use aws_lambda_events::event::dynamodb;
use lambda_runtime::LambdaEvent;
use serde::Deserialize;
use shared::{
    auth::{ApiKeyRecord, KeyUse},
    aws::ConfigError,
    runtime::{self, Function},
    table::{Item, Table, TableError, Transaction},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    api_key,
    audit::{AuditEntry, AuditEvent, Origin},
};

pub struct KeyUses {
    pub table: Table,
}

/// What `main` serves.
pub fn function() -> Result<Box<dyn Function>, ConfigError> {
    Ok(Box::new(KeyUses { table: Table::from_env()? }))
}

#[async_trait]
impl Function for KeyUses {
    /// Fails as a whole while one use cannot be noted, so that the stream brings the batch again.
    async fn invoke(&self, event: LambdaEvent<serde_json::Value>) -> Result<serde_json::Value, runtime::Failure> {
        let batch: dynamodb::Event = serde_json::from_value(event.payload)?;
        for record in batch.records {
            let image = record.change.new_image;
            let Typed { item_type } = serde_dynamo::from_item(image.clone())?;
            // A key's record from when uses were noted down there has the same fields.
            if [KeyUse::TYPE, ApiKeyRecord::TYPE].contains(&&*item_type) {
                self.note(&serde_dynamo::from_item(image)?).await?;
            }
        }
        Ok(serde_json::Value::Null)
    }
}

#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "type", default)]
    item_type: String,
}

impl KeyUses {
    /// Notes the key's last use and its last refusal, unless that was done before: each time one of the two is
    /// news.
    async fn note(&self, key: &KeyUse) -> Result<(), TableError> {
        for entry in [used(key), refused(key)].into_iter().flatten() {
            match self.table.commit(Transaction::new().insert(&entry)).await {
                Err(error) if error.failed(AuditEntry::TYPE) => {}
                result => result?,
            }
        }
        Ok(())
    }
}

fn used(key: &KeyUse) -> Option<AuditEntry> {
    let origin = Origin::api_key(key.id, key.last_used_from.as_deref().unwrap_or("unknown"));
    let entry = AuditEntry::new(AuditEvent::ApiKeyUsed, &origin);
    key.last_used_at.map(|at| of_record(entry, key, at, key.last_used_in.as_deref(), 0))
}

fn refused(key: &KeyUse) -> Option<AuditEntry> {
    let origin = Origin::anybody(key.last_refused_from.as_deref().unwrap_or("unknown"));
    let entry = AuditEntry::new(AuditEvent::ApiKeyRefused, &origin);
    key.last_refused_at.map(|at| of_record(entry, key, at, key.last_refused_in.as_deref(), 1))
}

/// The same entry, to its id, however often the stream brings the record.
fn of_record(entry: AuditEntry, key: &KeyUse, at: Timestamp, request: Option<&str>, kind: u64) -> AuditEntry {
    let id = Uuid::from_u64_pair(at.unix_millis().unsigned_abs(), kind << 63 | key.id.value());
    let correlation_id = request.unwrap_or_default().to_owned();
    AuditEntry { id, occurred_at: at, correlation_id, ..entry.subject(api_key::subject(key.id)) }
}
