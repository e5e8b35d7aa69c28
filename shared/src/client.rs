//! Synchronous calls to another service's function: Lambda invoke with IAM, behind a breaker.
//!
//! The function is called with the event that API Gateway would send it, so any documented endpoint
//! can be called and there is one contract, not two.

use std::{collections::HashMap, time::Duration};

use aws_sdk_lambda::{
    Client,
    config::{self, retry::RetryConfig},
    error::DisplayErrorContext,
    primitives::Blob,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    aws::{self, ConfigError},
    breaker::{Breaker, BreakerOpen},
    context::Context,
    http::Problem,
    retry::backoff,
    table::Table,
};

const ATTEMPTS: u32 = 3;
const ATTEMPT_DEADLINE: Duration = Duration::from_millis(1500);
const BASE_DELAY: Duration = Duration::from_millis(50);

/// Calls the functions of one other service.
#[derive(Clone, Debug)]
pub struct ServiceClient {
    lambda: Client,
    stack: String,
    service: &'static str,
    breaker: Breaker,
}

/// Why another service did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Open(#[from] BreakerOpen),
    #[error("{service} did not answer: {reason}")]
    Unavailable { service: &'static str, reason: String },
    #[error("{service} answered {status}")]
    Refused { service: &'static str, status: u16 },
    #[error("{service} answered what cannot be read: {reason}")]
    Malformed { service: &'static str, reason: String },
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        tracing::warn!(%error, "another service is needed and away");
        Self::unavailable("a service that this needs is unavailable")
    }
}

/// A `GET` of another service's endpoint.
#[derive(Clone, Debug)]
pub struct Get<'a> {
    /// The function's name without the stack's: `products-get`.
    pub function: &'a str,
    pub path: String,
    pub query: Vec<(&'a str, String)>,
    /// The caller's `Authorization` header, for endpoints that need one.
    pub authorization: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

impl ServiceClient {
    /// A client for the service, in the stack named by `STACK_NAME`, with its breaker in the table
    /// named by `PLATFORM_TABLE_NAME`.
    pub fn from_env(service: &'static str) -> Result<Self, ConfigError> {
        let [client] = Self::all_from_env([service])?;
        Ok(client)
    }

    /// [`from_env`](Self::from_env) for each of these services, in their order, over one Lambda client.
    pub fn all_from_env<const N: usize>(services: [&'static str; N]) -> Result<[Self; N], ConfigError> {
        // The SDK's own attempts would multiply those made here.
        let config = config::Builder::from(&aws::sdk_config()?).retry_config(RetryConfig::disabled());
        let (lambda, stack) = (Client::from_conf(config.build()), aws::required("STACK_NAME")?);
        let breakers = Table::from_env_variable("PLATFORM_TABLE_NAME")?;
        Ok(services.map(|service| Self::new(lambda.clone(), &stack, service, breakers.clone())))
    }

    /// A client for the service in this stack, with its breaker in this table. The Lambda client is not
    /// to repeat anything by itself.
    pub fn new(lambda: Client, stack: &str, service: &'static str, breakers: Table) -> Self {
        Self { lambda, stack: stack.to_owned(), service, breaker: Breaker::new(breakers, service) }
    }

    /// The body of the answer; `None` for a 404.
    ///
    /// Makes up to 3 attempts of 1.5 s each, with exponential back-off and jitter between them.
    pub async fn get<T: DeserializeOwned>(&self, request: &Get<'_>) -> Result<Option<T>, ClientError> {
        let permit = self.breaker.admit().await?;
        let answer = self.retried(request).await;
        match &answer {
            Ok(_) => permit.succeeded().await,
            Err(_) => permit.failed().await,
        }
        let answer = answer?;
        match answer.status_code {
            200 => self.read(answer).map(Some),
            404 => Ok(None),
            status => Err(ClientError::Refused { service: self.service, status }),
        }
    }

    /// The body of a service's own health check: one attempt within `deadline`,
    /// whatever the breaker says, and without telling it.
    pub async fn probe<T: DeserializeOwned>(&self, deadline: Duration) -> Result<T, ClientError> {
        let function = format!("{}-health", self.service);
        let path = format!("/api/{}/health", self.service);
        let request = Get { function: &function, path, query: vec![], authorization: None };
        let unavailable = |reason: String| ClientError::Unavailable { service: self.service, reason };
        let answer = tokio::time::timeout(deadline, self.attempt(&request)).await;
        let answer = answer.map_err(|_| unavailable(format!("no answer within {deadline:?}")))?;
        self.read(answer.map_err(unavailable)?)
    }

    async fn retried(&self, request: &Get<'_>) -> Result<Answer, ClientError> {
        let mut failure = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(backoff(BASE_DELAY, attempt)).await;
            }
            match tokio::time::timeout(ATTEMPT_DEADLINE, self.attempt(request)).await {
                Ok(Ok(answer)) if answer.status_code < 500 => return Ok(answer),
                Ok(Ok(answer)) => failure = format!("status {}", answer.status_code),
                Ok(Err(reason)) => failure = reason,
                Err(_) => failure = format!("no answer within {ATTEMPT_DEADLINE:?}"),
            }
        }
        Err(ClientError::Unavailable { service: self.service, reason: failure })
    }

    async fn attempt(&self, request: &Get<'_>) -> Result<Answer, String> {
        let payload = serde_json::to_vec(&gateway_event(request)).map_err(|error| error.to_string())?;
        let answer = self
            .lambda
            .invoke()
            .function_name(format!("{}-{}", self.stack, request.function))
            .payload(Blob::new(payload))
            .send()
            .await
            .map_err(|error| DisplayErrorContext(error).to_string())?;
        if let Some(error) = answer.function_error() {
            return Err(format!("the function failed: {error}"));
        }
        let payload = answer.payload.unwrap_or_else(|| Blob::new(Vec::new()));
        serde_json::from_slice(payload.as_ref()).map_err(|error| error.to_string())
    }

    fn read<T: DeserializeOwned>(&self, answer: Answer) -> Result<T, ClientError> {
        let malformed = |reason: String| ClientError::Malformed { service: self.service, reason };
        let body = answer.body.unwrap_or_default();
        let body = if answer.is_base64_encoded {
            BASE64_STANDARD.decode(body).map_err(|error| malformed(error.to_string()))?
        } else {
            body.into_bytes()
        };
        serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))
    }
}

/// The event of a REST API for this request.
fn gateway_event(request: &Get<'_>) -> serde_json::Value {
    let mut headers = HashMap::from([("x-correlation-id", Context::current().correlation_id)]);
    if let Some(authorization) = request.authorization {
        headers.insert("authorization", authorization.to_owned());
    }
    let query: HashMap<_, _> = request.query.iter().map(|(name, value)| (*name, value)).collect();
    json!({
        "resource": request.path, "path": request.path, "httpMethod": "GET", "headers": headers,
        "multiValueHeaders": {}, "queryStringParameters": query, "multiValueQueryStringParameters": {},
        "pathParameters": {}, "stageVariables": {}, "body": null, "isBase64Encoded": false,
        "requestContext": {
            "accountId": "internal", "resourceId": "internal", "stage": "internal", "requestId": "internal",
            "identity": {"sourceIp": "127.0.0.1"}, "resourcePath": request.path, "path": request.path,
            "httpMethod": "GET", "apiId": "internal", "authorizer": {},
        },
    })
}
