//! Exact amounts of money.

use std::{fmt, ops::Neg};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

/// An amount of money: whole minor units (cents) inside, a decimal JSON number outside.
///
/// All arithmetic is on integers and checked. At most 13 digits stand before the decimal point's
/// two, so every amount has an exact shortest form as a JSON number: `999.99 × 3` is `2999.97`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = f64, minimum = -9_999_999_999_999.99, maximum = 9_999_999_999_999.99, multiple_of = 0.01, example = 999.99)]
pub struct Money(i64);

/// The number was not an amount: more than two decimals, or out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an amount has at most two decimals and lies between -{max} and {max}", max = Money::MAX)]
pub struct InvalidMoney;

impl Money {
    pub const ZERO: Self = Self(0);
    /// 9,999,999,999,999.99: fifteen digits, the most that a JSON number's usual reader keeps exact.
    pub const MAX: Self = Self(999_999_999_999_999);

    /// The amount of so many minor units.
    pub const fn from_minor_units(units: i64) -> Result<Self, InvalidMoney> {
        if units.unsigned_abs() <= Self::MAX.0.unsigned_abs() { Ok(Self(units)) } else { Err(InvalidMoney) }
    }

    pub const fn minor_units(self) -> i64 {
        self.0
    }

    pub fn plus(self, other: Self) -> Result<Self, InvalidMoney> {
        self.0.checked_add(other.0).ok_or(InvalidMoney).and_then(Self::from_minor_units)
    }

    pub fn times(self, count: u32) -> Result<Self, InvalidMoney> {
        self.0.checked_mul(i64::from(count)).ok_or(InvalidMoney).and_then(Self::from_minor_units)
    }

    /// Reads a plain decimal such as `999.99`, `-3` or `0.5`.
    fn parse(text: &str) -> Result<Self, InvalidMoney> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        if whole.is_empty() || fraction.len() > 2 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
        {
            return Err(InvalidMoney);
        }
        let units = format!("{whole}{fraction:0<2}").parse::<i64>().map_err(|_| InvalidMoney)?;
        Self::from_minor_units(if negative { -units } else { units })
    }
}

impl Neg for Money {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:02}", units / 100, units % 100)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number: f64 = self.to_string().parse().map_err(serde::ser::Error::custom)?;
        serializer.serialize_f64(number)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Money;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of money: a number with at most two decimals")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Money, E> {
                Money::parse(&value.to_string()).map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Money, E> {
                Money::parse(&value.to_string()).map_err(E::custom)
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Money, E> {
                Money::parse(&value.to_string()).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(json: &str) -> Option<Money> {
        serde_json::from_str(json).ok()
    }

    #[test]
    fn three_laptops_cost_exactly_three_times_one() {
        let total = money("999.99").and_then(|price| price.times(3).ok());
        assert_eq!(total.and_then(|t| serde_json::to_string(&t).ok()).as_deref(), Some("2999.97"));
    }

    #[test]
    fn a_third_decimal_is_refused() {
        assert_eq!(money("9.999"), None);
        assert_eq!(money("9.990"), Some(Money(999)));
    }

    #[test]
    fn an_amount_that_no_json_reader_keeps_exact_is_refused() {
        assert_eq!(money("1e300"), None);
        assert_eq!(money("10000000000000"), None);
        assert!(Money::MAX.times(2).is_err());
    }

    proptest! {
        #[test]
        fn every_amount_survives_json(units in -999_999_999_999_999i64..=999_999_999_999_999) {
            let json = serde_json::to_string(&Money(units)).unwrap_or_default();
            prop_assert_eq!(money(&json), Some(Money(units)));
        }

        #[test]
        fn any_number_is_an_amount_or_an_error(number: f64) {
            let _: Option<Money> = money(&number.to_string());
        }
    }
}
