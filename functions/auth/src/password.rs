//! Passwords: Argon2id with 19 MiB, two passes and one lane (OWASP's recommendation).

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use serde::{Deserialize, Deserializer, de::Error};

/// Verified against when there is no account, so that the answer takes as long as with one.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$ILF6uzjK9KCihBgPvP1INQ$57oKeLueQ9VH0BIa2cap425TMtMwxzS5EOSLOCfkJhQ";

/// The operating system gave no salt, or the password could not be hashed.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed: {0}")]
pub struct HashError(String);

/// Reads a password. The error does not quote what was sent instead, as serde's own would.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(password) => Ok(password),
        _ => Err(D::Error::custom("a string is required")),
    }
}

/// [`read`] for a secret that may be absent.
pub(crate) fn read_optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    read(deserializer).map(Some)
}

/// A password's hash with a new salt, in the PHC string format.
pub fn hash(password: &str) -> Result<String, HashError> {
    let _evaluation = tracing::trace_span!("argon2id").entered();
    let hash: PasswordHash =
        Argon2::default().hash_password(password.as_bytes()).map_err(|error| HashError(error.to_string()))?;
    Ok(hash.to_string())
}

/// Whether this is the password. Without a hash, takes as long as with one and says no.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let _evaluation = tracing::trace_span!("argon2id").entered();
    let matches = PasswordHash::new(hash.unwrap_or(NOBODYS_HASH))
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
    matches && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_itself_matches_its_hash() {
        let stored = hash("correct horse").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify("correct horse", Some(&stored)));
        assert!(!verify("wrong horse", Some(&stored)));
        assert!(!verify("correct horse", None));
    }

    #[test]
    fn nobodys_hash_costs_as_much_as_anybodys() {
        let nobody = PasswordHash::new(NOBODYS_HASH).unwrap().to_string();
        let parameters = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(parameters(&nobody), parameters(&hash("x").unwrap()));
    }
}
