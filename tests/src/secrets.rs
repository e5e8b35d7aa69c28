//! Every secret that the suite used, so that the last test can look for them where they must not be.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Result;
use serde_json::Value;

/// The names under which requests and answers carry secrets.
const NAMES: [&str; 11] = [
    "password",
    "current_password",
    "new_password",
    "access_token",
    "refresh_token",
    "mfa_token",
    "recovery_codes",
    "secret",
    "api_key",
    "key",
    "private_key_pem",
];
/// Shorter ones are found in innocent words.
const SHORTEST: usize = 8;
const FILE: &str = "secrets";

/// Notes every secret in a request or an answer in the stack's folder.
pub fn note(home: &Path, document: &Value) -> Result<()> {
    let mut found = Vec::new();
    collect(document, &mut found);
    note_all(home, &found)
}

/// Notes texts that are secrets.
pub fn note_all(home: &Path, secrets: &[&str]) -> Result<()> {
    let lines = secrets.iter().flat_map(|secret| secret.lines()).filter(|line| line.len() >= SHORTEST);
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(home.join(FILE))?;
    Ok(file.write_all(lines.as_bytes())?)
}

/// All that were noted, by whichever test.
pub fn noted(home: &Path) -> Result<BTreeSet<String>> {
    Ok(fs::read_to_string(home.join(FILE))?.lines().map(str::to_owned).collect())
}

fn collect<'a>(document: &'a Value, found: &mut Vec<&'a str>) {
    match document {
        Value::Object(fields) => {
            for (name, value) in fields {
                if NAMES.contains(&name.as_str()) {
                    texts(value, found);
                } else {
                    collect(value, found);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        _ => {}
    }
}
