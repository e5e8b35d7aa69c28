//! Schemas, where what the derive macros make of a type is not what its JSON looks like.

use serde_json::{Value, json};

/// The schema of this name as it is to be.
pub fn tidied(name: &str, mut schema: Value) -> Value {
    if let Some(element) = name.strip_prefix("Page_")
        && let Some(items) = schema.pointer_mut("/properties/data/items")
    {
        *items = json!({ "$ref": format!("#/components/schemas/{element}") });
    }
    tidy(&mut schema);
    schema
}

fn tidy(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for part in members.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten() {
                loosen(part);
            }
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.replace("[`", "`").replace("`]", "`").replace('\n', " ").replace("  ", "\n\n");
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(elements) => elements.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// A flattened `Option`: its fields are there or not, and never a `null`.
fn loosen(part: &mut Value) {
    let alternatives = part["oneOf"].as_array().cloned().unwrap_or_default();
    if let [some, none] = alternatives.as_slice()
        && none["type"] == "null"
    {
        *part = json!({ "anyOf": [some, { "type": "object" }] });
    }
}
