//! The keys that access tokens are signed with, in a file that only its owner can read.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use auth::signing::SigningKey;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::pkcs8::{EncodePrivateKey, spki::der::pem::LineEnding};
use serde::{Deserialize, Serialize};
use shared::time::Timestamp;

use crate::stack::Stack;

/// How long after a key began to sign tokens of the one before it may still be good: a token's
/// lifetime, and some time for functions to read the new key.
const TOKENS_OUTLIVE: Duration = Duration::from_secs(20 * 60);

/// The keys of one stack. Two public keys are good at a time: that of the key that signs, and that of
/// the one before it or of the one after it.
#[derive(Serialize, Deserialize)]
pub struct KeyRing {
    signing: SigningKey,
    signs_since: Timestamp,
    /// Made by a rotation, and not to sign before every function knows its public key.
    next: Option<SigningKey>,
    before: Option<PublicKey>,
}

#[derive(Serialize, Deserialize)]
struct PublicKey {
    kid: String,
    x: String,
}

impl KeyRing {
    /// The keys in a file, or new ones.
    pub fn read_or_make(file: &Path) -> Result<Self> {
        if file.exists() {
            return Self::read(file);
        }
        let ring = Self { signing: make()?, signs_since: Timestamp::now(), next: None, before: None };
        ring.write(file)?;
        Ok(ring)
    }

    /// The keys in a file.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        serde_json::from_str(&text).map_err(|_| anyhow!("{} holds no signing keys", file.display()))
    }

    /// Replaces the file as a whole, so that it never holds half a key.
    fn write(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let new = file.with_extension("new");
        let mut created = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        created.write_all(serde_json::to_string_pretty(self)?.as_bytes())?;
        Ok(fs::rename(&new, file)?)
    }

    /// The stack's `JwtPublicKeys` parameter.
    pub fn public_keys(&self) -> String {
        let other = self.next.as_ref().map(|key| (&key.kid, &key.x));
        let other = other.or(self.before.as_ref().map(|key| (&key.kid, &key.x)));
        let pairs = [Some((&self.signing.kid, &self.signing.x)), other];
        let mut pairs: Vec<_> = pairs.into_iter().flatten().map(|(kid, x)| format!("{kid}:{x}")).collect();
        pairs.sort();
        pairs.join(",")
    }

    /// Adds the key that is to sign next. It does once the public keys are deployed and the ring is
    /// [stored](KeyRing::store).
    ///
    /// # Errors
    /// While tokens of the key that this displaces may still be good.
    pub fn rotate(&mut self, file: &Path, now: Timestamp) -> Result<()> {
        if self.next.is_none() {
            let free_at = self.signs_since.plus(TOKENS_OUTLIVE);
            if self.before.is_some() && now < free_at {
                bail!(
                    "tokens of the key before the present one may be good until {free_at}: rotate after that, or \
                     retire-signing-key first"
                );
            }
            self.before = None;
            self.next = Some(make()?);
            self.write(file)?;
        }
        Ok(())
    }

    /// Withdraws the key that signed before: once the public keys are deployed, no token of it is good.
    ///
    /// # Errors
    /// While the key that is to sign next does not sign.
    pub fn retire(&mut self, file: &Path) -> Result<()> {
        if self.next.is_some() {
            bail!("the new key does not sign yet, and the present one has to: deploy, then store-signing-key");
        }
        self.before = None;
        self.write(file)
    }

    /// Puts the key that is to sign into the stack's secret: the next one, if there is one, since its
    /// public key has been deployed.
    pub async fn store(mut self, stack: &Stack, file: &Path) -> Result<()> {
        let signing = self.next.as_ref().unwrap_or(&self.signing);
        let put = stack
            .secrets
            .put_secret_value()
            .secret_id(stack.resource("auth-signing-key"))
            .secret_string(serde_json::to_string(signing)?);
        put.send().await.context("the signing key was not stored")?;
        if let Some(next) = self.next.take() {
            let before = std::mem::replace(&mut self.signing, next);
            self.before = Some(PublicKey { kid: before.kid, x: before.x });
            self.signs_since = Timestamp::now();
            self.write(file)?;
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> KeyRing {
        KeyRing { signing: make().unwrap(), signs_since: Timestamp::now(), next: None, before: None }
    }

    #[test]
    fn a_rotation_keeps_the_public_key_of_the_tokens_that_are_out() {
        let file = std::env::temp_dir().join(format!("quayside-{}.json", shared::id::Id::generate()));
        let mut ring = ring();
        let old = ring.public_keys();
        ring.rotate(&file, Timestamp::now()).unwrap();
        let both = ring.public_keys();
        assert!(both.contains(&old) && both.split(',').count() == 2);
        ring.rotate(&file, Timestamp::now()).unwrap();
        assert_eq!(ring.public_keys(), both, "a rotation that was not finished goes on");
        assert_eq!(KeyRing::read(&file).unwrap().public_keys(), both);
        fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_key_that_has_leaked_is_withdrawn_once_another_signs() {
        let file = std::env::temp_dir().join(format!("quayside-{}.json", shared::id::Id::generate()));
        let leaked = make().unwrap();
        let public = PublicKey { kid: leaked.kid.clone(), x: leaked.x };
        let mut ring = KeyRing { before: Some(public), next: Some(make().unwrap()), ..ring() };
        assert!(ring.retire(&file).is_err(), "the key before is then no more the one that leaked");
        ring.next = None;
        assert!(ring.public_keys().contains(&leaked.kid));
        ring.retire(&file).unwrap();
        let read = KeyRing::read(&file).unwrap();
        assert_eq!(read.public_keys(), format!("{}:{}", ring.signing.kid, ring.signing.x));
        ring.rotate(&file, Timestamp::now()).unwrap();
        ring.retire(&file).unwrap_err();
        fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_key_is_not_displaced_while_its_tokens_may_be_good() {
        let file = std::env::temp_dir().join(format!("quayside-{}.json", shared::id::Id::generate()));
        let before = make().unwrap();
        let mut ring = KeyRing { before: Some(PublicKey { kid: before.kid, x: before.x }), ..ring() };
        assert!(ring.rotate(&file, Timestamp::now().plus(Duration::from_secs(19 * 60))).is_err());
        ring.rotate(&file, Timestamp::now().plus(Duration::from_secs(21 * 60))).unwrap();
        fs::remove_file(file).unwrap();
    }
}
