//! Sums of the money that moved in a UTC day or month.
//!
//! A bucket keeps the figures of each quarter of an hour apart, where a day of some time zone can begin
//! or end in it: anywhere in a day, and in the first and the last day of a month. Every offset from
//! UTC that is in use is a multiple of a quarter of an hour, so the figures of any zone's days and
//! months are sums of whole slots.

use std::{
    collections::BTreeMap,
    fmt,
    ops::{Add, AddAssign},
};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{civil::Date, tz::TimeZone};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IgnoredAny, MapAccess, Visitor},
    ser::SerializeMap,
};
use shared::{
    table::{Item, Key, Update},
    time::Timestamp,
};

use crate::fact::{Fact, Kind};

/// Slots of a day.
const SLOTS: i64 = 96;
const SLOT_MS: i64 = 15 * 60 * 1000;
const DAY_MS: i64 = SLOTS * SLOT_MS;

/// Amounts in minor units, and how many they are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Customers to the business.
    pub paid: i128,
    pub payments: u64,
    /// The business to customers.
    pub refunded: i128,
    pub refunds: u64,
}

impl Figures {
    /// Those of one fact.
    pub fn of(fact: &Fact) -> Self {
        let amount = i128::from(fact.amount.minor_units());
        match fact.kind {
            Kind::Payment => Self { paid: amount, payments: 1, ..Self::default() },
            Kind::Refund => Self { refunded: amount, refunds: 1, ..Self::default() },
        }
    }

    /// What was paid and not given back; below zero when more was given back.
    pub fn net(&self) -> i128 {
        self.paid - self.refunded
    }
}

impl Add for Figures {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            paid: self.paid + other.paid,
            payments: self.payments + other.payments,
            refunded: self.refunded + other.refunded,
            refunds: self.refunds + other.refunds,
        }
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Figures {
    fn sum<I: Iterator<Item = Self>>(figures: I) -> Self {
        figures.fold(Self::default(), Add::add)
    }
}

/// How much time a bucket is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    Day,
    Month,
}

impl Span {
    pub const ALL: [Self; 2] = [Self::Day, Self::Month];

    /// The UTC day on which the bucket of a moment begins.
    pub fn start(self, moment: Timestamp) -> Date {
        let day = utc_day(moment);
        match self {
            Self::Day => day,
            Self::Month => day.first_of_month(),
        }
    }

    /// A bucket's place among those of its partition, without its category; the buckets behind it have
    /// greater ones.
    pub fn sort_key(self, start: Date) -> String {
        match self {
            Self::Day => start.to_string(),
            Self::Month => start.strftime("%Y-%m").to_string(),
        }
    }

    /// Where in its bucket a moment is.
    pub fn slot(self, moment: Timestamp) -> Slot {
        let quarter = u8::try_from(moment.unix_millis().rem_euclid(DAY_MS) / SLOT_MS).unwrap_or_default();
        let day = utc_day(moment);
        match self {
            Self::Day => Slot::First(quarter),
            Self::Month if day.day() == 1 => Slot::First(quarter),
            Self::Month if day == day.last_of_month() => Slot::Last(quarter),
            Self::Month => Slot::Between,
        }
    }
}

/// The UTC day that a moment is in.
pub fn utc_day(moment: Timestamp) -> Date {
    let instant = jiff::Timestamp::from_millisecond(moment.unix_millis()).unwrap_or(jiff::Timestamp::MAX);
    TimeZone::UTC.to_datetime(instant).date()
}

/// A part of a bucket's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// A quarter of an hour, 0 to 95, of the first day.
    First(u8),
    /// All days but the first and the last.
    Between,
    /// A quarter of an hour of the last day, where that is not the first.
    Last(u8),
}

/// What the amounts and counts of a slot are called in the table, before the slot's own name.
const PAID: &str = "p";
const PAYMENTS: &str = "pn";
const REFUNDED: &str = "r";
const REFUNDS: &str = "rn";

impl Slot {
    fn name(self) -> String {
        match self {
            Self::First(quarter) => quarter.to_string(),
            Self::Between => "b".to_owned(),
            Self::Last(quarter) => format!("l{quarter}"),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let quarter = |digits: &str| digits.parse().ok().filter(|quarter| i64::from(*quarter) < SLOTS);
        match name.strip_prefix('l') {
            _ if name == "b" => Some(Self::Between),
            Some(digits) => quarter(digits).map(Self::Last),
            None => quarter(name).map(Self::First),
        }
    }

    /// A moment in this slot of the bucket that begins on this day.
    fn moment(self, start: Date) -> Timestamp {
        let (day, quarter) = match self {
            Self::First(quarter) => (start, quarter),
            Self::Between => (start.tomorrow().unwrap_or(start), 0),
            Self::Last(quarter) => (start.last_of_month(), quarter),
        };
        let midnight = day.to_zoned(TimeZone::UTC).map_or(i64::MAX, |zoned| zoned.timestamp().as_millisecond());
        Timestamp::from_unix_millis(midnight.saturating_add(i64::from(quarter) * SLOT_MS))
    }
}

/// Figures of one category in one UTC day or month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its first day.
    pub start: Date,
    pub category: String,
    slots: BTreeMap<Slot, Figures>,
}

impl Bucket {
    /// The bucket that begins on this day and has these figures.
    pub fn of(start: Date, category: String, slots: BTreeMap<Slot, Figures>) -> Self {
        Self { start, category, slots }
    }

    /// Its parts: a moment in each, and the figures.
    pub fn parts(&self) -> impl Iterator<Item = (Timestamp, Figures)> {
        self.slots.iter().map(|(slot, figures)| (slot.moment(self.start), *figures))
    }

    /// All of its figures.
    pub fn total(&self) -> Figures {
        self.slots.values().copied().sum()
    }
}

/// The change of a bucket's item that adds these figures to its slots; makes the item if need be.
pub fn addition(key: Key, start: Date, category: &str, slots: &[(Slot, Figures)]) -> Update {
    let update = Update::anyway(Bucket::TYPE, key)
        .set("type", AttributeValue::S(Bucket::TYPE.to_owned()))
        .set("schema", AttributeValue::N(Bucket::SCHEMA.to_string()))
        .set("start", AttributeValue::S(start.to_string()))
        .set("category", AttributeValue::S(category.to_owned()));
    let numbers = slots.iter().flat_map(|(slot, figures)| numbers(*slot, figures));
    numbers.fold(update, |update, (name, number)| update.add(&name, number))
}

/// A slot's figures as attributes, those that are zero left out.
fn numbers(slot: Slot, figures: &Figures) -> impl Iterator<Item = (String, i64)> + use<> {
    let number = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
    let named = [
        (PAID, number(figures.paid)),
        (PAYMENTS, number(figures.payments.into())),
        (REFUNDED, number(figures.refunded)),
        (REFUNDS, number(figures.refunds.into())),
    ];
    let slot = slot.name();
    named.into_iter().filter(|(_, number)| *number != 0).map(move |(name, number)| (format!("{name}{slot}"), number))
}

impl Item for Bucket {
    const TYPE: &'static str = "bucket";

    /// A bucket is stored by [`addition`], which is told its key; this one is of no partition.
    fn key(&self) -> Key {
        Key::new("BUCKET", format!("{}#{}", self.start, self.category))
    }
}

impl Serialize for Bucket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("start", &self.start.to_string())?;
        map.serialize_entry("category", &self.category)?;
        for (name, number) in self.slots.iter().flat_map(|(slot, figures)| numbers(*slot, figures)) {
            map.serialize_entry(&name, &number)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Bucket {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Attributes;

        impl<'de> Visitor<'de> for Attributes {
            type Value = Bucket;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a bucket's attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bucket, A::Error> {
                let (mut start, mut category, mut slots) = (None, None, BTreeMap::new());
                while let Some(name) = map.next_key::<String>()? {
                    if name == "start" {
                        start = Some(map.next_value::<String>()?.parse().map_err(de::Error::custom)?);
                    } else if name == "category" {
                        category = Some(map.next_value()?);
                    } else if let Some((figure, slot)) = figure(&name) {
                        let figures: &mut Figures = slots.entry(slot).or_default();
                        set(figures, figure, map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                let start = start.ok_or_else(|| de::Error::missing_field("start"))?;
                let category = category.ok_or_else(|| de::Error::missing_field("category"))?;
                Ok(Bucket { start, category, slots })
            }
        }

        deserializer.deserialize_map(Attributes)
    }
}

/// Which figure of which slot an attribute is; `None` for any other attribute.
fn figure(name: &str) -> Option<(&'static str, Slot)> {
    [PAYMENTS, PAID, REFUNDS, REFUNDED].into_iter().find_map(|figure| {
        let slot = name.strip_prefix(figure)?;
        Slot::parse(slot).map(|slot| (figure, slot))
    })
}

fn set(figures: &mut Figures, figure: &str, number: i64) {
    match figure {
        PAID => figures.paid = number.into(),
        PAYMENTS => figures.payments = u64::try_from(number).unwrap_or_default(),
        REFUNDED => figures.refunded = number.into(),
        _ => figures.refunds = u64::try_from(number).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment(text: &str) -> Timestamp {
        serde_json::from_value(text.into()).unwrap()
    }

    #[test]
    fn the_edges_of_a_month_are_kept_by_the_quarter_of_an_hour() {
        for (at, day, month) in [
            ("2026-01-01T00:00:00.000Z", Slot::First(0), Slot::First(0)),
            ("2026-01-01T23:59:59.999Z", Slot::First(95), Slot::First(95)),
            ("2026-01-02T00:00:00.000Z", Slot::First(0), Slot::Between),
            ("2026-01-30T23:59:59.999Z", Slot::First(95), Slot::Between),
            ("2026-01-31T18:30:00.000Z", Slot::First(74), Slot::Last(74)),
            ("2026-02-28T18:29:59.999Z", Slot::First(73), Slot::Last(73)),
        ] {
            assert_eq!((Span::Day.slot(moment(at)), Span::Month.slot(moment(at))), (day, month), "{at}");
        }
    }

    #[test]
    fn no_other_attribute_is_taken_for_a_figure() {
        for name in ["pk", "p", "pn", "r", "p96", "pl96", "p-1", "rx", "type", "schema", "start", "category", "pb1"] {
            assert_eq!(figure(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_slots_moment_is_in_the_slot(millis in 946_684_800_000i64..4_102_444_800_000) {
            let moment = Timestamp::from_unix_millis(millis);
            for span in Span::ALL {
                let (start, slot) = (span.start(moment), span.slot(moment));
                let other = slot.moment(start);
                prop_assert_eq!((span.start(other), span.slot(other)), (start, slot));
                prop_assert!(slot == Slot::Between || (0..SLOT_MS).contains(&(millis - other.unix_millis())));
            }
        }

        #[test]
        fn figures_survive_their_attributes(quarter in 0u8..96, paid in 0i64..1 << 50, refunds in 0u64..1 << 40) {
            let figures = Figures { paid: paid.into(), payments: 1, refunded: 7, refunds };
            let slots = BTreeMap::from([(Slot::First(quarter), figures), (Slot::Last(quarter), figures), (Slot::Between, figures)]);
            let bucket = Bucket { start: jiff::civil::date(2026, 1, 1), category: "p1".into(), slots };
            let json = serde_json::to_string(&bucket).unwrap();
            prop_assert_eq!(serde_json::from_str::<Bucket>(&json).unwrap(), bucket);
        }
    }
}
