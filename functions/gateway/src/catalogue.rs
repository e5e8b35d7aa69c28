//! Which functions the stack has.

use std::time::Duration;

use aws_sdk_lambda::{Client, error::DisplayErrorContext};
use shared::http::Problem;

/// How long Lambda may take for all pages of its list.
const DEADLINE: Duration = Duration::from_secs(5);

/// The functions of one stack, as Lambda lists them.
#[derive(Clone, Debug)]
pub struct FunctionCatalogue {
    lambda: Client,
    prefix: String,
}

/// Lambda did not list its functions.
#[derive(Debug, thiserror::Error)]
#[error("the functions cannot be listed: {0}")]
pub struct NotListed(String);

impl From<NotListed> for Problem {
    fn from(error: NotListed) -> Self {
        tracing::error!(%error, "no registry");
        Self::unavailable("the functions cannot be listed at the moment")
    }
}

impl FunctionCatalogue {
    pub fn new(lambda: Client, stack: &str) -> Self {
        Self { lambda, prefix: format!("{stack}-") }
    }

    /// The functions' names without the stack's, in alphabetical order.
    ///
    /// # Errors
    /// When Lambda does not list all of them within 5 s.
    pub async fn names(&self) -> Result<Vec<String>, NotListed> {
        let late = || NotListed(format!("no end within {DEADLINE:?}"));
        tokio::time::timeout(DEADLINE, self.list()).await.unwrap_or_else(|_| Err(late()))
    }

    async fn list(&self) -> Result<Vec<String>, NotListed> {
        let mut pages = self.lambda.list_functions().into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| NotListed(DisplayErrorContext(error).to_string()))?;
            let functions = page.functions.unwrap_or_default().into_iter();
            names.extend(
                functions.filter_map(|function| Some(function.function_name?.strip_prefix(&self.prefix)?.to_owned())),
            );
        }
        names.sort();
        Ok(names)
    }
}
