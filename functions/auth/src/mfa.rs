//! The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for the day it
//! is lost.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::{http::Problem, id::Id, time::Timestamp};
use totp_rs::{Builder, Totp};
use utoipa::ToSchema;

use crate::{
    account::Account,
    sealing::{Sealer, SealingError},
    ticket::{self, SecretHash, Ticket, sha256},
};

const ISSUER: &str = "Quayside";
/// RFC 4226 recommends 160 bits.
const SECRET_BYTES: usize = 20;
const RECOVERY_CODES: usize = 10;
/// 80 bits each, so that a plain hash keeps them.
const RECOVERY_CODE_BYTES: usize = 10;
/// How long the second factor may take after the first.
const CHALLENGE_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// What somebody shows as a second factor.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// Six digits from an authenticator app.
    Otp(&'a str),
    RecoveryCode(&'a str),
}

impl<'a> Proof<'a> {
    /// The one that is given; 422 for both.
    pub fn of(otp: Option<&'a str>, recovery_code: Option<&'a str>) -> Result<Option<Self>, Problem> {
        match (otp, recovery_code) {
            (Some(_), Some(_)) => {
                Err(Problem::invalid_field("/recovery_code", "give an otp or a recovery_code, not both"))
            }
            (otp, recovery_code) => Ok(otp.map(Self::Otp).or(recovery_code.map(Self::RecoveryCode))),
        }
    }

    /// The pointer of the field that it came in.
    pub fn pointer(self) -> &'static str {
        match self {
            Self::Otp(_) => "/otp",
            Self::RecoveryCode(_) => "/recovery_code",
        }
    }
}

/// An account's second factor as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactor {
    pub account_id: Id,
    /// The shared secret, [sealed](crate::sealing).
    sealed_secret: String,
    /// Asked for at sign-in only once its owner has shown a code.
    pub confirmed: bool,
    /// The time step of the last code that was used: no code of that step or before is good any more.
    last_step: u64,
    /// SHA-256 of each recovery code that was not used yet, in hexadecimal.
    recovery_sha256: Vec<String>,
    pub enrolled_at: Timestamp,
    pub version: u64,
}

/// What its owner is shown once at the enrolment.
#[derive(Serialize, ToSchema)]
pub struct Enrolment {
    /// In base32, to type into an authenticator app.
    pub secret: String,
    /// The same as a key URI, to be shown as a QR code.
    pub otpauth_uri: String,
}

impl SecondFactor {
    /// A new secret for an account, in place of `before`, which was never confirmed.
    pub async fn enrol(
        account: &Account,
        before: Option<&Self>,
        sealer: &Sealer,
    ) -> Result<(Self, Enrolment), SealingError> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)?;
        let account_id = account.profile.id;
        let totp = totp(&secret, &account.profile.username)?;
        let enrolment = Enrolment { secret: totp.secret().to_base32(), otpauth_uri: key_uri(&totp)? };
        let factor = Self {
            account_id,
            sealed_secret: sealer.seal(account_id, &secret).await?,
            confirmed: false,
            last_step: 0,
            recovery_sha256: Vec::new(),
            enrolled_at: Timestamp::now(),
            version: before.map_or(0, |before| before.version) + 1,
        };
        Ok((factor, enrolment))
    }

    /// The factor after this proof was used, one version on; none if it is not good. Only who stores it
    /// in place of the version before has used the proof.
    pub async fn using(&self, proof: Proof<'_>, sealer: &Sealer, now: Timestamp) -> Result<Option<Self>, SealingError> {
        let used = match proof {
            Proof::Otp(code) => {
                let secret = sealer.open(self.account_id, &self.sealed_secret).await?;
                let seconds = u64::try_from(now.unix_seconds()).unwrap_or(0);
                let step = totp(&secret, "")?.check(code, seconds).filter(|step| *step > self.last_step);
                step.map(|last_step| Self { last_step, ..self.clone() })
            }
            Proof::RecoveryCode(code) => {
                let hash = sha256(&plain(code));
                let known = self.recovery_sha256.contains(&hash);
                let left = self.recovery_sha256.iter().filter(|other| **other != hash).cloned().collect();
                known.then(|| Self { recovery_sha256: left, ..self.clone() })
            }
        };
        Ok(used.map(|used| Self { version: self.version + 1, ..used }))
    }

    /// The factor from now on asked for, and its recovery codes.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn confirm(self) -> Result<(Self, Vec<String>), getrandom::Error> {
        let codes = (0..RECOVERY_CODES).map(|_| recovery_code()).collect::<Result<Vec<_>, _>>()?;
        let recovery_sha256 = codes.iter().map(|code| sha256(&plain(code))).collect();
        Ok((Self { confirmed: true, recovery_sha256, ..self }, codes))
    }
}

fn totp(secret: &[u8], username: &str) -> Result<Totp, SealingError> {
    // The user name has no colon, and the secret has the length it was made with.
    let builder = Builder::new().with_secret(secret.to_vec()).with_account_name(username).with_issuer(Some(ISSUER));
    builder.build().map_err(|_| SealingError::Broken)
}

fn key_uri(totp: &Totp) -> Result<String, SealingError> {
    totp.to_url().map_err(|_| SealingError::Broken)
}

/// Twenty hexadecimal digits in groups of five.
fn recovery_code() -> Result<String, getrandom::Error> {
    let mut bytes = [0; RECOVERY_CODE_BYTES];
    getrandom::fill(&mut bytes)?;
    let digits: Vec<char> = bytes.iter().flat_map(|byte| format!("{byte:02x}").chars().collect::<Vec<_>>()).collect();
    Ok(digits.chunks(5).map(String::from_iter).collect::<Vec<_>>().join("-"))
}

/// A recovery code however it was typed.
fn plain(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// A password was right, and a second factor is waited for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Challenge {
    pub challenge_id: String,
    pub account_id: Id,
    secret_sha256: SecretHash,
    /// The account's `sessions_since` when the password was checked: once that changes, so may have the
    /// password.
    account_since: Timestamp,
    pub expires_at: Timestamp,
}

impl Challenge {
    /// A new challenge, and the token that answers it.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn new(account: &Account) -> Result<(Self, String), getrandom::Error> {
        let challenge_id = ticket::new_id()?;
        let (secret_sha256, token) = ticket::issue(account.profile.id, &challenge_id)?;
        let challenge = Self {
            challenge_id,
            account_id: account.profile.id,
            secret_sha256,
            account_since: account.sessions_since,
            expires_at: Timestamp::now().plus(CHALLENGE_LIFETIME),
        };
        Ok((challenge, token))
    }

    /// Whether the token belongs to this challenge, and the account may still go on with it.
    pub fn is_met_by(&self, token: &Ticket<'_>, account: &Account) -> bool {
        self.secret_sha256.matches(token)
            && !account.disabled
            && Timestamp::now() < self.expires_at
            && self.account_since == account.sessions_since
    }
}
