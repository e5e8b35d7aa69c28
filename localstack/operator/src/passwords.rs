use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// A password of 144 random bits.
pub fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 18];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
