//! How amounts, numbers and moments are written in a language.

use minijinja::{Environment, Error, ErrorKind, State};
use shared::time::Timestamp;

use crate::preferences::TimeZone;

pub(super) fn add_to(environment: &mut Environment) {
    environment.add_filter("money", money);
    environment.add_filter("number", number);
    environment.add_filter("moment", moment);
}

/// The thousands separator and the decimal point.
fn separators(state: &State) -> (&'static str, &'static str) {
    if is_german(state) { (".", ",") } else { (",", ".") }
}

fn is_german(state: &State) -> bool {
    text(state, "language").is_some_and(|language| language == "de")
}

fn text(state: &State, variable: &str) -> Option<String> {
    state.lookup(variable).and_then(|value| value.as_str().map(str::to_owned))
}

/// `12999.90` as `12,999.90`.
fn money(state: &State, amount: &str) -> String {
    let (thousands, point) = separators(state);
    let (sign, amount) = amount.strip_prefix('-').map_or(("", amount), |rest| ("-", rest));
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "00"));
    let mut grouped = String::new();
    for (index, digit) in whole.char_indices() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push_str(thousands);
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{point}{fraction}")
}

/// `84.5` as it is, or as `84,5`.
fn number(state: &State, value: f64) -> String {
    value.to_string().replace('.', separators(state).1)
}

/// `2026-01-15T10:30:45.123Z` as the clocks in the recipient's time zone show it.
fn moment(state: &State, moment: &str) -> Result<String, Error> {
    let invalid = || Error::new(ErrorKind::InvalidOperation, "not a moment");
    let moment: Timestamp = serde_json::from_value(moment.into()).map_err(|_| invalid())?;
    let time_zone: TimeZone = text(state, "time_zone").and_then(|zone| zone.parse().ok()).unwrap_or_default();
    let format = if is_german(state) { "%d.%m.%Y, %H:%M" } else { "%-d %b %Y, %H:%M" };
    Ok(format!("{} ({time_zone})", time_zone.local(moment).format(format)))
}
