//! 53-bit time-ordered identifiers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::time::Timestamp;

/// 2020-01-01T00:00:00Z in milliseconds since the Unix epoch.
const EPOCH_MS: i64 = 1_577_836_800_000;
const RANDOM_BITS: u32 = 12;

/// The identifier of an entity: a positive integer below 2^53.
///
/// Every JavaScript client can hold it as a number. New ids carry 41 bits of milliseconds since
/// 2020 above 12 random bits, so they sort by creation time; small ids brought along from another
/// system stay valid. Uniqueness is the storing transaction's to enforce, by a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[schema(minimum = 1, maximum = 9_007_199_254_740_991_u64, example = 42)]
#[serde(transparent)]
pub struct Id(u64);

impl Id {
    /// The largest id: 2^53 - 1, `Number.MAX_SAFE_INTEGER` in JavaScript.
    pub const MAX: u64 = (1 << 53) - 1;

    /// A new id for this moment.
    pub fn generate() -> Self {
        Self::at(Timestamp::now(), random_u16())
    }

    fn at(moment: Timestamp, random: u16) -> Self {
        let millis = u64::try_from(moment.unix_millis().saturating_sub(EPOCH_MS)).unwrap_or(0);
        let random = u64::from(random) & ((1 << RANDOM_BITS) - 1);
        Self((((millis << RANDOM_BITS) | random) & Self::MAX).max(1))
    }

    /// The id that this text always has: 53 bits of its SHA-256.
    pub fn derived(text: &str) -> Self {
        let digest = Sha256::digest(text);
        let bits = digest.iter().take(8).fold(0, |bits: u64, byte| bits << 8 | u64::from(*byte));
        Self((bits & Self::MAX).max(1))
    }

    /// The id with this value, or `None` outside `1..=Id::MAX`.
    pub const fn new(value: u64) -> Option<Self> {
        if value >= 1 && value <= Self::MAX { Some(Self(value)) } else { None }
    }

    pub const fn value(self) -> u64 {
        self.0
    }

    /// This id or its neighbour, whichever is even. Two services that both give ids to users keep to
    /// even and odd ones, so that no id of one is ever an id of the other.
    #[must_use]
    pub const fn even(self) -> Self {
        Self(if self.0 % 2 == 1 && self.0 > 1 { self.0 - 1 } else { self.0 })
    }

    /// This id or its neighbour, whichever is odd; see [`Id::even`].
    #[must_use]
    pub const fn odd(self) -> Self {
        Self(self.0 | 1)
    }

    /// The id as 16 digits with leading zeros, so that strings sort as the numbers do.
    pub fn sortable(self) -> String {
        format!("{:016}", self.0)
    }
}

fn random_u16() -> u16 {
    let bytes = *uuid::Uuid::new_v4().as_bytes();
    u16::from_le_bytes([bytes[0], bytes[1]])
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text or number was not an integer from 1 to 2^53 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is an integer from 1 to {}", Id::MAX)]
pub struct InvalidId;

impl FromStr for Id {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidId);
        }
        text.parse().ok().and_then(Self::new).ok_or(InvalidId)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Id;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an integer from 1 to {}", Id::MAX)
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Id, E> {
                Id::new(value).ok_or_else(|| E::custom(InvalidId))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Id, E> {
                u64::try_from(value).ok().and_then(Id::new).ok_or_else(|| E::custom(InvalidId))
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Id, E> {
                Err(E::custom(InvalidId))
            }
        }
        deserializer.deserialize_u64(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn even_and_odd_ids_of_one_moment_never_meet() {
        let now = Timestamp::now();
        let all = || (0..4096).map(|random| Id::at(now, random));
        let evens: std::collections::HashSet<_> = all().map(Id::even).collect();
        assert_eq!(evens.len(), 2048);
        assert!(all().map(Id::odd).all(|id| !evens.contains(&id)));
    }

    #[test]
    fn ids_from_a_monolith_stay_valid() {
        assert_eq!("1".parse(), Ok(Id(1)));
        assert_eq!(serde_json::to_string(&Id(3)).ok().as_deref(), Some("3"));
    }

    #[test]
    fn a_generated_id_fits_a_javascript_number_until_2089() {
        let last = Id::at(Timestamp::from_unix_millis(EPOCH_MS + (1 << 41) - 1), u16::MAX);
        assert_eq!(last.value(), Id::MAX);
    }

    proptest! {
        #[test]
        fn a_later_id_sorts_after_an_earlier_one(ms in 0i64..(1 << 40), later in 1i64..1_000_000, a: u16, b: u16) {
            let first = Id::at(Timestamp::from_unix_millis(EPOCH_MS + ms), a);
            let second = Id::at(Timestamp::from_unix_millis(EPOCH_MS + ms + later), b);
            prop_assert!(first < second);
            prop_assert!(first.sortable() < second.sortable());
        }

        #[test]
        fn any_text_is_an_id_or_an_error(text in ".{0,40}") {
            if let Ok(id) = text.parse::<Id>() {
                prop_assert!((1..=Id::MAX).contains(&id.value()));
            }
        }

        #[test]
        fn an_id_survives_json(value in 1..=Id::MAX) {
            let json = serde_json::to_string(&Id(value)).unwrap_or_default();
            prop_assert_eq!(serde_json::from_str::<Id>(&json).ok(), Some(Id(value)));
        }
    }
}
