use std::collections::HashMap;

use anyhow::Result;
use aws_sdk_dynamodb::types::AttributeValue;
use shared::table::Table;

use crate::account;

/// One deployed stack.
pub struct Stack {
    name: String,
    database: aws_sdk_dynamodb::Client,
    pub secrets: aws_sdk_secretsmanager::Client,
}

impl Stack {
    pub async fn connect(name: &str) -> Result<Self> {
        let config = account::sdk_config().await?;
        Ok(Self {
            name: name.to_owned(),
            database: aws_sdk_dynamodb::Client::new(&config),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
        })
    }

    /// The table of a service.
    pub fn table(&self, service: &str) -> Table {
        Table::new(self.database.clone(), &self.resource(service))
    }

    /// All items of a type in a service's table, in no order: reads the whole table.
    pub async fn items(&self, service: &str, item_type: &str) -> Result<Vec<HashMap<String, AttributeValue>>> {
        let scan = self.database.scan().table_name(self.resource(service)).filter_expression("#type = :type");
        let scan = scan.expression_attribute_names("#type", "type");
        let scan = scan.expression_attribute_values(":type", AttributeValue::S(item_type.to_owned()));
        let mut pages = scan.into_paginator().items().send();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await.transpose()? {
            items.push(item);
        }
        Ok(items)
    }

    /// The full name of one of the stack's resources.
    pub fn resource(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }
}
