//! The services' documents put together.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use shared::openapi::{Kit, apart};
use utoipa::{OpenApi, openapi};

use crate::{
    access::{Access, Row},
    operation::{self, Place},
    samples::{self, Sample},
    schema,
};

const ABOUT: &str = "Errors are `application/problem+json` (RFC 9457): a stable `code`, a `detail` for people, the \
    `correlation_id`, and for wrong input a pointer to every wrong field. Every answer has an `X-Correlation-ID`; a \
    request may bring its own. Ids are integers below 2^53. Lists answer `data` and `next`, the cursor of the next \
    page. A request from a web page of another origin is answered with 403 everywhere, unless the origin is named in \
    the configuration.";

/// What every answer with one of these statuses says.
const PROBLEMS: [(u16, &str); 11] = [
    (400, "The request cannot be read: malformed JSON, or a parameter that is none."),
    (401, "There is no valid bearer token or API key."),
    (403, "The caller may not do this."),
    (404, "There is no such thing, or it is somebody else's."),
    (409, "It clashes with the present state, or somebody else changed it at the same time."),
    (413, "The body is too large."),
    (415, "The body is of another content type."),
    (422, "The request is invalid; `errors` point at the wrong fields."),
    (402, "The payment was declined."),
    (429, "Too many requests; `Retry-After` says when to try again."),
    (503, "Something that this needs is away; `Retry-After` says when to try again."),
];

/// One document of what each service says.
pub fn document(services: Vec<(&'static str, openapi::OpenApi)>, access: &Access) -> Result<Value> {
    let rows: HashMap<&str, &Row> = access.rows.iter().map(|row| (row.route.as_str(), row)).collect();
    let (mut paths, mut schemas, mut tags) = (Map::new(), Map::new(), Vec::new());
    merge(&mut schemas, "the kit", &serde_json::to_value(Kit::openapi())?)?;
    for (service, said) in services {
        let said = serde_json::to_value(said)?;
        merge(&mut schemas, service, &said)?;
        tags.push(json!({ "name": service }));
        for (together, item) in said["paths"].as_object().into_iter().flatten() {
            for path in apart(together) {
                let entry = paths.entry(path).or_insert_with(|| json!({}));
                for (method, operation) in item.as_object().into_iter().flatten() {
                    let route = format!("{} {path}", method.to_uppercase());
                    let row = rows.get(route.as_str()).with_context(|| format!("{route} is not in docs/access.md"))?;
                    let sample = Sample::of(service, &row.function)?;
                    let number = 1 + position(access, row);
                    let place = Place { service, path, row, number, access, sample: &sample };
                    ensure!(entry[method].is_null(), "two handlers say that they answer to {route}");
                    entry[method] = operation::completed(operation.clone(), &place)?;
                }
            }
        }
    }
    samples::add_examples_of_types(&mut paths, &schemas);
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Quayside",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": ".", "description": "Where this document is" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": problems()?,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "An access token of `POST /api/auth/login`." },
                "apiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key",
                    "description": "A key of `POST /api/auth/keys`." },
            },
        },
    }))
}

/// Which of its function's routes this one is, in the table's order.
fn position(access: &Access, row: &Row) -> usize {
    let own = access.rows.iter().filter(|other| other.function == row.function);
    own.take_while(|other| other.route != row.route).count()
}

/// Adds a document's schemas. A name stands for one schema.
fn merge(schemas: &mut Map<String, Value>, service: &str, said: &Value) -> Result<()> {
    for (name, schema) in said["components"]["schemas"].as_object().into_iter().flatten() {
        let schema = schema::tidied(name, schema.clone());
        match schemas.insert(name.clone(), schema.clone()) {
            Some(other) if other != schema => {
                bail!("{name} of {service} is another's name too: rename it with #[schema(as = …)]")
            }
            _ => {}
        }
    }
    Ok(())
}

fn problems() -> Result<Map<String, Value>> {
    PROBLEMS.into_iter().map(|(status, text)| Ok((response_name(status)?, problem(status, text)))).collect()
}

fn problem(status: u16, description: &str) -> Value {
    let mut response = json!({ "description": description, "content": problem_content() });
    match status {
        429 | 503 => {
            response["headers"] = json!({ "Retry-After": {
                "description": "In seconds.", "schema": { "type": "integer", "minimum": 0 },
            } });
        }
        401 => response["headers"] = json!({ "WWW-Authenticate": { "schema": { "type": "string" } } }),
        _ => {}
    }
    response
}

/// The content of an answer that is a problem.
pub fn problem_content() -> Value {
    json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } })
}

/// The name of the answer that all problems with this status share.
pub fn response_name(status: u16) -> Result<String> {
    let reason = StatusCode::from_u16(status)?.canonical_reason().unwrap_or_default();
    Ok(reason.chars().filter(|c| c.is_ascii_alphabetic()).collect())
}
