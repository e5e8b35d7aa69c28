//! What little HTTP the developer's commands speak.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

/// The JSON that a URL answers with, whatever the status; `None` when it does not.
pub fn get(url: &str, timeout: Duration) -> Option<Value> {
    let agent: Agent =
        Agent::config_builder().proxy(None).timeout_global(Some(timeout)).http_status_as_error(false).build().into();
    agent.get(url).call().ok()?.body_mut().read_json().ok()
}
