//! What every function's `main` does: set up logging, build its dependencies once, serve events.
//!
//! All of it is type-erased, so that a function's binary is a three-line call that links quickly.

use std::{error::Error, process::ExitCode};

use async_trait::async_trait;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;

use crate::{aws::ConfigError, telemetry};

/// Why an invocation as a whole failed; Lambda then repeats it as its event source does.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A function that is fed events rather than HTTP requests.
#[async_trait]
pub trait Function: Send + Sync {
    async fn invoke(&self, event: LambdaEvent<serde_json::Value>) -> Result<serde_json::Value, Failure>;
}

/// Builds a function's dependencies and serves it until the environment ends.
pub fn run(build: fn() -> Result<Box<dyn Function>, ConfigError>) -> ExitCode {
    block_on(async move {
        let function: &'static dyn Function = Box::leak(build()?);
        lambda_runtime::run(service_fn(move |event| function.invoke(event))).await
    })
}

/// Runs the serving future on a single thread, which is what one Lambda environment can use, and
/// says on standard error what kept it from serving.
pub(crate) fn block_on(serving: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    telemetry::init();
    let result = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(serving),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the function cannot serve");
            ExitCode::FAILURE
        }
    }
}

/// Lambda's partial batch response: the records to deliver again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// One record of a batch that was not handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// A message id (SQS) or sequence number (streams).
    pub item_identifier: String,
}

impl BatchItemFailure {
    pub fn new(item_identifier: impl Into<String>) -> Self {
        Self { item_identifier: item_identifier.into() }
    }
}
