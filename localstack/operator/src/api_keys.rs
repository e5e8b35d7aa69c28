use anyhow::{Context, Result};
use shared::{auth::ApiKeyRecord, table::Transaction};

use crate::stack::Stack;

/// Makes an API key and answers with its text, which is kept nowhere.
pub async fn make(stack: &Stack, name: &str, scopes: &[&str]) -> Result<String> {
    let key = ApiKeyRecord::generate(name, scopes)?;
    let stored = stack.table("platform").commit(Transaction::new().insert(&key.record)).await;
    stored.context("the API key was not stored")?;
    Ok(key.text)
}
