//! What each template must be told.

use garde::Validate;
use minijinja::{Value, value::Serde};
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};
use shared::{
    event::AlertKind,
    http::{FieldError, read_element},
    id::Id,
    money::Money,
    time::Timestamp,
};

use super::TemplateName;

#[derive(Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Welcome {}

#[derive(Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct OrderConfirmed {
    #[garde(skip)]
    order_id: Id,
    #[garde(range(min = 1))]
    quantity: u32,
    #[garde(skip)]
    #[serde(serialize_with = "as_text")]
    total: Money,
}

#[derive(Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct PaymentFailed {
    #[garde(skip)]
    order_id: Id,
    #[garde(skip)]
    #[serde(serialize_with = "as_text")]
    amount: Money,
    /// The provider's decline code: `card_declined`.
    #[garde(custom(line))]
    reason: String,
}

#[derive(Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct PaymentRefunded {
    #[garde(skip)]
    order_id: Id,
    #[garde(skip)]
    #[serde(serialize_with = "as_text")]
    amount: Money,
}

#[derive(Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct SensorAlert {
    #[garde(custom(line))]
    sensor_type: String,
    #[garde(custom(line))]
    device_id: String,
    #[garde(skip)]
    kind: AlertKind,
    #[garde(skip)]
    value: f64,
    #[garde(skip)]
    threshold: f64,
    #[garde(length(chars, max = 20))]
    unit: String,
    #[garde(skip)]
    recorded_at: Timestamp,
}

#[derive(Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Message {
    #[garde(custom(line))]
    subject: String,
    #[garde(length(chars, min = 1, max = 5000))]
    body: String,
}

/// One line of text that says something.
fn line(text: &str, (): &()) -> garde::Result {
    let problem = match text.chars().count() {
        _ if text.trim().is_empty() => "must not be blank",
        _ if text.chars().any(char::is_control) => "must be one line of text",
        201.. => "has more than 200 characters",
        _ => return Ok(()),
    };
    Err(garde::Error::new(problem))
}

/// With both decimals, as templates write amounts.
fn as_text<S: Serializer>(amount: &Money, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

/// A template's parameters, if they are of its types.
///
/// # Errors
/// What is wrong with them, with pointers that begin at the parameters.
pub(super) fn typed(template: TemplateName, params: &serde_json::Value) -> Result<Value, Vec<FieldError>> {
    match template {
        TemplateName::Welcome => read::<Welcome>(params),
        TemplateName::OrderConfirmed => read::<OrderConfirmed>(params),
        TemplateName::PaymentFailed => read::<PaymentFailed>(params),
        TemplateName::PaymentRefunded => read::<PaymentRefunded>(params),
        TemplateName::SensorAlert => read::<SensorAlert>(params),
        TemplateName::Message => read::<Message>(params),
    }
}

fn read<P>(params: &serde_json::Value) -> Result<Value, Vec<FieldError>>
where
    P: DeserializeOwned + Serialize + Validate<Context = ()>,
{
    // A struct's fields can be read from a list too, which nobody means.
    if !params.is_object() {
        return Err(vec![FieldError { pointer: String::new(), detail: "must be an object".into() }]);
    }
    read_element::<P>(params).map(|params| Value::from(Serde(params)))
}
