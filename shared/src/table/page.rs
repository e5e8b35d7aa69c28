use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Item, Table, TableError, item::from_attributes};
use crate::id::Id;

/// How many partitions of an index a list that grows without bound is spread over, so that no
/// single partition takes all of its writes.
const SHARDS: u64 = 4;

/// A write shard of an index.
pub struct Shard;

impl Shard {
    /// The index partition of the entity with this id in the list called `list`.
    pub fn of(list: &str, id: Id) -> String {
        // The lowest bit tells who gave the id, see `Id::even`.
        format!("{list}#{}", (id.value() >> 1) % SHARDS)
    }

    /// Every partition of the list called `list`.
    pub fn all(list: &str) -> Vec<String> {
        (0..SHARDS).map(|shard| format!("{list}#{shard}")).collect()
    }
}

/// A list that is read page by page, highest sort key first.
#[derive(Clone, Debug)]
pub struct Listing {
    /// `None` for the table itself.
    index: Option<&'static str>,
    partitions: Vec<String>,
    /// The lowest and the highest sort key.
    range: Option<(String, String)>,
}

impl Listing {
    /// One partition of an index.
    pub fn partition(index: &'static str, partition: impl Into<String>) -> Self {
        Self { index: Some(index), partitions: vec![partition.into()], range: None }
    }

    /// A list spread over write shards.
    pub fn sharded(index: &'static str, list: &str) -> Self {
        Self { index: Some(index), partitions: Shard::all(list), range: None }
    }

    /// Partitions of the table itself, with the sort keys from `lowest` to `highest`.
    pub fn between(partitions: Vec<String>, lowest: impl Into<String>, highest: impl Into<String>) -> Self {
        Self { index: None, partitions, range: Some((lowest.into(), highest.into())) }
    }

    /// What a cursor of this list says of its origin, so that it cannot continue another list.
    fn tag(&self) -> &str {
        self.partitions.first().map_or("", String::as_str)
    }
}

/// What a client asked for: how many items, continuing where.
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    /// 1 to 100; [`PageRequest::DEFAULT_LIMIT`] when the client did not say.
    pub limit: Option<u8>,
    pub cursor: Option<Cursor>,
}

impl PageRequest {
    pub const DEFAULT_LIMIT: u8 = 20;
    pub const MAX_LIMIT: u8 = 100;

    fn limit(&self) -> usize {
        usize::from(self.limit.unwrap_or(Self::DEFAULT_LIMIT).clamp(1, Self::MAX_LIMIT))
    }
}

/// An opaque position in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    tag: String,
    last: String,
}

/// The text is not a cursor that this API gave out, or belongs to another list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list")]
pub struct InvalidCursor;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CursorText {
    t: String,
    k: String,
    /// The checksum of both, so that an altered cursor is noticed.
    c: String,
}

fn checksum(tag: &str, last: &str) -> String {
    hex::encode(&Sha256::digest(format!("{}:{tag}{last}", tag.len()))[..4])
}

impl Cursor {
    const MAX_LENGTH: usize = 1024;

    pub fn parse(text: &str) -> Result<Self, InvalidCursor> {
        if text.len() > Self::MAX_LENGTH {
            return Err(InvalidCursor);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let CursorText { t, k, c } = serde_json::from_slice(&bytes).map_err(|_| InvalidCursor)?;
        if k.is_empty() || c != checksum(&t, &k) {
            return Err(InvalidCursor);
        }
        Ok(Self { tag: t, last: k })
    }

    fn text(&self) -> Result<String, serde_json::Error> {
        let c = checksum(&self.tag, &self.last);
        let text = serde_json::to_vec(&CursorText { t: self.tag.clone(), k: self.last.clone(), c })?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode(text))
    }
}

/// One page of a list, as clients see it.
#[derive(Clone, Debug, Serialize)]
pub struct Page<T> {
    pub data: Vec<T>,
    /// The cursor of the next page; `null` on the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { data: self.data.into_iter().map(convert).collect(), next: self.next }
    }
}

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    #[error(transparent)]
    Table(#[from] TableError),
}

impl Table {
    /// One page of a list: one Query for each of the list's partitions, at the same time.
    ///
    /// Costs the same wherever the page lies in the list and however long the list is. Entries
    /// with the same sort key in different partitions must not exist: sort keys are unique ids.
    pub async fn page<T: Item>(&self, listing: &Listing, request: &PageRequest) -> Result<Page<T>, PageError> {
        let before = match &request.cursor {
            Some(cursor) if cursor.tag != listing.tag() => return Err(InvalidCursor.into()),
            cursor => cursor.as_ref().map(|cursor| cursor.last.as_str()),
        };
        let limit = request.limit();
        let reads = listing.partitions.iter().map(|partition| self.newest(listing, partition, before, limit + 1));
        let mut entries: Vec<(String, T)> = try_join_all(reads).await?.into_iter().flatten().collect();
        entries.sort_by(|(a, _), (b, _)| b.cmp(a));
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries
            .last()
            .filter(|_| more)
            .map(|(last, _)| Cursor { tag: listing.tag().to_owned(), last: last.clone() }.text());
        let next = next.transpose().map_err(|error| TableError::malformed("cursor", error))?;
        Ok(Page { data: entries.into_iter().map(|(_, item)| item).collect(), next })
    }

    /// The items of one of the listing's partitions below `before`, highest sort key first, with
    /// their sort keys.
    async fn newest<T: Item>(
        &self,
        listing: &Listing,
        partition: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, T)>, TableError> {
        let prefix = listing.index.unwrap_or_default();
        let mut values = vec![(":pk", partition)];
        let condition = match (&listing.range, before) {
            (None, None) => format!("{prefix}pk = :pk"),
            (None, Some(before)) => {
                values.push((":before", before));
                format!("{prefix}pk = :pk AND {prefix}sk < :before")
            }
            (Some((lowest, _)), Some(before)) if before < lowest.as_str() => return Ok(Vec::new()),
            (Some((lowest, highest)), before) => {
                values.extend([(":lowest", lowest.as_str()), (":highest", before.unwrap_or(highest))]);
                format!("{prefix}pk = :pk AND {prefix}sk BETWEEN :lowest AND :highest")
            }
        };
        let mut query = self
            .client
            .query()
            .table_name(self.name())
            .set_index_name(listing.index.map(str::to_owned))
            .consistent_read(listing.index.is_none())
            .key_condition_expression(condition)
            // BETWEEN takes in the entry that the page before ended with.
            .set_limit(i32::try_from(limit + 1).ok())
            .scan_index_forward(false);
        for (name, value) in values {
            query = query.expression_attribute_values(name, AttributeValue::S(value.to_owned()));
        }
        let answer = query.send().await.map_err(TableError::unavailable)?;
        let sort_key = format!("{prefix}sk");
        let items = answer.items.unwrap_or_default().into_iter();
        let entries = items.map(|attributes| {
            let key = attributes.get(&sort_key).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
            from_attributes(attributes).map(|item| (key, item))
        });
        entries
            .filter(|entry| entry.as_ref().map_or(true, |(key, _)| Some(key.as_str()) != before))
            .take(limit)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(tag in ".{0,40}", last in ".{1,40}") {
            let cursor = Cursor { tag, last };
            prop_assert_eq!(Cursor::parse(&cursor.text().unwrap_or_default()), Ok(cursor));
        }

        #[test]
        fn an_altered_cursor_is_refused(at in 0usize..60, to in "[A-Za-z0-9_-]") {
            let cursor = Cursor { tag: "ORDERS#0".into(), last: "0000890496215145702".into() };
            let mut text = cursor.text().unwrap_or_default();
            let at = at % text.len();
            prop_assume!(text[at..=at] != to);
            text.replace_range(at..=at, &to);
            prop_assert!(Cursor::parse(&text).is_err_and(|_| true) || Cursor::parse(&text) == Ok(cursor));
        }

        #[test]
        fn any_other_text_is_refused(text in ".{0,200}") {
            prop_assert!(Cursor::parse(&text).is_err());
        }
    }
}
