//! A service stopped and started again, as a whole: on a local stack or on AWS.

use std::time::Duration;

use anyhow::{Result, bail};
use aws_sdk_lambda::Client;
use tokio::time::{Instant, sleep};

use crate::account;

/// The variable by which a function knows which service it is of.
const SERVICE_NAME: &str = "SERVICE_NAME";
/// The variable by which a function knows which stack it is of.
const STACK_NAME: &str = "STACK_NAME";

/// How long Lambda may take to begin or end taking from a queue or stream: usually half a minute.
const MAPPING_PATIENCE: Duration = Duration::from_secs(180);

/// The functions of one service.
pub struct Service {
    lambda: Client,
    /// Their names, in alphabetical order.
    functions: Vec<String>,
}

impl Service {
    /// The deployed functions of a service of this stack.
    ///
    /// # Errors
    /// When there are none.
    pub async fn find(stack: &str, service: &str) -> Result<Self> {
        let lambda = Client::new(&account::sdk_config().await?);
        let mut pages = lambda.list_functions().into_paginator().items().send();
        let (mut functions, mut services) = (Vec::new(), std::collections::BTreeSet::new());
        while let Some(function) = pages.next().await.transpose()? {
            let name = function.function_name.unwrap_or_default();
            let variables = function.environment.and_then(|environment| environment.variables).unwrap_or_default();
            if variables.get(STACK_NAME).is_some_and(|of| of == stack)
                && let Some(of) = variables.get(SERVICE_NAME)
            {
                services.insert(of.clone());
                if of == service {
                    functions.push(name);
                }
            }
        }
        if functions.is_empty() {
            let services: Vec<_> = services.into_iter().collect();
            bail!("{stack} has no service {service}; it has {}", services.join(", "));
        }
        functions.sort();
        Ok(Self { lambda, functions })
    }

    pub fn functions(&self) -> &[String] {
        &self.functions
    }

    /// Lets none of the functions run, and nothing be taken from their queues and streams: a message
    /// that is received in vain three times would be dead-lettered.
    pub async fn stop(&self) -> Result<()> {
        self.feed(false).await?;
        for function in &self.functions {
            self.lambda
                .put_function_concurrency()
                .function_name(function)
                .reserved_concurrent_executions(0)
                .send()
                .await?;
        }
        Ok(())
    }

    /// Lets the functions run again, and take what has waited for them.
    pub async fn start(&self) -> Result<()> {
        for function in &self.functions {
            self.lambda.delete_function_concurrency().function_name(function).send().await?;
        }
        self.feed(true).await
    }

    /// Lets the functions take from their queues and streams, or not, and waits until it is so.
    async fn feed(&self, enabled: bool) -> Result<()> {
        let mut changed = Vec::new();
        let mut pages = self.lambda.list_event_source_mappings().into_paginator().items().send();
        while let Some(mapping) = pages.next().await.transpose()? {
            let fed = mapping.function_arn().and_then(function_name);
            if fed.is_some_and(|name| self.functions.iter().any(|of| of == name)) {
                let update = self.lambda.update_event_source_mapping().set_uuid(mapping.uuid.clone());
                update.enabled(enabled).send().await?;
                changed.extend(mapping.uuid);
            }
        }
        let state = if enabled { "Enabled" } else { "Disabled" };
        for mapping in &changed {
            self.await_state(mapping, state).await?;
        }
        Ok(())
    }

    async fn await_state(&self, mapping: &str, state: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            let now = self.lambda.get_event_source_mapping().uuid(mapping).send().await?.state;
            if now.as_deref() == Some(state) {
                return Ok(());
            }
            if started.elapsed() > MAPPING_PATIENCE {
                bail!("the event source mapping {mapping} is {}, not {state}", now.unwrap_or_default());
            }
            sleep(Duration::from_millis(500)).await;
        }
    }
}

/// The name in a function's ARN, which for one that is rolled out gradually ends with an alias.
fn function_name(arn: &str) -> Option<&str> {
    arn.split(':').nth(6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_known_by_its_arn_with_and_without_an_alias() {
        let arn = "arn:aws:lambda:eu-central-1:123456789012:function:quayside-prod-orders-relay";
        assert_eq!(function_name(arn), Some("quayside-prod-orders-relay"));
        assert_eq!(function_name(&format!("{arn}:live")), Some("quayside-prod-orders-relay"));
        assert_eq!(function_name("orders-relay"), None);
    }
}
