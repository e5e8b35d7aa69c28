//! Every function of the template has a sample event, as AWS sends it, and the type that the function
//! reads takes it.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use aws_lambda_events::event::{dynamodb, eventbridge::EventBridgeEvent, sqs::SqsEvent};
use lambda_http::Body;
use samples::{Function, PLACEHOLDERS, Route, Sample, Source, Template};
use serde_json::{Map, Value};
use shared::{event::Envelope, outbox::OutboxItem};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// What API Gateway's REST APIs send with each request, whatever it is.
const REQUEST: [&str; 12] = [
    "body",
    "headers",
    "httpMethod",
    "isBase64Encoded",
    "multiValueHeaders",
    "multiValueQueryStringParameters",
    "path",
    "pathParameters",
    "queryStringParameters",
    "requestContext",
    "resource",
    "stageVariables",
];
const CONTEXT: [&str; 16] = [
    "accountId",
    "apiId",
    "deploymentId",
    "domainName",
    "domainPrefix",
    "extendedRequestId",
    "httpMethod",
    "identity",
    "path",
    "protocol",
    "requestId",
    "requestTime",
    "requestTimeEpoch",
    "resourceId",
    "resourcePath",
    "stage",
];
const MESSAGE: [&str; 9] = [
    "attributes",
    "awsRegion",
    "body",
    "eventSource",
    "eventSourceARN",
    "md5OfBody",
    "messageAttributes",
    "messageId",
    "receiptHandle",
];
const RECORD: [&str; 7] =
    ["awsRegion", "dynamodb", "eventID", "eventName", "eventSource", "eventSourceARN", "eventVersion"];

fn root() -> &'static Path {
    Path::new(ROOT)
}

/// Every function with its sample, which has numbers and words for its placeholders.
fn sampled() -> Vec<(Function, Value)> {
    let samples = Sample::all(root()).unwrap();
    let functions = Template::read(root()).unwrap().functions().unwrap();
    functions
        .into_iter()
        .map(|function| {
            let sample = samples.get(&function.name).unwrap_or_else(|| panic!("{} has no sample", function.name));
            let filled = PLACEHOLDERS.iter().fold(sample.text.clone(), |text, (name, _)| match sample.names(name) {
                true => text.replace(name, if name.ends_with("_ID") { "890461113135316" } else { "placeholder" }),
                false => text,
            });
            let event = serde_json::from_str(&filled).unwrap_or_else(|error| panic!("{}: {error}", function.name));
            (function, event)
        })
        .collect()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

#[test]
fn every_function_has_a_sample_in_its_services_folder_and_no_sample_is_of_no_function() {
    let functions = Template::read(root()).unwrap().functions().unwrap();
    let samples = Sample::all(root()).unwrap();
    let wanted: BTreeSet<_> = functions.iter().map(|function| (&*function.service, &*function.name)).collect();
    let found: BTreeSet<_> = samples.values().map(|sample| (&*sample.service, &*sample.function)).collect();
    assert_eq!(wanted.difference(&found).collect::<Vec<_>>(), Vec::<&(&str, &str)>::new(), "without a sample");
    assert_eq!(found.difference(&wanted).collect::<Vec<_>>(), Vec::<&(&str, &str)>::new(), "of no function");
    assert!(functions.len() > 90, "the template was read");
}

#[test]
fn the_samples_of_requests_are_what_api_gateway_sends_for_a_route_of_their_function() {
    for (function, event) in sampled().iter().filter(|(function, _)| function.routes().next().is_some()) {
        let name = &function.name;
        assert_eq!((keys(event), keys(&event["requestContext"])), (REQUEST.to_vec(), CONTEXT.to_vec()), "{name}");
        let route = Route { method: text(event, "/httpMethod").into(), path: text(event, "/resource").into() };
        assert!(function.routes().any(|known| *known == route), "{name} has no route {route:?}");
        let parameters = event["pathParameters"].as_object().cloned().unwrap_or_default();
        let path = parameters.iter().fold(route.path.clone(), |path, (parameter, value)| {
            path.replace(&format!("{{{parameter}}}"), value.as_str().unwrap())
        });
        assert_eq!((text(event, "/path"), path.contains('{')), (&*path, false), "{name}");
        let context = &event["requestContext"];
        assert_eq!(
            (text(context, "/resourcePath"), text(context, "/httpMethod"), text(context, "/path")),
            (&*route.path, &*route.method, &*format!("/live{path}")),
            "{name}"
        );
        for (single, multiple) in
            [("headers", "multiValueHeaders"), ("queryStringParameters", "multiValueQueryStringParameters")]
        {
            assert_eq!(singles(&event[multiple]), event[single], "{name}: {single}");
        }
    }
}

/// The last value of each, as API Gateway puts it beside the list of all.
fn singles(multiple: &Value) -> Value {
    let Some(multiple) = multiple.as_object() else { return Value::Null };
    multiple.iter().map(|(name, values)| (name.clone(), values[values.as_array().unwrap().len() - 1].clone())).collect()
}

#[test]
fn the_samples_of_requests_are_read_as_requests() {
    for (function, event) in sampled().iter().filter(|(function, _)| function.routes().next().is_some()) {
        let (name, json) = (&function.name, event.to_string());
        let request = lambda_http::request::from_str(&json).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(request.method().as_str(), text(event, "/httpMethod"), "{name}");
        assert_eq!(request.uri().path(), format!("/live{}", text(event, "/path")), "{name}");
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("x-correlation-id"), Some("sample-1"), "{name}");
        match request.body() {
            Body::Empty => assert_eq!(header("content-type"), None, "{name}"),
            Body::Text(body) if header("content-type") == Some("application/json") => {
                serde_json::from_str::<Value>(body).unwrap_or_else(|error| panic!("{name}: {error} in {body}"));
            }
            Body::Text(body) => assert!(body.contains('=') && header("content-type").is_some(), "{name}: {body}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// The sources and types of events that the rule of each queue lets into it.
fn rules() -> BTreeMap<String, (Vec<String>, Vec<String>)> {
    let services: BTreeSet<_> = sampled().into_iter().map(|(function, _)| function.service).collect();
    let texts =
        |value: &Value| value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    let mut rules = BTreeMap::new();
    for service in services {
        let state = Template::read_file(&root().join(format!("infra/{service}.yaml"))).unwrap();
        let resources = state.document["Resources"].as_object().unwrap().clone();
        for rule in resources.values().filter(|resource| resource["Type"] == "AWS::Events::Rule") {
            let pattern = &rule["Properties"]["EventPattern"];
            let queue = text(rule, "/Properties/Targets/0/Arn/Fn::GetAtt/0");
            let queue = text(&resources[queue], "/Properties/QueueName/Fn::Sub").replace("${StackName}-", "");
            let types = pattern.get("detail-type").map(texts).unwrap_or_default();
            let sources = pattern["source"].as_array().unwrap();
            let sources = sources.iter().map(|source| match source {
                Value::String(source) => source.clone(),
                prefix => text(prefix, "/prefix").to_owned(),
            });
            rules.insert(queue, (sources.collect(), types));
        }
    }
    rules
}

#[test]
fn the_samples_of_queues_are_messages_that_the_queues_rule_lets_in() {
    let rules = rules();
    let mut consumers = 0;
    for (function, event) in sampled().iter().filter(|(function, _)| function.sources == [Source::Queue]) {
        let name = &function.name;
        for record in event["Records"].as_array().unwrap() {
            assert_eq!(keys(record), MESSAGE, "{name}");
        }
        let batch: SqsEvent = serde_json::from_value(event.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        for message in batch.records {
            let queue = format!("arn:aws:sqs:eu-central-1:123456789012:local-{name}");
            assert_eq!(message.event_source_arn, Some(queue), "{name}");
            let body: Value = serde_json::from_str(message.body.as_deref().unwrap()).unwrap();
            // One queue has another sender than the bus.
            let Some((sources, types)) = rules.get(name) else { continue };
            let (source, detail_type) = (text(&body, "/source"), text(&body, "/detail-type").to_owned());
            assert!(sources.iter().any(|known| source.starts_with(known.as_str())), "{name}: {source}");
            assert!(types.is_empty() || types.contains(&detail_type), "{name}: {detail_type}");
            let envelope: Envelope = serde_json::from_value(body["detail"].clone()).unwrap();
            assert_eq!(envelope.event_type, detail_type, "{name}");
        }
        consumers += 1;
    }
    assert!(consumers > 15, "{consumers}");
    let served: BTreeSet<_> = sampled().into_iter().map(|(function, _)| function.name).collect();
    assert_eq!(rules.keys().filter(|queue| !served.contains(*queue)).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn the_samples_of_streams_are_records_that_the_functions_filter_lets_in() {
    let mut streams = 0;
    for (function, event) in &sampled() {
        let (name, [Source::Stream(let_in)]) = (&function.name, &*function.sources) else { continue };
        for record in event["Records"].as_array().unwrap() {
            assert_eq!(keys(record), RECORD, "{name}");
        }
        let batch: dynamodb::Event =
            serde_json::from_value(event.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        for record in batch.records {
            assert!(let_in.contains(&record.event_name), "{name}: {}", record.event_name);
            let image = record.change.new_image;
            assert!(record.change.keys.iter().all(|(key, value)| image.get(key) == Some(value)), "{name}");
            if name.ends_with("-relay") {
                let item: OutboxItem = serde_dynamo::from_item(image.clone()).unwrap();
                let envelope: Envelope = serde_json::from_str(&item.envelope).unwrap();
                assert_eq!(
                    (&item.event_id, &item.event_type, &item.aggregate),
                    (
                        &envelope.id.to_string(),
                        &envelope.event_type,
                        &format!("{}#{}", envelope.aggregate_type, envelope.aggregate_id)
                    ),
                    "{name}"
                );
            }
        }
        streams += 1;
    }
    assert!(streams > 5, "{streams}");
}

#[test]
fn the_samples_of_schedules_are_of_the_functions_rule() {
    let mut schedules = 0;
    for (function, event) in &sampled() {
        let (name, [Source::Schedule(schedule)]) = (&function.name, &*function.sources) else { continue };
        let event: EventBridgeEvent = serde_json::from_value(event.clone()).unwrap();
        assert_eq!((&*event.detail_type, &*event.source), ("Scheduled Event", "aws.events"), "{name}");
        let rule = format!("rule/local-{}{schedule}", function.logical_id);
        let resources = event.resources.unwrap_or_default();
        assert!(resources.len() == 1 && resources[0].ends_with(&rule), "{name}: {resources:?} is not {rule}");
        schedules += 1;
    }
    assert!(schedules > 2, "{schedules}");
}
