use anyhow::Result;
use shared::{aws, table::Table};

/// One deployed stack.
pub struct Stack {
    name: String,
    database: aws_sdk_dynamodb::Client,
    pub secrets: aws_sdk_secretsmanager::Client,
}

impl Stack {
    pub fn connect(name: &str) -> Result<Self> {
        let config = aws::sdk_config()?;
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

    /// The full name of one of the stack's resources.
    pub fn resource(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }
}
