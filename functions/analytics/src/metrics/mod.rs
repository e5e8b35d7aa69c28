//! What is told of the figures. Plain computation: no AWS, no HTTP, and integers throughout.

pub mod anomalies;
pub mod cash_flow;
pub mod health_score;
pub mod spending_trends;

use serde::{Serialize, Serializer};
use shared::money::{InvalidMoney, Money};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// A sum is beyond what an amount can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sum in this range is beyond {max}", max = Money::MAX)]
pub struct OutOfRange;

impl From<InvalidMoney> for OutOfRange {
    fn from(_: InvalidMoney) -> Self {
        Self
    }
}

/// The amount of so many minor units.
fn money(units: i128) -> Result<Money, OutOfRange> {
    let units = i64::try_from(units).map_err(|_| OutOfRange)?;
    Ok(Money::from_minor_units(units)?)
}

/// A ratio as a decimal number, rounded half away from zero; the denominator is not zero.
fn rounded(numerator: i128, denominator: i128) -> i128 {
    let (numerator, denominator) = if denominator < 0 { (-numerator, -denominator) } else { (numerator, denominator) };
    let magnitude = (2 * numerator.abs() + denominator) / (2 * denominator);
    if numerator < 0 { -magnitude } else { magnitude }
}

/// A number with so many decimals, in JSON as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal<const DECIMALS: u32>(i128);

impl<const DECIMALS: u32> Decimal<DECIMALS> {
    /// A ratio to this many decimals; the denominator is not zero.
    fn ratio(numerator: i128, denominator: i128) -> Self {
        Self(rounded(numerator * 10_i128.pow(DECIMALS), denominator))
    }
}

impl<const DECIMALS: u32> std::fmt::Display for Decimal<DECIMALS> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = 10_u128.pow(DECIMALS);
        let (sign, magnitude) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}{}.{:0width$}", magnitude / unit, magnitude % unit, width = DECIMALS as usize)
    }
}

impl<const DECIMALS: u32> PartialSchema for Decimal<DECIMALS> {
    fn schema() -> RefOr<Schema> {
        f64::schema()
    }
}

impl<const DECIMALS: u32> ToSchema for Decimal<DECIMALS> {}

impl<const DECIMALS: u32> Serialize for Decimal<DECIMALS> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number: f64 = self.to_string().parse().map_err(serde::ser::Error::custom)?;
        serializer.serialize_f64(number)
    }
}

/// The middle one of these values, in order; of an even number, the lower of the two in the middle, so
/// that it is always one of them. Zero of none.
fn median(values: &mut [i128]) -> i128 {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_rounded_half_away_from_zero() {
        for (numerator, denominator, expected) in
            [(1, 2, 1), (-1, 2, -1), (1, 3, 0), (2, 3, 1), (-2, 3, -1), (5, -2, -3), (0, 7, 0), (4, 2, 2)]
        {
            assert_eq!(rounded(numerator, denominator), expected, "{numerator}/{denominator}");
        }
        assert_eq!(Decimal::<1>::ratio(-1, 8).to_string(), "-0.1");
        assert_eq!(serde_json::to_string(&Decimal::<2>::ratio(1, 3)).unwrap(), "0.33");
    }

    #[test]
    fn the_median_is_one_of_the_values() {
        assert_eq!((median(&mut [3, 1, 2]), median(&mut [4, 1, 3, 2]), median(&mut [])), (2, 2, 0));
    }
}
