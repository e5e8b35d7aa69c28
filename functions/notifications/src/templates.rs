//! What notifications say: templates in every language, in versions that never change once they are
//! released, so that what was sent can always be read again; a change is a new version.
//!
//! A template is a file `<template>.v<version>.<language>.txt` with the blocks `subject`, `text` (of an
//! e-mail) and `short` (an SMS or push), and one `.html`, in which everything is escaped.

mod filters;
mod parameters;

use std::collections::BTreeMap;

use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value, context};
use serde::{Deserialize, Serialize};
use shared::http::FieldError;
use utoipa::ToSchema;

use crate::{
    notification::{Category, Channel},
    preferences::TimeZone,
};

/// SNS's limit on an SMS.
const LONGEST_SMS_CHARS: usize = 1600;

/// A template that notifications are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TemplateName {
    /// Somebody has an account.
    Welcome,
    OrderConfirmed,
    PaymentFailed,
    PaymentRefunded,
    SensorAlert,
    /// Whatever the sender has to say.
    Message,
}

impl TemplateName {
    pub const ALL: [Self; 6] = [
        Self::Welcome,
        Self::OrderConfirmed,
        Self::PaymentFailed,
        Self::PaymentRefunded,
        Self::SensorAlert,
        Self::Message,
    ];

    pub fn category(self) -> Category {
        match self {
            Self::Welcome => Category::Account,
            Self::OrderConfirmed => Category::Orders,
            Self::PaymentFailed | Self::PaymentRefunded => Category::Payments,
            Self::SensorAlert => Category::Sensors,
            Self::Message => Category::General,
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::OrderConfirmed => "order-confirmed",
            Self::PaymentFailed => "payment-failed",
            Self::PaymentRefunded => "payment-refunded",
            Self::SensorAlert => "sensor-alert",
            Self::Message => "message",
        }
    }
}

/// A language that every template is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    #[default]
    En,
    De,
}

impl Language {
    pub const ALL: [Self; 2] = [Self::En, Self::De];

    fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
        }
    }
}

/// What a notification says, as its channel shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// One line; an SMS has none.
    pub subject: Option<String>,
    pub text: String,
    /// Of e-mails.
    pub html: Option<String>,
}

/// Which words to find, for whom.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub template: TemplateName,
    /// The latest when it is not said.
    pub version: Option<u32>,
    pub language: Language,
    pub channel: Channel,
    pub time_zone: TimeZone,
    /// The recipient's name.
    pub name: &'a str,
    /// The template's parameters, an object.
    pub params: &'a serde_json::Value,
}

/// Why there are no words for what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("no such version of this template")]
    UnknownVersion,
    #[error("the parameters are not those of this template")]
    Parameters(Vec<FieldError>),
    #[error("an SMS has at most {LONGEST_SMS_CHARS} characters")]
    TooLong,
    /// A template that every test of it should have found.
    #[error("the template is defective: {0}")]
    Defect(#[from] minijinja::Error),
}

type Source = (&'static str, &'static str);

macro_rules! sources {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("../templates/", $name)))),*] };
}

const BUILT_IN: &[Source] = sources![
    "layout.html"
    "welcome.v1.en.txt" "welcome.v1.en.html" "welcome.v1.de.txt" "welcome.v1.de.html"
    "order-confirmed.v1.en.txt" "order-confirmed.v1.en.html" "order-confirmed.v1.de.txt" "order-confirmed.v1.de.html"
    "payment-failed.v1.en.txt" "payment-failed.v1.en.html" "payment-failed.v1.de.txt" "payment-failed.v1.de.html"
    "payment-refunded.v1.en.txt" "payment-refunded.v1.en.html" "payment-refunded.v1.de.txt" "payment-refunded.v1.de.html"
    "sensor-alert.v1.en.txt" "sensor-alert.v1.en.html" "sensor-alert.v1.de.txt" "sensor-alert.v1.de.html"
    "message.v1.en.txt" "message.v1.en.html" "message.v1.de.txt" "message.v1.de.html"
];

/// The templates, each read when it is first used.
#[derive(Debug)]
pub struct Library {
    environment: Environment<'static>,
    /// The latest version of each template, by its file's name.
    latest: BTreeMap<&'static str, u32>,
}

impl Library {
    pub fn built_in() -> Self {
        Self::of(BUILT_IN)
    }

    /// The templates with these file names and texts.
    pub fn of(sources: &'static [Source]) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
            .set_loader(|name| Ok(sources.iter().find(|source| source.0 == name).map(|source| source.1.to_owned())));
        filters::add_to(&mut environment);
        let mut latest = BTreeMap::new();
        for (template, version) in sources.iter().filter_map(|(name, _)| version_of(name)) {
            let known = latest.entry(template).or_insert(version);
            *known = version.max(*known);
        }
        Self { environment, latest }
    }

    /// The words, and the version of the template that they are of.
    pub fn render(&self, wanted: &Wanted) -> Result<(Content, u32), RenderError> {
        let Wanted { template, language, channel, .. } = *wanted;
        let params = parameters::typed(template, wanted.params).map_err(RenderError::Parameters)?;
        let latest = self.latest.get(template.file()).copied();
        let version = wanted.version.or(latest).ok_or(RenderError::UnknownVersion)?;
        let file = format!("{}.v{version}.{}", template.file(), language.code());
        let context = context! {
            language => language.code(), time_zone => wanted.time_zone.to_string(), name => wanted.name, ..params
        };
        let [subject, text, short] = self.blocks(&format!("{file}.txt"), &context)?;
        let content = match channel {
            Channel::Email => {
                let html = self.environment.get_template(&format!("{file}.html"))?.render(context)?;
                Content { subject: Some(one_line(&subject)), text: trimmed(&text), html: Some(html) }
            }
            Channel::Sms if short.trim().chars().count() > LONGEST_SMS_CHARS => return Err(RenderError::TooLong),
            Channel::Sms => Content { subject: None, text: trimmed(&short), html: None },
            Channel::Push => Content { subject: Some(one_line(&subject)), text: trimmed(&short), html: None },
        };
        Ok((content, version))
    }

    fn blocks(&self, file: &str, context: &Value) -> Result<[String; 3], RenderError> {
        let template = self.environment.get_template(file).map_err(|error| match error.kind() {
            ErrorKind::TemplateNotFound => RenderError::UnknownVersion,
            _ => RenderError::Defect(error),
        })?;
        let mut captured = template.render_captured(context.clone())?;
        captured.with_state_mut(|state| {
            Ok([state.render_block("subject")?, state.render_block("text")?, state.render_block("short")?])
        })
    }
}

/// The template and version of a file called `<template>.v<version>.<language>.txt`.
fn version_of(name: &'static str) -> Option<(&'static str, u32)> {
    let (template, rest) = name.split_once(".v")?;
    Some((template, rest.split('.').next()?.parse().ok()?))
}

/// Nothing that comes from outside can end a subject's line and begin a header.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn trimmed(text: &str) -> String {
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn params(template: TemplateName) -> serde_json::Value {
        match template {
            TemplateName::Welcome => json!({}),
            TemplateName::OrderConfirmed => json!({"order_id": 42, "quantity": 3, "total": 12999.9}),
            TemplateName::PaymentFailed => json!({"order_id": 42, "amount": 2999.97, "reason": "card_declined"}),
            TemplateName::PaymentRefunded => json!({"order_id": 42, "amount": 2999.97}),
            TemplateName::SensorAlert => json!({"sensor_type": "temperature", "device_id": "boiler-1", "kind": "above",
                "value": 84.5, "threshold": 80, "unit": "°C", "recorded_at": "2026-01-15T10:30:45.123Z"}),
            TemplateName::Message => json!({"subject": "News", "body": "First line\nSecond line"}),
        }
    }

    fn wanted(template: TemplateName, language: Language, channel: Channel, params: &serde_json::Value) -> Wanted<'_> {
        let time_zone = "Europe/Zurich".parse().unwrap();
        Wanted { template, version: None, language, channel, time_zone, name: "Anna <b>", params }
    }

    #[test]
    fn every_template_says_something_in_every_language_on_every_channel() {
        let library = Library::built_in();
        for template in TemplateName::ALL {
            for channel in [Channel::Email, Channel::Sms, Channel::Push] {
                let params = params(template);
                let said = Language::ALL
                    .map(|language| library.render(&wanted(template, language, channel, &params)).unwrap().0);
                assert!(said.iter().all(|content| !content.text.is_empty()), "{said:?}");
                let worded = template != TemplateName::Message;
                assert!(!worded || said[0].text != said[1].text, "{template:?} is in one language alone");
                for content in said {
                    assert_eq!(content.html.is_some(), channel == Channel::Email);
                    assert_eq!(content.subject.is_some(), channel != Channel::Sms);
                    assert!(content.subject.is_none_or(|subject| !subject.is_empty()));
                }
            }
        }
    }

    #[test]
    fn amounts_numbers_and_moments_are_written_as_the_language_writes_them() {
        let library = Library::built_in();
        let text = |template, language| {
            let params = params(template);
            library.render(&wanted(template, language, Channel::Email, &params)).unwrap().0.text
        };
        assert!(text(TemplateName::OrderConfirmed, Language::En).contains("12,999.90"));
        assert!(text(TemplateName::OrderConfirmed, Language::De).contains("12.999,90"));
        assert!(text(TemplateName::SensorAlert, Language::De).contains("84,5 °C"));
        assert!(text(TemplateName::SensorAlert, Language::En).contains("15 Jan 2026, 11:30 (Europe/Zurich)"));
        assert!(text(TemplateName::SensorAlert, Language::De).contains("15.01.2026, 11:30 (Europe/Zurich)"));
    }

    #[test]
    fn the_latest_version_is_used_and_an_earlier_one_stays_to_be_had() {
        const SOURCES: &[Source] = &[
            (
                "welcome.v1.en.txt",
                "{% block subject %}1{% endblock %}{% block text %}first{% endblock %}{% block short %}s{% endblock %}",
            ),
            ("welcome.v1.en.html", "first"),
            (
                "welcome.v2.en.txt",
                "{% block subject %}2{% endblock %}{% block text %}second{% endblock %}{% block short %}s{% endblock %}",
            ),
            ("welcome.v2.en.html", "second"),
        ];
        let library = Library::of(SOURCES);
        let none = json!({});
        let say = |version| {
            let wanted = Wanted { version, ..wanted(TemplateName::Welcome, Language::En, Channel::Email, &none) };
            library.render(&wanted).map(|(content, version)| (content.text, version))
        };
        assert_eq!(say(None).unwrap(), ("second".to_owned(), 2));
        assert_eq!(say(Some(1)).unwrap(), ("first".to_owned(), 1));
        assert!(matches!(say(Some(3)), Err(RenderError::UnknownVersion)));
    }

    #[test]
    fn parameters_of_another_type_are_refused_with_a_pointer() {
        let library = Library::built_in();
        let cases = [
            (TemplateName::OrderConfirmed, json!({"quantity": 3, "total": 1}), "/order_id"),
            (TemplateName::OrderConfirmed, json!({"order_id": "42", "quantity": 3, "total": 1}), "/order_id"),
            (TemplateName::OrderConfirmed, json!({"order_id": 42, "quantity": 3, "total": 1.001}), "/total"),
            (TemplateName::OrderConfirmed, json!({"order_id": 42, "quantity": 3, "total": 1, "x": 1}), "/x"),
            (TemplateName::Message, json!({"subject": "", "body": "b"}), "/subject"),
            (TemplateName::Message, json!({"subject": "a\nBcc: b@example.com", "body": "b"}), "/subject"),
            (
                TemplateName::SensorAlert,
                json!({"sensor_type": "t", "device_id": "d", "kind": "beside", "value": 1,
                "threshold": 1, "unit": "", "recorded_at": "2026-01-15T10:30:45.123Z"}),
                "/kind",
            ),
            (TemplateName::Welcome, json!([]), ""),
        ];
        for (template, params, pointer) in cases {
            let answer = library.render(&wanted(template, Language::En, Channel::Email, &params));
            let Err(RenderError::Parameters(errors)) = answer else { panic!("{params}: {answer:?}") };
            assert!(errors.iter().any(|error| error.pointer == pointer), "{params}: {errors:?}");
        }
    }

    #[test]
    fn an_sms_that_is_too_long_is_refused() {
        let params = json!({"subject": "s", "body": "x".repeat(1601)});
        let library = Library::built_in();
        let answer = library.render(&wanted(TemplateName::Message, Language::En, Channel::Sms, &params));
        assert!(matches!(answer, Err(RenderError::TooLong)));
        assert!(library.render(&wanted(TemplateName::Message, Language::En, Channel::Push, &params)).is_ok());
    }

    proptest! {
        #[test]
        fn nothing_from_outside_is_markup_or_a_second_line_of_the_subject(
            name in "[<>&\"'a\n\r]{1,20}", subject in "[<>&\"'a\u{b}\u{2028} ]{0,20}x", body in "[<>&\"'a\n{}%]{0,40}x",
        ) {
            let library = Library::built_in();
            let (params, plain) = (json!({"subject": subject, "body": body}), json!({"subject": "x", "body": "x"}));
            let tags = |html: &str| html.replace("<br>", "").matches('<').count();
            for language in Language::ALL {
                let of = |name, params| Wanted { name, ..wanted(TemplateName::Message, language, Channel::Email, params) };
                let Ok((content, _)) = library.render(&of(&name, &params)) else { continue };
                let (plain, _) = library.render(&of("x", &plain)).unwrap();
                prop_assert_eq!(tags(&content.html.unwrap()), tags(&plain.html.unwrap()));
                let breaks_the_line = |c: char| c.is_control() || c == '\u{2028}';
                prop_assert!(!content.subject.unwrap().contains(breaks_the_line));
            }
        }
    }
}
