//! AWS clients for a function's cold start: configured from the environment alone.
//!
//! Loading the whole default provider chain costs a cold start more than anything else a small
//! function does. A Lambda function finds its region and credentials in its environment, so no
//! profile file is read and no metadata service is asked; a plain-HTTP endpoint (an emulator) gets
//! no TLS set-up.

use std::{env, sync::OnceLock, time::Duration};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_async::{rt::sleep::TokioSleep, time::SystemTimeSource};
use aws_smithy_http_client::{
    Builder as HttpClient,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{behavior_version::BehaviorVersion, http::SharedHttpClient};
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::{SdkConfig, region::Region, sdk_config::Builder};

const CONNECT_TIMEOUT: Duration = Duration::from_millis(1000);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(8);

/// A variable that a function cannot start without is absent or malformed.
#[derive(Debug, thiserror::Error)]
#[error("environment variable {variable}: {reason}")]
pub struct ConfigError {
    pub variable: &'static str,
    pub reason: String,
}

/// The value of an environment variable.
///
/// # Errors
/// When it is unset or empty.
pub fn required(variable: &'static str) -> Result<String, ConfigError> {
    optional(variable).ok_or_else(|| ConfigError { variable, reason: "not set".into() })
}

/// The value of an environment variable; `None` when it is unset or empty.
pub fn optional(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}

static SHARED: OnceLock<SdkConfig> = OnceLock::new();

/// The configuration that every SDK client of this process is built from, with one HTTP client for
/// all of them.
///
/// Reads `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` and
/// `AWS_ENDPOINT_URL`, unless [`use_config`] came first. Calls are limited to 3 attempts of 3 s each and 8 s in all.
pub fn sdk_config() -> Result<SdkConfig, ConfigError> {
    if let Some(config) = SHARED.get() {
        return Ok(config.clone());
    }
    let config = read_config()?;
    Ok(SHARED.get_or_init(|| config).clone())
}

/// Has [`sdk_config`] answer with a region, credentials and an HTTP client from elsewhere, held to the same
/// limits: for a program that is no function. The first configuration of a process stays.
pub fn use_config(config: SdkConfig) -> SdkConfig {
    SHARED.get_or_init(|| limited(config.into_builder()).build()).clone()
}

fn read_config() -> Result<SdkConfig, ConfigError> {
    let region = optional("AWS_REGION").map_or_else(|| required("AWS_DEFAULT_REGION"), Ok)?;
    let credentials = Credentials::new(
        required("AWS_ACCESS_KEY_ID")?,
        required("AWS_SECRET_ACCESS_KEY")?,
        optional("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    let endpoint = optional("AWS_ENDPOINT_URL");
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client(endpoint.as_deref()))
        .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(TokioSleep::new()))
        .time_source(SystemTimeSource::new());
    config.set_endpoint_url(endpoint);
    Ok(limited(config).build())
}

fn limited(config: Builder) -> Builder {
    config
        .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50)))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .operation_timeout(OPERATION_TIMEOUT)
                .build(),
        )
}

/// An HTTP client for this endpoint, or for AWS's own: without TLS for a plain one.
pub fn http_client(endpoint: Option<&str>) -> SharedHttpClient {
    match endpoint {
        Some(url) if url.starts_with("http://") => HttpClient::new().build_http(),
        _ => HttpClient::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https(),
    }
}
