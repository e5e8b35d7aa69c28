//! The sources that tell of the API's routes tell of the same.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use openapi::{Access, document, repository, routes};
use serde_json::Value;

fn committed() -> Value {
    serde_json::from_str(&repository(openapi::FILE).unwrap()).unwrap()
}

fn access() -> Access {
    Access::parse(&repository("docs/access.md").unwrap()).unwrap()
}

/// Every route of the template with the function that it leads to.
fn template() -> BTreeSet<(String, String)> {
    let template = repository("template.yaml").unwrap();
    let (mut function, mut routes) = ("", BTreeSet::new());
    for line in template.lines() {
        if let Some((_, name)) = line.split_once("FunctionName: !Sub '${AWS::StackName}-") {
            function = name.trim_end_matches('\'');
        }
        if let Some((method, path)) = line.split_once("Method: ").and_then(|(_, route)| route.split_once(", Path: '")) {
            routes.insert((format!("{method} {}", path.split('\'').next().unwrap()), function.to_owned()));
        }
    }
    assert_eq!(routes.len(), template.matches("Type: Api\n").count(), "a route is written in another way, or twice");
    routes
}

#[test]
fn the_document_is_what_the_handlers_say() {
    assert!(committed() == document().unwrap(), "docs/openapi.json is not up to date: make openapi");
}

#[test]
fn the_template_the_access_table_and_the_document_have_the_same_routes() {
    let template = template();
    let access: BTreeSet<_> = access().rows.into_iter().map(|row| (row.route, row.function)).collect();
    assert_eq!(access, template, "docs/access.md and template.yaml");
    let deployed: BTreeSet<_> = template.into_iter().map(|(route, _)| route).collect();
    let documented: BTreeSet<_> = routes(&document().unwrap()).into_iter().collect();
    assert_eq!(documented, deployed, "the handlers' documentation and template.yaml");
}

#[test]
fn every_operation_has_a_name_of_its_own_and_a_summary() {
    let document = document().unwrap();
    let operations: Vec<&Value> =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values()).collect();
    let names: BTreeSet<_> = operations.iter().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(names.len(), operations.len());
    assert!(operations.iter().all(|operation| !operation["summary"].as_str().unwrap().is_empty()));
}

/// Every reference in the document.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str);
            own.into_iter().chain(members.values().flat_map(references)).collect()
        }
        Value::Array(elements) => elements.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_referred_to() {
    let document = document().unwrap();
    let references: BTreeSet<&str> = references(&document).into_iter().collect();
    for reference in &references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap().keys();
    let unused: Vec<_> =
        schemas.filter(|name| !references.contains(format!("#/components/schemas/{name}").as_str())).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn access_and_errors_follow_from_the_tables() {
    let document = document().unwrap();
    let statuses =
        |operation: &Value| -> Vec<String> { operation["responses"].as_object().unwrap().keys().cloned().collect() };
    let get = &document["paths"]["/api/orders/{id}"]["get"];
    assert_eq!(get["security"], serde_json::json!([{"bearer": []}]));
    assert_eq!(statuses(get), ["200", "400", "401", "404", "429", "503"]);
    let registry = &document["paths"]["/registry"]["get"];
    assert_eq!(registry["security"], serde_json::json!([{"apiKey": ["registry:read"]}, {"bearer": ["admin"]}]));
    assert_eq!(statuses(registry), ["200", "401", "403", "429", "503"]);
    let create = &document["paths"]["/api/products"]["post"];
    assert_eq!(statuses(create), ["201", "400", "401", "403", "409", "413", "415", "422", "429", "503"]);
}

/// The schema, or the one that it refers to.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => resolved(document, document.pointer(reference.trim_start_matches('#')).unwrap()),
        None => schema,
    }
}

/// Where in a schema a member may be sent that it does not name.
fn open(document: &Value, schema: &Value, at: &str) -> Vec<String> {
    let schema = resolved(document, schema);
    let parts = ["oneOf", "anyOf", "allOf"].iter().filter_map(|word| schema[word].as_array()).flatten();
    let own = schema["properties"].is_object() && schema["additionalProperties"] != false;
    let members = schema["properties"].as_object().into_iter().flatten();
    let mut found: Vec<String> = own.then(|| at.to_owned()).into_iter().collect();
    found.extend(members.flat_map(|(name, member)| open(document, member, &format!("{at}/{name}"))));
    found.extend(parts.flat_map(|part| open(document, part, at)));
    if schema["items"].is_object() {
        found.extend(open(document, &schema["items"], &format!("{at}/0")));
    }
    found
}

#[test]
fn no_json_body_takes_a_member_that_is_not_named() {
    let document = document().unwrap();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let bodies: Vec<_> = operations
        .filter_map(|operation| {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            schema.is_object().then(|| (operation["operationId"].as_str().unwrap(), schema))
        })
        .collect();
    assert!(bodies.len() > 35, "{}", bodies.len());
    let found: Vec<_> = bodies.iter().flat_map(|(name, schema)| open(&document, schema, name)).collect();
    assert!(found.is_empty(), "{found:?}");
}
