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
const NAMES: [&str; 13] = [
    "password",
    "current_password",
    "new_password",
    "access_token",
    "token",
    "refresh_token",
    "mfa_token",
    "recovery_code",
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
    let lines = secrets.iter().flat_map(|secret| secret.lines()).flat_map(forms);
    let lines: String = lines.filter(|line| line.len() >= SHORTEST).map(|line| format!("{line}\n")).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(home.join(FILE))?;
    Ok(file.write_all(lines.as_bytes())?)
}

/// A secret as it may be found: as it is; the part of a refresh token or an API key that is the secret in it;
/// a recovery code without its hyphens.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if secret.split('.').count() > 2 && secret.split('.').next().is_some_and(is_number) {
        forms.extend(secret.split('.').skip(2).map(str::to_owned));
    }
    if let Some((id, key)) = secret.strip_prefix("qsk_").and_then(|rest| rest.split_once('_'))
        && is_number(id)
    {
        forms.push(key.to_owned());
    }
    if secret.len() == 23 && secret.split('-').all(|group| group.len() == 5) {
        forms.push(secret.replace('-', ""));
    }
    forms
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_looked_for_in_every_form_it_has() {
        assert_eq!(forms("1.0a.family.secret"), ["1.0a.family.secret", "family", "secret"]);
        assert_eq!(forms("qsk_42_abc_def"), ["qsk_42_abc_def", "abc_def"]);
        assert_eq!(forms("aaaaa-bbbbb-ccccc-ddddd"), ["aaaaa-bbbbb-ccccc-ddddd", "aaaaabbbbbcccccddddd"]);
        assert_eq!(forms("header.claims.signature"), ["header.claims.signature"]);
    }
}
