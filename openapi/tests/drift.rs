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

/// Every body and answer of the document, with its type's schema where that is a named one.
fn contents(document: &Value) -> Vec<(String, &Value, Option<&Value>)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let answers = operation["responses"].as_object().unwrap().iter();
            let body = operation.get("requestBody").map(|body| ("body", body));
            for (what, said) in answers.map(|(status, answer)| (status.as_str(), answer)).chain(body) {
                for content in said["content"].as_object().into_iter().flat_map(|contents| contents.values()) {
                    let reference = content["schema"]["$ref"].as_str();
                    let schema = reference.and_then(|path| document.pointer(path.trim_start_matches('#')));
                    found.push((format!("{} {path} {what}", method.to_uppercase()), content, schema));
                }
            }
        }
    }
    found
}

#[test]
fn every_body_has_an_example_and_so_has_every_answer_of_a_purchase() {
    let document = document().unwrap();
    let without: Vec<_> = contents(&document)
        .into_iter()
        .filter(|(name, content, _)| name.ends_with(" body") && content.get("example").is_none())
        .map(|(name, _, _)| name)
        .collect();
    assert!(without.is_empty(), "{without:?}");
    for answer in [
        "POST /api/auth/register 201",
        "POST /api/auth/login 200",
        "POST /auth/token 200",
        "GET /api/products/{id} 200",
        "POST /api/orders 201",
        "GET /api/orders/{id} 200",
        "POST /api/payments 201",
    ] {
        assert!(contents(&document).iter().any(|(name, content, _)| name == answer && content["example"].is_object()));
    }
}

#[test]
fn every_example_has_the_members_of_its_type_and_no_placeholder() {
    let document = document().unwrap();
    let mut checked = 0;
    for (name, content, schema) in contents(&document) {
        let (Some(example), Some(schema)) = (content.get("example"), schema) else { continue };
        for (placeholder, _) in samples::PLACEHOLDERS {
            assert!(!example.to_string().contains(placeholder), "{name}: {example}");
        }
        let members: BTreeSet<_> = example.as_object().unwrap().keys().map(String::as_str).collect();
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for member in required {
            assert!(members.contains(member), "{name} has no {member}: {example}");
        }
        if let Some(properties) = schema["properties"].as_object() {
            let unknown: Vec<_> = members.iter().filter(|member| !properties.contains_key(**member)).collect();
            assert!(unknown.is_empty(), "{name} has {unknown:?}: {example}");
            checked += 1;
        }
    }
    assert!(checked > 40, "{checked}");
    let parameters = document["paths"].to_string();
    assert!(!parameters.contains("_ID\""), "a parameter's example is a placeholder");
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
