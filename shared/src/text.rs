//! Rules for texts that people type, wherever they are asked for.

use unicode_normalization::UnicodeNormalization;

/// The form in which names and e-mail addresses are compared: NFKC, lower case, no space around.
pub fn normalized(text: &str) -> String {
    text.trim().nfkc().collect::<String>().to_lowercase()
}

/// For `#[garde(custom(not_blank))]`: more than space.
pub fn not_blank(text: &str, (): &()) -> garde::Result {
    if text.trim().is_empty() { Err(garde::Error::new("must not be blank")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_differ_in_case_or_width_are_the_same() {
        assert_eq!(normalized(" Alice@Example.com"), normalized("ＡＬＩＣＥ@example.com"));
    }

    #[test]
    fn space_alone_is_blank() {
        assert!(["", " ", "\t\u{2003}\n"].iter().all(|text| not_blank(text, &()).is_err()));
        assert!(not_blank(" x ", &()).is_ok());
    }
}
