//! Examples: what the sample events of `events/` have in them, and what the types say of themselves.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::repository;

/// What the document has in the place of the samples' placeholders: one purchase, by somebody who has signed up
/// with the example of that.
const VALUES: [(&str, &str); 11] = [
    ("FRESH_NAME", "anna"),
    ("USERNAME", "anna"),
    ("PASSWORD", "correct horse battery"),
    ("ONE_TIME_CODE", "492039"),
    ("RECOVERY_CODE", "3f9a0-77c1e-b05d2-9e4f8"),
    ("USER_ID", "2"),
    ("PRODUCT_ID", "890461112808147"),
    ("ORDER_ID", "890461113135316"),
    ("PAYMENT_ID", "890461113790377"),
    ("NOTIFICATION_ID", "890461114012805"),
    ("KEY_ID", "890461114350116"),
];
const FORM: &str = "application/x-www-form-urlencoded";

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
        let text = VALUES.iter().fold(text, |text, (name, value)| text.replace(name, value));
        let event: Value = serde_json::from_str(&text).with_context(|| format!("the sample of {function}"))?;
        let body = event["body"].as_str().filter(|body| !body.is_empty());
        let parameters = ["pathParameters", "queryStringParameters"].into_iter().flat_map(|kind| {
            let named = event[kind].as_object().into_iter().flatten();
            named.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        });
        Ok(Self {
            body: body
                .map(|body| read(body, &event))
                .transpose()
                .with_context(|| format!("the sample of {function}"))?,
            parameters: parameters.collect(),
        })
    }
}

fn read(body: &str, event: &Value) -> Result<Value> {
    if event["headers"]["Content-Type"] == FORM {
        let fields: BTreeMap<String, String> = serde_urlencoded::from_str(body)?;
        return Ok(serde_json::to_value(fields)?);
    }
    Ok(serde_json::from_str(body)?)
}

/// Gives every body and every answer without an example that of its type, where that has one.
pub fn add_examples_of_types(paths: &mut Map<String, Value>, schemas: &Map<String, Value>) {
    let operations = paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    for operation in operations.filter_map(Value::as_object_mut) {
        let answers = operation.remove("responses");
        let mut answers = answers.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
        for said in answers.values_mut().chain(operation.get_mut("requestBody")) {
            let contents = said.get_mut("content").and_then(Value::as_object_mut);
            for content in contents.into_iter().flat_map(Map::values_mut) {
                let name = content["schema"]["$ref"].as_str().and_then(|path| path.rsplit('/').next());
                let example = name.and_then(|name| schemas.get(name)?.get("example")).cloned();
                if let (Some(example), Some(content)) = (example, content.as_object_mut()) {
                    content.entry("example").or_insert(example);
                }
            }
        }
        operation.insert("responses".into(), answers.into());
    }
}
