//! What is wrong with a document: all of it at once, in the words of whoever wrote it.
//!
//! Serde stops at the first fault. So whatever is at fault is replaced by something that is not, and the
//! document read again, until it can be read.

use std::collections::VecDeque;

use garde::Validate;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{FieldError, valid::check};

/// How often a document is read again at most.
const READINGS: usize = 200;
const LONGEST_DETAIL: usize = 300;

/// One thing that keeps a document from being read.
pub(super) struct Fault {
    /// A JSON pointer (RFC 6901).
    pointer: String,
    kind: Kind,
    /// As serde says it.
    message: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Missing,
    Unknown,
    Twice,
    Value,
}

/// A field that is missing, unknown or there twice is named in serde's message, not in its path.
const NAMING: [(&str, Kind); 3] =
    [("missing field `", Kind::Missing), ("unknown field `", Kind::Unknown), ("duplicate field `", Kind::Twice)];

impl Fault {
    pub(super) fn of(error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let message = error.inner().to_string();
        let message = message.rfind(" at line ").map_or(message.as_str(), |at| &message[..at]);
        Self::in_field(error.path().iter().map(segment).collect(), message)
    }

    pub(super) fn in_field(path: String, message: &str) -> Self {
        let named = NAMING.iter().find_map(|(prefix, kind)| {
            let (field, _) = message.strip_prefix(prefix)?.split_once('`')?;
            Some((format!("/{}", escape(field)), *kind))
        });
        let (pointer, kind) = match named {
            Some((field, kind)) if path.ends_with(&field) => (path, kind),
            Some((field, kind)) => (path + &field, kind),
            None => (path, Kind::Value),
        };
        Self { pointer, kind, message: message.to_owned() }
    }

    /// The fault as a client is told of it. It does not quote what was sent, which may be a secret.
    pub(super) fn told(&self) -> FieldError {
        let detail = match self.kind {
            Kind::Missing => "is required".to_owned(),
            Kind::Twice => "is there twice".to_owned(),
            Kind::Unknown => match self.message.split_once("`, ") {
                Some((_, known)) => format!("is unknown: {known}"),
                None => "is unknown".to_owned(),
            },
            Kind::Value => in_words(&self.message),
        };
        FieldError { pointer: self.pointer.clone(), detail: detail.chars().take(LONGEST_DETAIL).collect() }
    }

    fn covers(&self, pointer: &str) -> bool {
        pointer.strip_prefix(&self.pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// What serde says of a value, without what it found and in no programming language's words.
fn in_words(message: &str) -> String {
    let standard = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant `"];
    if !standard.iter().any(|prefix| message.starts_with(prefix)) {
        return message.to_owned();
    }
    let Some((_, expected)) = message.rsplit_once(", expected ") else { return message.to_owned() };
    let expected = match expected {
        "a string" | "a borrowed string" | "string" | "str" => "a text",
        "a boolean" | "bool" => "true or false",
        "a sequence" => "a list",
        "a map" | "string or map" => "an object",
        "f32" | "f64" | "floating point number" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number in range",
        other if other.starts_with("struct ") || other.starts_with("internally tagged enum ") => "an object",
        other => other,
    };
    format!("must be {expected}")
}

/// The first fault of a document, and those that can be told behind it.
pub(super) fn faults<T>(first: Fault, document: Option<Value>) -> Vec<FieldError>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    let mut found = vec![first];
    let Some(mut document) = document else { return told(&found) };
    let mut readings = 0;
    let mut value = None;
    while readings < READINGS {
        match next::<T>(&mut document, &found, &mut readings) {
            Next::Fault(fault) => found.push(fault),
            Next::Read(read) => {
                value = Some(read);
                break;
            }
            Next::Stuck => break,
        }
    }
    let mut errors = told(&found);
    // What stands in for a fault is not to be judged.
    let behind = value.and_then(|value| check(value).err()).unwrap_or_default().into_iter();
    errors.extend(behind.filter(|error| !found.iter().any(|fault| fault.covers(&error.pointer))));
    errors
}

fn told(found: &[Fault]) -> Vec<FieldError> {
    // A fault within another is in what stands in for that one.
    let told =
        found.iter().enumerate().filter(|(n, fault)| !found[..*n].iter().any(|other| other.covers(&fault.pointer)));
    told.map(|(_, fault)| fault.told()).collect()
}

enum Next<T> {
    Fault(Fault),
    Read(T),
    Stuck,
}

/// Mends the last fault, and reads on to the one behind it.
fn next<T: DeserializeOwned>(document: &mut Value, found: &[Fault], readings: &mut usize) -> Next<T> {
    let Some(last) = found.last().filter(|fault| !fault.pointer.is_empty()) else { return Next::Stuck };
    let mut stand_ins = last.stand_ins();
    let mut names_are_known = false;
    while let Some(stand_in) = stand_ins.pop_front() {
        if !last.mend(document, stand_in) {
            return Next::Stuck;
        }
        *readings += 1;
        match serde_path_to_error::deserialize::<_, T>(&*document) {
            Ok(value) => return Next::Read(value),
            Err(error) => {
                let fault = Fault::of(&error);
                if fault.pointer != last.pointer {
                    return Next::Fault(fault);
                }
                if let Some(name) = fault.expected_name().filter(|_| !names_are_known) {
                    names_are_known = true;
                    stand_ins.push_front(Some(json!(name)));
                }
            }
        }
    }
    Next::Stuck
}

impl Fault {
    /// Values that might do in place of the one at fault; none for one to take away.
    fn stand_ins(&self) -> VecDeque<Option<Value>> {
        if matches!(self.kind, Kind::Unknown | Kind::Twice) {
            return [None].into();
        }
        let any = [json!(1), json!("2026-01-01T00:00:00Z"), json!("x"), json!({}), json!([]), json!(true), json!("1")];
        self.expected_name().map(|name| json!(name)).into_iter().chain(any).map(Some).collect()
    }

    /// The first of the names that a value is to be one of.
    fn expected_name(&self) -> Option<&str> {
        let (_, expected) = self.message.strip_prefix("unknown variant ")?.rsplit_once("expected ")?;
        expected.split('`').nth(1)
    }

    /// Puts the value in place of the one at fault; false where that is not in the document.
    fn mend(&self, document: &mut Value, stand_in: Option<Value>) -> bool {
        let Some((parent, name)) = self.pointer.rsplit_once('/') else { return false };
        let name = name.replace("~1", "/").replace("~0", "~");
        match (document.pointer_mut(parent), stand_in) {
            (Some(Value::Object(fields)), Some(value)) => {
                fields.insert(name, value);
                true
            }
            (Some(Value::Object(fields)), None) => self.kind == Kind::Twice || fields.remove(&name).is_some(),
            (Some(Value::Array(values)), Some(value)) => {
                let place = name.parse().ok().and_then(|index: usize| values.get_mut(index));
                place.map(|place| *place = value).is_some()
            }
            _ => false,
        }
    }
}

fn segment(segment: &serde_path_to_error::Segment) -> String {
    use serde_path_to_error::Segment;
    match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", escape(key)),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    }
}

/// RFC 6901 escaping.
fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::{id::Id, money::Money, time::Timestamp};

    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
        Green,
    }

    #[derive(Deserialize, Validate)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Part {
        #[garde(length(min = 1))]
        name: String,
        #[garde(skip)]
        colour: Colour,
    }

    #[derive(Deserialize, Validate)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Thing {
        #[garde(skip)]
        owner: Id,
        #[garde(skip)]
        price: Money,
        #[garde(skip)]
        at: Timestamp,
        #[garde(range(max = 9))]
        count: u32,
        #[garde(inner(length(max = 3)))]
        note: Option<String>,
        #[garde(dive)]
        parts: Vec<Part>,
    }

    fn wrong(document: Value) -> Vec<(String, String)> {
        let Err(error) = serde_path_to_error::deserialize::<_, Thing>(&document) else { panic!("it was read") };
        let found = faults::<Thing>(Fault::of(&error), Some(document));
        found.into_iter().map(|error| (error.pointer, error.detail)).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(pointer, detail)| ((*pointer).to_owned(), (*detail).to_owned())).collect()
    }

    #[test]
    fn all_that_is_missing_is_told_at_once() {
        let all = ["/owner", "/price", "/at", "/count", "/parts"].map(|pointer| (pointer, "is required"));
        assert_eq!(wrong(json!({})), pairs(&all));
        assert_eq!(
            wrong(json!({"note": "yes", "owner": 1, "price": 1, "at": "2026-01-01T00:00:00Z"})),
            pairs(&all[3..])
        );
    }

    #[test]
    fn faults_of_every_kind_are_told_together_and_nothing_is_quoted() {
        let part = json!({"name": "", "colour": "mauve"});
        let document = json!({"owner": 1, "price": "much", "at": 5, "count": "correct horse", "parts": [part, {}],
            "extra": 1, "note": "long"});
        let found = wrong(document);
        let mut pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        pointers.sort_unstable();
        let expected = [
            "/at",
            "/count",
            "/extra",
            "/note",
            "/parts/0/colour",
            "/parts/0/name",
            "/parts/1/colour",
            "/parts/1/name",
            "/price",
        ];
        assert_eq!(pointers, expected);
        assert!(
            found.contains(&("/parts/0/colour".into(), "must be one of `red`, `green`".into()))
                || found.contains(&("/parts/0/colour".into(), "must be `red` or `green`".into())),
            "{found:?}"
        );
        assert!(found.contains(&("/count".into(), "must be a whole number in range".into())), "{found:?}");
        assert!(
            !format!("{found:?}").contains("correct horse") && !format!("{found:?}").contains("mauve"),
            "{found:?}"
        );
    }

    #[test]
    fn no_word_is_a_programming_languages() {
        for (message, words) in [
            ("invalid type: integer `5`, expected a string", "must be a text"),
            ("invalid type: string \"a, expected b\", expected u32", "must be a whole number in range"),
            ("invalid type: null, expected struct NewOrder", "must be an object"),
            ("unknown variant `x`, expected `a` or `b`", "must be `a` or `b`"),
            ("a price has two decimals", "a price has two decimals"),
        ] {
            assert_eq!(in_words(message), words);
        }
    }

    #[test]
    fn a_document_that_cannot_be_mended_is_not_read_for_ever() {
        #[derive(Deserialize, Validate)]
        struct Never {
            #[allow(dead_code)]
            #[serde(deserialize_with = "refuse")]
            #[garde(skip)]
            a: (),
        }
        fn refuse<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
            Value::deserialize(deserializer)?;
            Err(serde::de::Error::custom("never"))
        }
        let document = json!({"a": 1});
        let Err(error) = serde_path_to_error::deserialize::<_, Never>(&document) else { panic!("it was read") };
        let found = faults::<Never>(Fault::of(&error), Some(document));
        assert_eq!(found, [FieldError { pointer: "/a".into(), detail: "never".into() }]);
    }
}
