use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

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

    /// The index partition of what has this random id in the list called `list`.
    pub fn of_uuid(list: &str, id: Uuid) -> String {
        format!("{list}#{}", id.as_u128() % u128::from(SHARDS))
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
    ascending: bool,
    /// The lowest sort key in the list.
    from: Option<String>,
    /// The lowest sort key above the list.
    until: Option<String>,
}

impl Listing {
    fn new(index: Option<&'static str>, partitions: Vec<String>) -> Self {
        Self { index, partitions, ascending: false, from: None, until: None }
    }

    /// One partition of an index.
    pub fn partition(index: &'static str, partition: impl Into<String>) -> Self {
        Self::new(Some(index), vec![partition.into()])
    }

    /// A list spread over write shards of an index.
    pub fn sharded(index: &'static str, list: &str) -> Self {
        Self::new(Some(index), Shard::all(list))
    }

    /// Several lists, each spread over write shards of an index, read as one.
    pub fn merged(index: &'static str, lists: &[String]) -> Self {
        Self::new(Some(index), lists.iter().flat_map(|list| Shard::all(list)).collect())
    }

    /// A list spread over write shards of the table itself.
    pub fn in_table(list: &str) -> Self {
        Self::new(None, Shard::all(list))
    }

    /// Partitions of the table itself.
    pub fn of_table(partitions: Vec<String>) -> Self {
        Self::new(None, partitions)
    }

    /// Only the entries whose sort key is at or above `from` and below `until`.
    #[must_use]
    pub fn between(self, from: Option<String>, until: Option<String>) -> Self {
        Self { from, until, ..self }
    }

    /// The same list, lowest sort key first.
    #[must_use]
    pub fn ascending(self) -> Self {
        Self { ascending: true, ..self }
    }

    /// What a cursor of this list says of its origin, so that it cannot continue another list.
    fn tag(&self) -> String {
        let direction = if self.ascending { "+" } else { "" };
        format!("{direction}{}", self.partitions.first().map_or("", String::as_str))
    }

    /// The text of a cursor that goes on after the entry with this sort key.
    pub fn cursor_after(&self, sort_key: &str) -> Result<String, TableError> {
        let cursor = Cursor { tag: self.tag(), last: sort_key.to_owned() };
        cursor.text().map_err(|error| TableError::malformed("cursor", error))
    }

    /// The names of the partition key and the sort key.
    fn keys(&self) -> (String, String) {
        let prefix = self.index.unwrap_or_default();
        (format!("{prefix}pk"), format!("{prefix}sk"))
    }

    /// What is left of the list after an entry: the sort keys between these two, themselves excluded
    /// where they are the entry's.
    fn rest(&self, after: Option<&str>) -> Rest {
        let after = after.map(str::to_owned);
        let (mut low, mut high) = (self.from.clone(), self.until.clone());
        if self.ascending && after > low {
            low.clone_from(&after);
        }
        if !self.ascending && after.is_some() && high.as_ref().is_none_or(|high| after.as_ref() < Some(high)) {
            high.clone_from(&after);
        }
        Rest { low, high, after }
    }
}

/// Bounds on the sort keys of a list's remaining entries.
#[derive(Clone, Debug)]
struct Rest {
    low: Option<String>,
    high: Option<String>,
    /// The entry read last; not part of the rest.
    after: Option<String>,
}

impl Rest {
    fn is_empty(&self) -> bool {
        matches!((&self.low, &self.high), (Some(low), Some(high)) if low >= high)
    }

    /// Whether an entry that lies between the bounds, inclusively, is meant.
    fn has(&self, sort_key: &str) -> bool {
        self.after.as_deref() != Some(sort_key) && self.high.as_deref() != Some(sort_key)
    }
}

/// Some entries of a partition, in the list's order.
struct Stretch<T> {
    entries: Vec<(String, T)>,
    /// DynamoDB ended the answer at its size limit, with more entries behind the last of these.
    cut: bool,
}

/// What a client asked for: how many items, continuing where.
#[derive(Clone, Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageRequest {
    /// 1 to 100; 20 when the client does not say.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u8>,
    #[param(value_type = Option<String>)]
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
#[derive(Clone, Debug, Serialize, ToSchema)]
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

/// The most entries that [`Table::search`] looks at for one page.
const SEARCHED: usize = PageRequest::MAX_LIMIT as usize;

impl Table {
    /// One page of a list: one Query for each of the list's partitions, at the same time.
    ///
    /// Costs the same wherever the page lies in the list and however long the list is. Entries
    /// with the same sort key in different partitions must not exist: sort keys are unique ids. A
    /// page of large items may be shorter than its limit, with a cursor to go on.
    pub async fn page<T: Item>(&self, listing: &Listing, request: &PageRequest) -> Result<Page<T>, PageError> {
        self.read(listing, request, request.limit(), |_| true).await
    }

    /// One page of those entries of a list that `keep` wants, at the cost of any other page.
    ///
    /// Looks at a hundred entries at most, so a page may be short, and even empty, with a cursor to
    /// go on.
    pub async fn search<T: Item>(
        &self,
        listing: &Listing,
        request: &PageRequest,
        keep: impl Fn(&T) -> bool + Send,
    ) -> Result<Page<T>, PageError> {
        self.read(listing, request, SEARCHED, keep).await
    }

    async fn read<T: Item>(
        &self,
        listing: &Listing,
        request: &PageRequest,
        window: usize,
        keep: impl Fn(&T) -> bool + Send,
    ) -> Result<Page<T>, PageError> {
        let after = match &request.cursor {
            Some(cursor) if cursor.tag != listing.tag() => return Err(InvalidCursor.into()),
            cursor => cursor.as_ref().map(|cursor| cursor.last.as_str()),
        };
        let (entries, more) = self.window(listing, after, window).await?;
        let (mut data, mut last, mut left) = (Vec::new(), None, entries.len());
        for (sort_key, item) in entries {
            if data.len() == request.limit() {
                break;
            }
            left -= 1;
            last = Some(sort_key);
            if keep(&item) {
                data.push(item);
            }
        }
        let next = last.filter(|_| more || left > 0).map(|last| listing.cursor_after(&last)).transpose()?;
        Ok(Page { data, next })
    }

    /// The next `size` entries of a list, and whether there are more.
    async fn window<T: Item>(
        &self,
        listing: &Listing,
        after: Option<&str>,
        size: usize,
    ) -> Result<(Vec<(String, T)>, bool), TableError> {
        let rest = listing.rest(after);
        if rest.is_empty() {
            return Ok((Vec::new(), false));
        }
        let reads = listing.partitions.iter().map(|partition| self.stretch(listing, partition, &rest, size + 1));
        let stretches: Vec<Stretch<T>> = try_join_all(reads).await?;
        let precedes = |a: &String, b: &String| if listing.ascending { a < b } else { a > b };
        // Behind the end of a stretch that was cut, entries of its partition may be missing.
        let mut horizon: Option<String> = None;
        for (end, _) in stretches.iter().filter(|stretch| stretch.cut).filter_map(|stretch| stretch.entries.last()) {
            if horizon.as_ref().is_none_or(|horizon| precedes(end, horizon)) {
                horizon = Some(end.clone());
            }
        }
        let mut entries: Vec<(String, T)> = stretches.into_iter().flat_map(|stretch| stretch.entries).collect();
        entries.sort_by(|(a, _), (b, _)| if listing.ascending { a.cmp(b) } else { b.cmp(a) });
        if let Some(horizon) = &horizon {
            entries.retain(|(sort_key, _)| !precedes(horizon, sort_key));
        }
        let more = horizon.is_some() || entries.len() > size;
        entries.truncate(size);
        Ok((entries, more))
    }

    /// Up to `limit` entries of one partition of a list: one Query.
    async fn stretch<T: Item>(
        &self,
        listing: &Listing,
        partition: &str,
        rest: &Rest,
        limit: usize,
    ) -> Result<Stretch<T>, TableError> {
        let (pk, sk) = listing.keys();
        let condition = match (&rest.low, &rest.high) {
            (None, None) => format!("{pk} = :pk"),
            (Some(_), None) => format!("{pk} = :pk AND {sk} >= :low"),
            (None, Some(_)) => format!("{pk} = :pk AND {sk} <= :high"),
            (Some(_), Some(_)) => format!("{pk} = :pk AND {sk} BETWEEN :low AND :high"),
        };
        let mut query = self
            .client
            .query()
            .table_name(self.name())
            .set_index_name(listing.index.map(str::to_owned))
            .key_condition_expression(condition)
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
            // One more for each bound, which is read and not wanted.
            .set_limit(i32::try_from(limit + 2).ok())
            .scan_index_forward(listing.ascending);
        for (name, bound) in [(":low", &rest.low), (":high", &rest.high)] {
            if let Some(bound) = bound {
                query = query.expression_attribute_values(name, AttributeValue::S(bound.clone()));
            }
        }
        let answer = query.send().await.map_err(TableError::unavailable)?;
        let items = answer.items.unwrap_or_default();
        let cut = answer.last_evaluated_key.is_some() && items.len() < limit + 2;
        let mut entries = Vec::with_capacity(items.len());
        for attributes in items {
            let sort_key = attributes.get(&sk).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
            if rest.has(&sort_key) {
                entries.push((sort_key, from_attributes(attributes)?));
            }
        }
        Ok(Stretch { entries, cut })
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
            prop_assert!(Cursor::parse(&text).is_err() || Cursor::parse(&text) == Ok(cursor));
        }

        #[test]
        fn any_other_text_is_refused(text in ".{0,200}") {
            prop_assert!(Cursor::parse(&text).is_err());
        }
    }
}
