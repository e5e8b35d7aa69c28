use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use crate::{
    context::Context,
    http::network,
    id::Id,
    table::{FailedCheck, Item, Key, Table, TableError, Update},
    time::Timestamp,
};

/// A key's use from one address is noted down at most so often, as is that it was refused.
const NOTED_EVERY: Duration = Duration::from_secs(3600);
/// From how many addresses uses are noted down within that time.
const NOTED_ADDRESSES: usize = 16;
const LAST_USE: &str = "last_use";
const LAST_REFUSAL: &str = "last_refusal";

/// What was noted down of an API key's uses: beside its record, since the functions that note it down are not
/// to write what the key is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// The key's id.
    pub id: Id,
    /// The last use that was noted down: the first from its address in an hour.
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
    /// The source address and the correlation id of that use.
    #[serde(default)]
    pub last_used_from: Option<String>,
    #[serde(default)]
    pub last_used_in: Option<String>,
    /// The networks that uses of the last hour were noted down from, and when.
    #[serde(default)]
    recent_uses: BTreeMap<String, Timestamp>,
    /// When it was refused, to the hour: it was revoked, or expired, or its secret was wrong.
    #[serde(default)]
    pub last_refused_at: Option<Timestamp>,
    /// The source address and the correlation id of that refusal.
    #[serde(default)]
    pub last_refused_from: Option<String>,
    #[serde(default)]
    pub last_refused_in: Option<String>,
}

impl Item for KeyUse {
    const TYPE: &'static str = "key_use";

    fn key(&self) -> Key {
        Self::key_of(self.id)
    }
}

impl KeyUse {
    fn key_of(id: Id) -> Key {
        Key::new(format!("KEY_USE#{id}"), "KEY_USE")
    }

    /// Of a key that was never used, as far as is known.
    pub fn none(id: Id) -> Self {
        Self {
            id,
            last_used_at: None,
            last_used_from: None,
            last_used_in: None,
            recent_uses: BTreeMap::new(),
            last_refused_at: None,
            last_refused_from: None,
            last_refused_in: None,
        }
    }

    /// What is known of this key: one GetItem.
    pub async fn of(table: &Table, id: Id) -> Result<Self, TableError> {
        Ok(table.get(&Self::key_of(id)).await?.unwrap_or_else(|| Self::none(id)))
    }

    /// What is known of those of these keys that something is known of, in no order: one BatchGetItem for
    /// each hundred.
    pub async fn of_many(table: &Table, ids: impl Iterator<Item = Id>) -> Result<Vec<Self>, TableError> {
        table.get_many(&ids.map(Self::key_of).collect::<Vec<_>>()).await
    }

    /// Notes down that the key is used from this address, unless that was done within the hour.
    pub(super) async fn note_use(self, table: &Table, address: &str) -> Result<(), TableError> {
        let mut known = self;
        // Each round that fails has seen another address noted down, of which there are so many in an hour.
        while let Some(update) = known.use_to_note(address) {
            match table.apply(update).await {
                Err(error) if error.failed(LAST_USE) => {
                    let stored = error.check(LAST_USE).map(FailedCheck::existing).transpose()?.flatten();
                    let Some(stored) = stored else { return Err(error) };
                    known = stored;
                }
                result => return result,
            }
        }
        Ok(())
    }

    /// Notes down that the key was refused, unless that was done within the hour.
    pub(super) async fn note_refusal(&self, table: &Table, address: &str) -> Result<(), TableError> {
        let now = Timestamp::now();
        let update = self.update(LAST_REFUSAL);
        let update = match self.last_refused_at {
            Some(last) if now.since(last) < NOTED_EVERY => return Ok(()),
            Some(last) => update.require("last_refused_at", "=", text(&last.to_string())),
            None => update.require_absent("last_refused_at"),
        };
        let update = update
            .set("last_refused_at", text(&now.to_string()))
            .set("last_refused_from", text(address))
            .set("last_refused_in", text(&Context::current().correlation_id));
        match table.apply(update).await {
            // Another refusal was noted down at the same time.
            Err(error) if error.failed(LAST_REFUSAL) => Ok(()),
            result => result,
        }
    }

    fn use_to_note(&self, address: &str) -> Option<Update> {
        let network = network(address);
        // Later than any that was noted down, so that no two uses are taken for one.
        let earliest = self.last_used_at.map(|last| last.plus(Duration::from_millis(1)));
        let now = earliest.map_or(Timestamp::now(), |earliest| earliest.max(Timestamp::now()));
        let recent = self.recent_uses.iter().filter(|(_, at)| now.since(**at) < NOTED_EVERY);
        let mut recent: HashMap<String, AttributeValue> =
            recent.map(|(network, at)| (network.clone(), text(&at.to_string()))).collect();
        if recent.len() >= NOTED_ADDRESSES || recent.contains_key(&network) {
            return None;
        }
        recent.insert(network, text(&now.to_string()));
        let update = self.update(LAST_USE);
        let update = match self.last_used_at {
            Some(last) => update.require("last_used_at", "=", text(&last.to_string())),
            None => update.require_absent("last_used_at"),
        };
        let update = update.set("last_used_at", text(&now.to_string())).set("last_used_from", text(address));
        let update = update.set("last_used_in", text(&Context::current().correlation_id));
        Some(update.set("recent_uses", AttributeValue::M(recent)))
    }

    /// A change that makes the item whole if this is the first.
    fn update(&self, label: &'static str) -> Update {
        Update::anyway(label, self.key())
            .set("type", text(Self::TYPE))
            .set("schema", AttributeValue::N(Self::SCHEMA.to_string()))
            .set("id", AttributeValue::N(self.id.to_string()))
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}
