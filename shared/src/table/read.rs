use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};

use super::{
    Item, Key, Table, TableError,
    item::{Attributes, from_attributes},
};

/// DynamoDB's limit on keys in one BatchGetItem.
const BATCH_GET_LIMIT: usize = 100;
const BATCH_GET_ATTEMPTS: usize = 5;

/// Where a query of due items goes on.
#[derive(Clone, Debug)]
pub struct Position(Attributes);

impl Table {
    /// The item with this key, read consistently: one GetItem.
    pub async fn get<T: Item>(&self, key: &Key) -> Result<Option<T>, TableError> {
        let answer = self
            .client
            .get_item()
            .table_name(&*self.name)
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .send()
            .await
            .map_err(TableError::unavailable)?;
        answer.item.map(from_attributes).transpose()
    }

    /// The items that exist among these keys, in no order: one BatchGetItem for each hundred.
    pub async fn get_many<T: Item>(&self, keys: &[Key]) -> Result<Vec<T>, TableError> {
        self.get_batches(keys, false).await
    }

    /// [`Table::get_many`], read consistently.
    pub async fn get_many_consistently<T: Item>(&self, keys: &[Key]) -> Result<Vec<T>, TableError> {
        self.get_batches(keys, true).await
    }

    async fn get_batches<T: Item>(&self, keys: &[Key], consistent: bool) -> Result<Vec<T>, TableError> {
        let mut found = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(BATCH_GET_LIMIT) {
            let mut wanted: Vec<Attributes> = chunk.iter().map(Key::attributes).collect();
            for _ in 0..BATCH_GET_ATTEMPTS {
                let (items, rest) = self.get_batch(wanted, consistent).await?;
                for item in items {
                    found.push(from_attributes(item)?);
                }
                wanted = rest;
                if wanted.is_empty() {
                    break;
                }
            }
            if !wanted.is_empty() {
                return Err(TableError::Unavailable("keys stayed unprocessed".into()));
            }
        }
        Ok(found)
    }

    async fn get_batch(
        &self,
        keys: Vec<Attributes>,
        consistent: bool,
    ) -> Result<(Vec<Attributes>, Vec<Attributes>), TableError> {
        let wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(consistent)
            .build()
            .map_err(|error| TableError::malformed("request", error))?;
        let answer = self
            .client
            .batch_get_item()
            .request_items(&*self.name, wanted)
            .send()
            .await
            .map_err(TableError::unavailable)?;
        let items = answer.responses.and_then(|mut tables| tables.remove(&*self.name)).unwrap_or_default();
        let rest = answer.unprocessed_keys.and_then(|mut tables| tables.remove(&*self.name));
        Ok((items, rest.map(|keys| keys.keys).unwrap_or_default()))
    }

    /// Up to `limit` items of one index partition whose sort key is at or below `up_to`, lowest first,
    /// beginning behind `after`, and where to go on if there are more: one Query. An item that cannot be
    /// read is told in the log and left out, so that it does not hold up those behind it.
    pub async fn due<T: Item>(
        &self,
        index: &str,
        partition: &str,
        up_to: &str,
        limit: i32,
        after: Option<Position>,
    ) -> Result<(Vec<T>, Option<Position>), TableError> {
        let answer = self
            .client
            .query()
            .table_name(&*self.name)
            .index_name(index)
            .key_condition_expression(format!("{index}pk = :pk AND {index}sk <= :to"))
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
            .expression_attribute_values(":to", AttributeValue::S(up_to.to_owned()))
            .limit(limit)
            .set_exclusive_start_key(after.map(|position| position.0))
            .send()
            .await
            .map_err(TableError::unavailable)?;
        let items = answer.items.unwrap_or_default().into_iter().map(from_attributes);
        let readable = items.filter_map(|item| item.inspect_err(|error| tracing::error!(%error, "left out")).ok());
        Ok((readable.collect(), answer.last_evaluated_key.map(Position)))
    }

    /// The items of one partition of the table with sort keys from `lowest` to `highest`, lowest
    /// first, read consistently: one Query for each megabyte.
    pub async fn range<T: Item>(&self, partition: &str, lowest: &str, highest: &str) -> Result<Vec<T>, TableError> {
        let mut found = Vec::new();
        let mut start = None;
        loop {
            let answer = self
                .client
                .query()
                .table_name(&*self.name)
                .key_condition_expression("pk = :pk AND sk BETWEEN :lowest AND :highest")
                .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
                .expression_attribute_values(":lowest", AttributeValue::S(lowest.to_owned()))
                .expression_attribute_values(":highest", AttributeValue::S(highest.to_owned()))
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(TableError::unavailable)?;
            for item in answer.items.unwrap_or_default() {
                found.push(from_attributes(item)?);
            }
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(found);
            }
        }
    }

    /// The items of one partition of the table whose sort key is at or above `from`, lowest first: one
    /// Query for each megabyte.
    pub async fn partition<T: Item>(&self, pk: &str, from: &str) -> Result<Vec<T>, TableError> {
        let mut pages = self
            .client
            .query()
            .table_name(&*self.name)
            .key_condition_expression("pk = :pk AND sk >= :from")
            .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
            .expression_attribute_values(":from", AttributeValue::S(from.to_owned()))
            .into_paginator()
            .items()
            .send();
        let mut items = Vec::new();
        while let Some(attributes) = pages.next().await {
            items.push(from_attributes(attributes.map_err(TableError::unavailable)?)?);
        }
        Ok(items)
    }

    /// Whether the table answers: one GetItem of a key that no item has.
    pub async fn ping(&self) -> Result<(), TableError> {
        self.client
            .get_item()
            .table_name(&*self.name)
            .set_key(Some(Key::new("PING", "PING").attributes()))
            .send()
            .await
            .map_err(TableError::unavailable)?;
        Ok(())
    }
}
