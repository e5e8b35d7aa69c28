//! One operation: what its handler says, and what follows from its access, its parameters and its body.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{
    access::{Access, Row},
    complete::{problem_content, response_name},
    samples::Sample,
};

/// Where an operation stands.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub service: &'a str,
    pub path: &'a str,
    pub row: &'a Row,
    /// Which of its function's routes it is, from 1.
    pub number: usize,
    pub access: &'a Access,
    pub sample: &'a Sample,
}

/// The whole of an operation.
///
/// # Errors
/// When its access is none, or a status none.
pub fn completed(mut operation: Value, place: &Place) -> Result<Value> {
    operation["tags"] = json!([place.service]);
    operation["operationId"] = match place.number {
        1 => json!(place.row.function),
        number => json!(format!("{}-{number}", place.row.function)),
    };
    describe(&mut operation, place)?;
    secure(&mut operation, place);
    if let (true, Some(members)) = (place.row.route.starts_with("GET "), operation.as_object_mut()) {
        members.remove("requestBody");
    }
    add_parameters(&mut operation, place);
    add_example(&mut operation, place.sample);
    for status in statuses(&operation, place)? {
        add_problem(&mut operation, status)?;
    }
    finish_responses(&mut operation)?;
    Ok(operation)
}

/// The doc comment's first sentence is the summary; it begins with the route, which the document tells
/// anyway.
fn describe(operation: &mut Value, place: &Place) -> Result<()> {
    let said = operation["summary"].as_str().unwrap_or_default().replace('\n', " ");
    let said = capitalised(without_route(&said));
    let (summary, rest) = said.split_once(". ").unwrap_or((&said, ""));
    let summary = summary.trim_end_matches('.');
    let summary = if summary.is_empty() { capitalised(&place.row.function.replace('-', " ")) } else { summary.into() };
    let more = operation["description"].as_str().unwrap_or_default().replace('\n', " ");
    let who = place.access.who.get(&place.row.class).with_context(|| format!("{} is no access", place.row.class))?;
    let who = match place.row.scope.as_str() {
        "" => format!("Access: {who}."),
        scope => format!("Access: {who}. The scope is `{scope}`."),
    };
    let parts = [rest.trim(), more.trim(), &who];
    let description: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    operation["summary"] = summary.into();
    operation["description"] = description.join("\n\n").into();
    Ok(())
}

/// What follows `` `GET` and `POST /api/orders`: ``.
fn without_route(text: &str) -> &str {
    let mut rest = text;
    while let Some((_, after)) = rest.strip_prefix('`').and_then(|quoted| quoted.split_once('`')) {
        rest = after.strip_prefix(" and ").unwrap_or(after);
    }
    rest.trim_start_matches([':', ',', '.', ' '])
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn secure(operation: &mut Value, place: &Place) {
    operation["x-access"] = place.row.class.clone().into();
    operation["security"] = match (place.row.class.as_str(), place.row.scope.as_str()) {
        ("P", _) => json!([]),
        (_, "") => json!([{ "bearer": [] }]),
        (_, scope) => json!([{ "apiKey": [scope] }, { "bearer": ["admin"] }]),
    };
}

/// The path's id, which no handler needs to tell of, and examples; a parameter that is left out is not
/// `null`.
fn add_parameters(operation: &mut Value, place: &Place) {
    let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    if place.path.contains("{id}") {
        let schema = json!({ "$ref": "#/components/schemas/Id" });
        parameters.insert(0, json!({ "name": "id", "in": "path", "required": true, "schema": schema }));
    }
    for parameter in &mut parameters {
        if let Some([one, _]) = parameter["schema"]["type"].as_array().map(Vec::as_slice) {
            parameter["schema"]["type"] = one.clone();
        }
        let name = parameter["name"].as_str().unwrap_or_default();
        if let Some(text) = place.sample.parameters.get(name) {
            parameter["example"] = serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into());
        }
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
}

fn add_example(operation: &mut Value, sample: &Sample) {
    let contents = operation.pointer_mut("/requestBody/content").and_then(Value::as_object_mut);
    if let (Some(body), Some(contents)) = (&sample.body, contents) {
        contents.values_mut().for_each(|content| content["example"] = body.clone());
    }
}

/// The problems that a request can be answered with whatever the handler does.
fn statuses(operation: &Value, place: &Place) -> Result<BTreeSet<u16>> {
    let class = &place.row.class;
    let mut statuses = place.access.refusals.get(class).with_context(|| format!("{class} is no access"))?.clone();
    statuses.extend([429, 503]);
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        statuses.insert(400);
    }
    if parameters.iter().any(|parameter| parameter["in"] == "path") {
        statuses.insert(404);
    }
    if parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key") {
        statuses.insert(409);
    }
    if operation["requestBody"].is_object() {
        statuses.extend([400, 413, 415, 422]);
    }
    Ok(statuses)
}

fn add_problem(operation: &mut Value, status: u16) -> Result<()> {
    let said = &mut operation["responses"][status.to_string()];
    if says_nothing(said) {
        *said = shared(status)?;
    } else if let Some(problem) = problem_content().as_object() {
        problem.iter().for_each(|(kind, content)| said["content"][kind] = content.clone());
    }
    Ok(())
}

/// The answer that all problems with this status share.
fn shared(status: u16) -> Result<Value> {
    Ok(json!({ "$ref": format!("#/components/responses/{}", response_name(status)?) }))
}

fn says_nothing(response: &Value) -> bool {
    response["content"].is_null() && text(response).is_empty()
}

fn text(response: &Value) -> &str {
    response["description"].as_str().unwrap_or_default()
}

/// What the handler alone says is told in full.
fn finish_responses(operation: &mut Value) -> Result<()> {
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        let status: u16 = status.parse()?;
        if response["$ref"].is_string() {
            continue;
        }
        if status >= 400 && says_nothing(response) {
            *response = shared(status)?;
            continue;
        }
        if status >= 400 && response["content"].is_null() {
            response["content"] = problem_content();
        }
        if text(response).is_empty() {
            response["description"] = StatusCode::from_u16(status)?.canonical_reason().into();
        }
        if status == 201 {
            response["headers"] =
                json!({ "Location": { "description": "Where it is.", "schema": { "type": "string" } } });
        }
    }
    Ok(())
}
