use anyhow::{Context, Result};
use auth::{api_key, audit::Origin};
use clap::{builder::RangedI64ValueParser, value_parser};
use shared::{
    auth::{ApiKeyRecord, ApiKeySecret, MAX_REQUESTS_PER_SECOND, Scope},
    id::Id,
    table::{Cursor, PageRequest},
};

use crate::stack::Stack;

/// Requests per second that a key may make unless its maker says otherwise.
pub const REQUESTS_PER_SECOND: u32 = 20;

/// Makes an API key and answers with its text, which is kept nowhere.
pub async fn make(
    stack: &Stack,
    name: &str,
    client: Option<String>,
    scopes: &[Scope],
    requests_per_second: u32,
) -> Result<String> {
    let (id, secret) = (Id::generate(), ApiKeySecret::generate()?);
    let record = ApiKeyRecord::new(id, &secret, name, scopes, requests_per_second, None).held_by(client);
    let insertion = api_key::insertion(&record, &Origin::operator(), &stack.table("auth"));
    let stored = stack.table("platform").commit(insertion).await;
    stored.context("the API key was not stored")?;
    Ok(secret.key_text(id))
}

/// Prints all API keys, without what would open anything.
pub async fn list(stack: &Stack) -> Result<()> {
    let mut request = PageRequest { limit: Some(PageRequest::MAX_LIMIT), cursor: None };
    loop {
        let page = api_key::page(&stack.table("platform"), &request).await?;
        for key in page.data {
            println!("{}", serde_json::to_string(&key)?);
        }
        let Some(next) = page.next else { return Ok(()) };
        request.cursor = Some(Cursor::parse(&next)?);
    }
}

/// Revokes an API key; one that is revoked stays so.
pub async fn revoke(stack: &Stack, id: Id) -> Result<()> {
    let table = stack.table("platform");
    let record = ApiKeyRecord::with_id(&table, id).await?.with_context(|| format!("there is no API key {id}"))?;
    if record.revoked_at.is_none() {
        table.commit(api_key::revocation(&record, &Origin::operator(), &stack.table("auth"))).await?;
    }
    Ok(())
}

/// What requests per second there may be.
pub fn rate() -> RangedI64ValueParser<u32> {
    value_parser!(u32).range(1..=i64::from(MAX_REQUESTS_PER_SECOND))
}

/// The scope of this name.
pub fn scope(name: &str) -> Result<Scope, String> {
    let unknown = |_| {
        let known: Vec<_> = Scope::ALL.iter().filter_map(|scope| serde_json::to_string(scope).ok()).collect();
        format!("no such scope; there are {}", known.join(", "))
    };
    serde_json::from_value(name.into()).map_err(unknown)
}
