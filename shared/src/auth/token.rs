use std::{collections::BTreeMap, fmt};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};

use crate::{event::Role, id::Id, time::Timestamp};

/// `iss` of every access token.
pub const ISSUER: &str = "quayside";
/// `aud` of every access token.
pub const AUDIENCE: &str = "quayside-api";

/// What the clocks of issuer and verifier may differ by.
const LEEWAY_SECONDS: u64 = 5;
/// Longer than any token this system issues.
const MAX_LENGTH: usize = 4096;

/// The claims of an access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    /// The user's id, in decimal.
    pub sub: String,
    pub username: String,
    pub role: Role,
    /// The session that the token belongs to.
    pub sid: String,
    /// Unique to the token.
    pub jti: String,
    /// Seconds since the Unix epoch.
    pub iat: i64,
    pub exp: i64,
}

impl Claims {
    pub fn user_id(&self) -> Option<Id> {
        self.sub.parse().ok()
    }
}

/// The token is not one that this system issued and that is good now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid token")]
pub struct InvalidToken;

/// The Ed25519 public keys that tokens are checked with, by key id. Two at a time allow rotation.
#[derive(Clone)]
pub struct PublicKeys {
    keys: BTreeMap<String, (String, DecodingKey)>,
}

impl fmt::Debug for PublicKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.keys()).finish()
    }
}

impl PublicKeys {
    /// Reads `<kid>:<x>` pairs separated by commas, where `x` is the key in unpadded base64url as in
    /// a JWK (RFC 8037).
    pub fn parse(text: &str) -> Result<Self, String> {
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let keys = pairs.map(|pair| {
            let (kid, x) = pair.split_once(':').ok_or("not of the form kid:key")?;
            let key = DecodingKey::from_ed_components(x).map_err(|error| error.to_string())?;
            Ok((kid.to_owned(), (x.to_owned(), key)))
        });
        Ok(Self { keys: keys.collect::<Result<_, String>>()? })
    }

    /// Every key's id and its `x`, as a JWK set shows them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys.iter().map(|(kid, (x, _))| (kid.as_str(), x.as_str()))
    }

    /// The claims of a token that is signed by one of these keys, with EdDSA, for this system, that
    /// has not expired and is not from the future.
    pub fn verify(&self, token: &str) -> Result<Claims, InvalidToken> {
        if token.len() > MAX_LENGTH {
            return Err(InvalidToken);
        }
        let header = decode_header(token).map_err(|_| InvalidToken)?;
        let (_, key) = header.kid.and_then(|kid| self.keys.get(&kid)).ok_or(InvalidToken)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims = decode::<Claims>(token, key, &validation).map_err(|_| InvalidToken)?.claims;
        let latest = Timestamp::now().unix_seconds().saturating_add_unsigned(LEEWAY_SECONDS);
        if claims.iat <= latest { Ok(claims) } else { Err(InvalidToken) }
    }
}
