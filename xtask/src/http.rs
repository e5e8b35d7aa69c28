//! What little HTTP the developer's commands speak.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

fn agent(timeout: Duration) -> Agent {
    Agent::config_builder().proxy(None).timeout_global(Some(timeout)).http_status_as_error(false).build().into()
}

/// The JSON that a URL answers with, whatever the status; `None` when it does not.
pub fn get(url: &str, timeout: Duration) -> Option<Value> {
    agent(timeout).get(url).call().ok()?.body_mut().read_json().ok()
}

/// Posts JSON; `None` unless the answer is a success.
pub fn post(url: &str, body: &Value, timeout: Duration) -> Option<Value> {
    let mut answer = agent(timeout).post(url).send_json(body).ok().filter(|answer| answer.status().is_success())?;
    answer.body_mut().read_json().ok()
}

/// An AWS call in the JSON protocol, to an emulator that wants no signature.
pub fn aws(url: &str, target: &str, request: &Value) -> Option<Value> {
    let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/logs/aws4_request";
    let call = agent(Duration::from_secs(10))
        .post(url)
        .header("x-amz-target", target)
        .header("content-type", "application/x-amz-json-1.1")
        .header("authorization", scope);
    call.send_json(request).ok()?.body_mut().read_json().ok()
}
