//! How a user wants to be told of things.

use std::{fmt, str::FromStr};

use chrono::{DateTime, NaiveDateTime, NaiveTime, Timelike, Utc};
use chrono_tz::Tz;
use garde::Validate;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use shared::time::Timestamp;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    notification::{Category, Channel},
    templates::Language,
};

const MILLIS_PER_MINUTE: i64 = 60_000;
/// Quiet hours are shorter than a day, which is three hours longer at most when clocks are put back.
const LONGEST_MINUTES: i64 = 27 * 60;

/// A user's preferences, as they are put: all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Preferences {
    #[garde(skip)]
    #[serde(default)]
    pub language: Language,
    /// An IANA name: `Europe/Zurich`.
    #[garde(skip)]
    #[serde(default)]
    pub time_zone: TimeZone,
    /// In E.164 notation: `+41446681800`.
    #[garde(inner(custom(e164)))]
    #[serde(default)]
    #[schema(pattern = r"^\+[1-9][0-9]{6,14}$")]
    pub phone: Option<String>,
    /// The ARN of the device's SNS platform endpoint.
    #[garde(inner(custom(device_endpoint)))]
    #[serde(default)]
    pub push_endpoint: Option<String>,
    /// The channels by which the user is told of events.
    #[garde(length(max = 3))]
    #[serde(default = "by_email")]
    #[schema(max_items = 3)]
    pub channels: Vec<Channel>,
    #[garde(length(max = 50))]
    #[serde(default)]
    #[schema(max_items = 50)]
    pub opt_out: Vec<OptOut>,
    #[garde(dive)]
    #[serde(default)]
    pub quiet_hours: Option<QuietHours>,
}

fn e164(text: &str, (): &()) -> garde::Result {
    let digits = text.strip_prefix('+').filter(|digits| (7..=15).contains(&digits.len()) && !digits.starts_with('0'));
    match digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit())) {
        true => Ok(()),
        false => Err(garde::Error::new("must be a telephone number in E.164 notation, such as +41446681800")),
    }
}

/// Nobody may have messages published to a topic: only a device's endpoint ends with a UUID.
fn device_endpoint(text: &str, (): &()) -> garde::Result {
    let resource = match text.split(':').collect::<Vec<_>>()[..] {
        ["arn", partition, "sns", _, account, resource] if partition.starts_with("aws") && account.len() == 12 => {
            resource
        }
        _ => "",
    };
    // An emulator may call an endpoint `app`.
    match resource.split('/').collect::<Vec<_>>()[..] {
        ["endpoint" | "app", _, _, id] if Uuid::try_parse(id).is_ok() => Ok(()),
        _ => Err(garde::Error::new("must be the ARN of an SNS platform endpoint")),
    }
}

fn by_email() -> Vec<Channel> {
    vec![Channel::Email]
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            language: Language::default(),
            time_zone: TimeZone::default(),
            phone: None,
            push_endpoint: None,
            channels: by_email(),
            opt_out: Vec::new(),
            quiet_hours: None,
        }
    }
}

/// What a user does not want: one category on a channel, or the whole channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OptOut {
    pub channel: Channel,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
}

/// A part of every day in which nothing comes that can wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// `22:00`
    #[garde(skip)]
    pub from: LocalTime,
    /// `07:00`; on the next day if it is before `from`.
    #[garde(custom(|until: &LocalTime, (): &()| differs(self.from, *until)))]
    pub until: LocalTime,
    /// The channels that they hold for.
    #[garde(length(min = 1, max = 3))]
    #[serde(default = "audible")]
    #[schema(min_items = 1, max_items = 3)]
    pub channels: Vec<Channel>,
}

fn audible() -> Vec<Channel> {
    vec![Channel::Sms, Channel::Push]
}

fn differs(from: LocalTime, until: LocalTime) -> garde::Result {
    if from == until { Err(garde::Error::new("must not be when they begin")) } else { Ok(()) }
}

impl Preferences {
    /// Whether the user does not want this.
    pub fn opted_out(&self, channel: Channel, category: Category) -> bool {
        self.opt_out.iter().any(|out| out.channel == channel && out.category.is_none_or(|only| only == category))
    }

    /// The end of the quiet hours, if they hold for the channel at this moment.
    pub fn quiet_until(&self, channel: Channel, now: Timestamp) -> Option<Timestamp> {
        let quiet = self.quiet_hours.as_ref().filter(|quiet| quiet.channels.contains(&channel))?;
        quiet.end(self.time_zone, now)
    }
}

impl QuietHours {
    fn contains(&self, time: NaiveTime) -> bool {
        let (from, until) = (self.from.0, self.until.0);
        if from < until { from <= time && time < until } else { from <= time || time < until }
    }

    /// The first minute at which clocks there show none of them: they may be put forward or back over either end.
    fn end(&self, time_zone: TimeZone, now: Timestamp) -> Option<Timestamp> {
        let is_quiet = |moment: Timestamp| self.contains(time_zone.local(moment).time());
        let this_minute = now.unix_millis().div_euclid(MILLIS_PER_MINUTE);
        let moments = (1..=LONGEST_MINUTES).map(|minute| (this_minute + minute) * MILLIS_PER_MINUTE);
        is_quiet(now).then(|| moments.map(Timestamp::from_unix_millis).find(|moment| !is_quiet(*moment)))?
    }
}

/// A time zone of the IANA's list; UTC when the user did not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, example = "Europe/Zurich")]
pub struct TimeZone(Tz);

impl Default for TimeZone {
    fn default() -> Self {
        Self(Tz::UTC)
    }
}

impl TimeZone {
    /// What clocks there show at this moment.
    pub fn local(self, moment: Timestamp) -> NaiveDateTime {
        let moment = DateTime::<Utc>::from_timestamp_millis(moment.unix_millis()).unwrap_or_default();
        moment.with_timezone(&self.0).naive_local()
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl FromStr for TimeZone {
    type Err = chrono_tz::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom("not a time zone of the IANA's list, such as Europe/Zurich"))
    }
}

/// A time of the day, to the minute: `22:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, pattern = "^[0-9]{2}:[0-9]{2}$", example = "22:00")]
pub struct LocalTime(NaiveTime);

impl Serialize for LocalTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:02}:{:02}", self.0.hour(), self.0.minute()))
    }
}

impl<'de> Deserialize<'de> for LocalTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = NaiveTime::parse_from_str(&text, "%H:%M").ok().filter(|_| text.len() == "22:00".len());
        time.map(Self).ok_or_else(|| D::Error::custom("not a time of the day, such as 22:00"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn moment(text: &str) -> Timestamp {
        serde_json::from_value(json!(text)).unwrap()
    }

    fn quiet(time_zone: &str, from: &str, until: &str) -> Preferences {
        serde_json::from_value(json!({"time_zone": time_zone, "quiet_hours": {"from": from, "until": until}})).unwrap()
    }

    fn until(preferences: &Preferences, now: &str) -> Option<String> {
        preferences.quiet_until(Channel::Sms, moment(now)).map(|end| end.to_string())
    }

    #[test]
    fn quiet_hours_are_those_of_the_users_clock() {
        let zurich = quiet("Europe/Zurich", "22:00", "07:00");
        assert_eq!(until(&zurich, "2026-01-15T21:30:00Z").as_deref(), Some("2026-01-16T06:00:00.000Z"));
        assert_eq!(until(&zurich, "2026-07-15T20:00:00Z").as_deref(), Some("2026-07-16T05:00:00.000Z"));
        assert_eq!(until(&zurich, "2026-01-16T05:59:59Z").as_deref(), Some("2026-01-16T06:00:00.000Z"));
        assert_eq!(until(&zurich, "2026-01-16T06:00:00Z"), None);
        assert_eq!(until(&zurich, "2026-01-15T20:59:59Z"), None);
        assert_eq!(zurich.quiet_until(Channel::Email, moment("2026-01-15T23:00:00Z")), None);
    }

    #[test]
    fn quiet_hours_that_end_while_the_clock_is_put_forward_end_when_that_is_done() {
        let zurich = quiet("Europe/Zurich", "01:00", "02:30");
        assert_eq!(until(&zurich, "2026-03-29T00:30:00Z").as_deref(), Some("2026-03-29T01:00:00.000Z"));
    }

    #[test]
    fn quiet_hours_hold_in_both_of_the_hours_that_the_clock_shows_twice() {
        let zurich = quiet("Europe/Zurich", "22:00", "02:30");
        assert_eq!(until(&zurich, "2026-10-25T00:15:00Z").as_deref(), Some("2026-10-25T00:30:00.000Z"));
        assert_eq!(until(&zurich, "2026-10-25T00:45:00Z"), None);
        assert_eq!(until(&zurich, "2026-10-25T01:15:00Z").as_deref(), Some("2026-10-25T01:30:00.000Z"));
    }

    #[test]
    fn quiet_hours_end_while_a_clock_that_is_put_back_shows_the_time_before_they_began() {
        let zurich = quiet("Europe/Zurich", "02:01", "00:00");
        assert_eq!(until(&zurich, "2026-10-25T00:59:30Z").as_deref(), Some("2026-10-25T01:00:00.000Z"));
    }

    #[test]
    fn opting_out_of_a_channel_is_opting_out_of_all_its_categories() {
        let preferences: Preferences = serde_json::from_value(json!({
            "opt_out": [{"channel": "sms"}, {"channel": "email", "category": "orders"}]
        }))
        .unwrap();
        assert!(preferences.opted_out(Channel::Sms, Category::Payments));
        assert!(preferences.opted_out(Channel::Email, Category::Orders));
        assert!(!preferences.opted_out(Channel::Email, Category::Payments));
        assert!(!preferences.opted_out(Channel::Push, Category::Orders));
    }

    /// Minutes since 2026-01-01T00:00:00Z: any of two years, and those around which clocks are put forward and
    /// back.
    fn minutes() -> impl Strategy<Value = i64> {
        let changes = [
            "2026-03-29T01:00",
            "2026-10-25T01:00",
            "2026-03-08T07:00",
            "2026-11-01T06:00",
            "2026-04-04T15:00",
            "2026-10-03T15:30",
        ];
        let of = |text: &str| (moment(&format!("{text}:00Z")).unix_millis() - NEW_YEAR) / 60_000;
        let changes: Vec<i64> = changes.into_iter().map(of).collect();
        prop_oneof![0i64..1_000_000, (prop::sample::select(changes), -150i64..150).prop_map(|(change, by)| change + by)]
    }

    const NEW_YEAR: i64 = 1_767_225_600_000;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn quiet_hours_end_at_the_first_minute_at_which_the_users_clock_shows_none(
            minute in minutes(), from in 0u32..1440, until in 0u32..1440, soon in prop::option::of(0u32..70),
            zone in prop::sample::select(vec!["UTC", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
        ) {
            let shown = |minute: i64| {
                let local = zone.parse::<TimeZone>().unwrap().local(Timestamp::from_unix_millis(NEW_YEAR + minute * 60_000));
                local.hour() * 60 + local.minute()
            };
            // Often they end soon.
            let until = soon.map_or(until, |by| (shown(minute) + by) % 1440);
            prop_assume!(from != until);
            let text = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
            let preferences = quiet(zone, &text(from), &text(until));
            let at = |minute: i64| Timestamp::from_unix_millis(NEW_YEAR + minute * 60_000);
            let is_quiet = |minute: i64| {
                let shown = shown(minute);
                if from < until { (from..until).contains(&shown) } else { shown >= from || shown < until }
            };
            let end = (minute..minute + 52 * 60).find(|minute| !is_quiet(*minute)).unwrap();
            let expected = (end > minute).then(|| at(end));
            prop_assert_eq!(preferences.quiet_until(Channel::Sms, at(minute)), expected);
        }
    }
}
