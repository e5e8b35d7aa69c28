//! Which AWS account the operator works on.

use anyhow::{Result, ensure};
use aws_config::{BehaviorVersion, SdkConfig};
use shared::aws;

const ENDPOINT: &str = "AWS_ENDPOINT_URL";

/// The account of an emulator by the variables that a function has of it; else the one that the AWS CLI would
/// work on: variables, `AWS_PROFILE`, SSO, roles that a profile assumes.
///
/// # Errors
/// Without a region, or without credentials for it.
pub async fn sdk_config() -> Result<SdkConfig> {
    if aws::optional(ENDPOINT).is_some() {
        return Ok(aws::sdk_config()?);
    }
    let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(aws::http_client(None));
    let config = loader.load().await;
    ensure!(config.region().is_some(), "no region: set AWS_REGION, or a region in the profile");
    Ok(aws::use_config(config))
}
