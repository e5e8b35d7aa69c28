//! Writes the OpenAPI document to where it is kept.

use std::fs;

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let text = serde_json::to_string_pretty(&openapi::document()?)?;
    let path = format!("{}/../{}", env!("CARGO_MANIFEST_DIR"), openapi::FILE);
    fs::write(path, text + "\n").with_context(|| format!("{} cannot be written", openapi::FILE))
}
