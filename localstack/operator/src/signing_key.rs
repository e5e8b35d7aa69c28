use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, Result, anyhow};
use auth::signing::SigningKey;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::pkcs8::{EncodePrivateKey, spki::der::pem::LineEnding};

use crate::stack::Stack;

/// The signing key in a file, or a new one, which only its owner can read.
pub fn read_or_make(file: &Path) -> Result<SigningKey> {
    if file.exists() {
        return read(file);
    }
    let key = make()?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    created.write_all(serde_json::to_string_pretty(&key)?.as_bytes())?;
    Ok(key)
}

/// The signing key in a file.
pub fn read(file: &Path) -> Result<SigningKey> {
    let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    serde_json::from_str(&text).map_err(|_| anyhow!("{} holds no signing key", file.display()))
}

/// Puts the key into the stack's secret.
pub async fn store(stack: &Stack, key: &SigningKey) -> Result<()> {
    let put = stack
        .secrets
        .put_secret_value()
        .secret_id(stack.resource("auth-signing-key"))
        .secret_string(serde_json::to_string(key)?);
    put.send().await.context("the signing key was not stored")?;
    Ok(())
}

fn make() -> Result<SigningKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let key = ed25519_dalek::SigningKey::from_bytes(&seed);
    let public = key.verifying_key();
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| anyhow!("the key cannot be written: {error}"))?;
    Ok(SigningKey {
        kid: BASE64_URL_SAFE_NO_PAD.encode(&public.as_bytes()[..6]),
        private_key_pem: pem.to_string(),
        x: BASE64_URL_SAFE_NO_PAD.encode(public.as_bytes()),
    })
}
