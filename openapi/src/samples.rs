//! Examples: what the sample events of `events/` have in them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::repository;

/// The sample request of a function.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Of a JSON body, its value; of a form, its fields.
    pub body: Option<Value>,
    /// By their names, those of the path and of the query.
    pub parameters: BTreeMap<String, String>,
}

impl Sample {
    /// Nothing where a function has no sample.
    ///
    /// # Errors
    /// When the sample is not an event of API Gateway's, or its body is neither JSON nor a form.
    pub fn of(service: &str, function: &str) -> Result<Self> {
        let Ok(text) = repository(&format!("events/{service}/{function}.json")) else { return Ok(Self::default()) };
        let event: Value = serde_json::from_str(&text).with_context(|| format!("the sample of {function}"))?;
        let body = event["body"].as_str().filter(|body| !body.is_empty());
        let parameters = ["pathParameters", "queryStringParameters"].into_iter().flat_map(|kind| {
            let named = event[kind].as_object().into_iter().flatten();
            named.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        });
        Ok(Self {
            body: body.map(read).transpose().with_context(|| format!("the sample of {function}"))?,
            parameters: parameters.collect(),
        })
    }
}

fn read(body: &str) -> Result<Value> {
    match serde_json::from_str(body) {
        Ok(json) => Ok(json),
        Err(_) => {
            let fields: BTreeMap<String, String> = serde_urlencoded::from_str(body)?;
            Ok(serde_json::to_value(fields)?)
        }
    }
}
