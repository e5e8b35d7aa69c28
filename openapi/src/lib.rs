//! The OpenAPI document: what the handlers say of themselves, and around it what they have in common.
//!
//! Handlers say their paths, bodies, answers and parameters with `#[utoipa::path]`. Access comes from
//! `docs/access.md`, examples from `events/`, and the answers that the kit gives from what a request
//! has that can be wrong. `make openapi` writes it to `docs/openapi.json`, which the gateway embeds.

mod access;
mod complete;
mod operation;
mod samples;
mod schema;

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;
use utoipa::{OpenApi, openapi};

pub use self::access::{Access, Row};

/// Where the document is kept, from the repository's root.
pub const FILE: &str = "docs/openapi.json";

/// What each service's handlers say.
fn services() -> Vec<(&'static str, openapi::OpenApi)> {
    vec![
        ("auth", auth::http::Documentation::openapi()),
        ("users", users::http::Documentation::openapi()),
        ("products", products::http::Documentation::openapi()),
        ("orders", orders::http::Documentation::openapi()),
        ("payments", payments::http::Documentation::openapi()),
        ("sensors", sensors::http::Documentation::openapi()),
        ("events", events::http::Documentation::openapi()),
        ("notifications", notifications::http::Documentation::openapi()),
        ("analytics", analytics::http::Documentation::openapi()),
        ("gateway", gateway::http::Documentation::openapi()),
    ]
}

/// The whole document.
///
/// # Errors
/// When a route has no row in `docs/access.md`, two types have one name, or a sample cannot be read.
pub fn document() -> Result<Value> {
    let access = Access::parse(&repository("docs/access.md")?)?;
    complete::document(services(), &access)
}

/// A file of the repository.
///
/// # Errors
/// When it cannot be read.
pub fn repository(file: &str) -> Result<String> {
    let path = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).with_context(|| format!("{file} cannot be read"))
}

/// The document's routes, as `GET /api/orders/{id}`.
pub fn routes(document: &Value) -> Vec<String> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let routes = paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, _)| format!("{} {path}", method.to_uppercase()))
    });
    routes.collect()
}
