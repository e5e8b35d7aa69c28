//! The tables of `docs/access.md`.

use std::{collections::HashMap, fs};

use anyhow::{Context, Result};

/// A file of the repository.
pub fn repository(file: &str) -> Result<String> {
    fs::read_to_string(format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"))).with_context(|| file.to_owned())
}

/// The rows of the table with so many columns whose first header is this, by the headers' names; none if there
/// is no such table.
pub fn table(document: &str, first: &str, columns: usize) -> Vec<HashMap<String, String>> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    let mut lines = document.lines().skip_while(|line| {
        let names = cells(line);
        !line.starts_with('|') || names.first().is_none_or(|name| name != first) || names.len() != columns
    });
    let names = lines.next().map(cells).unwrap_or_default();
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|line| names.iter().cloned().zip(cells(line)).collect()).collect()
}
