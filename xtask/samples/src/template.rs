use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

/// The name of a stack, as the functions' names begin with it in the template.
const STACK_NAME: &str = "${AWS::StackName}-";

/// `template.yaml` as JSON, its short forms (`!Ref`) written out (`{"Ref": …}`).
#[derive(Clone, Debug)]
pub struct Template {
    /// The whole of it, which CloudFormation and SAM read as they read the YAML.
    pub document: Value,
}

/// A function as the template describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name in the template: `OrdersCreate`.
    pub logical_id: String,
    /// Its name without the stack's: `orders-create`.
    pub name: String,
    /// The service that it belongs to: `orders`.
    pub service: String,
    /// What invokes it; one kind only, and for HTTP every route.
    pub sources: Vec<Source>,
}

/// What invokes a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Http(Route),
    Queue,
    /// A table's stream, of the records of these names: `INSERT`.
    Stream(Vec<String>),
    /// A schedule, by its name in the template: `EveryMinute`.
    Schedule(String),
}

/// A route of the API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// `POST`
    pub method: String,
    /// `/api/orders/{id}`
    pub path: String,
}

impl Template {
    /// Reads `template.yaml` of this repository.
    ///
    /// # Errors
    /// When it is not there, or no YAML.
    pub fn read(root: &Path) -> Result<Self> {
        Self::read_file(&root.join("template.yaml"))
    }

    /// Reads any template, as those in `infra/`.
    ///
    /// # Errors
    /// When it is not there, or no YAML.
    pub fn read_file(file: &Path) -> Result<Self> {
        let name = || file.display().to_string();
        let text = fs::read_to_string(file).with_context(name)?;
        let documents = Yaml::load_from_str(&text).with_context(name)?;
        let document = documents.first().with_context(name)?;
        Ok(Self { document: written_out(document).with_context(name)? })
    }

    /// The functions, in the order of the template.
    ///
    /// # Errors
    /// When one is described in a way that is not known here.
    pub fn functions(&self) -> Result<Vec<Function>> {
        let resources = self.document["Resources"].as_object().context("template.yaml has no resources")?;
        let functions = resources.iter().filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function");
        functions
            .map(|(id, resource)| function(id, &resource["Properties"]).with_context(|| format!("template.yaml: {id}")))
            .collect()
    }
}

impl Function {
    /// The routes that lead to it.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.sources.iter().filter_map(|source| match source {
            Source::Http(route) => Some(route),
            _ => None,
        })
    }
}

fn function(logical_id: &str, properties: &Value) -> Result<Function> {
    let name = properties["FunctionName"]["Fn::Sub"].as_str().and_then(|name| name.strip_prefix(STACK_NAME));
    let service = properties["Environment"]["Variables"]["SERVICE_NAME"].as_str().context("no SERVICE_NAME")?;
    let events = properties["Events"].as_object().context("nothing invokes it")?;
    Ok(Function {
        logical_id: logical_id.to_owned(),
        name: name.context("its name does not begin with the stack's")?.to_owned(),
        service: service.to_owned(),
        sources: events.iter().map(|(name, event)| source(name, event)).collect::<Result<_>>()?,
    })
}

fn source(name: &str, event: &Value) -> Result<Source> {
    let properties = &event["Properties"];
    let text = |field: &str| properties[field].as_str().map(str::to_owned).with_context(|| format!("{name}: {field}"));
    Ok(match event["Type"].as_str() {
        Some("Api") => Source::Http(Route { method: text("Method")?.to_uppercase(), path: text("Path")? }),
        Some("SQS") => Source::Queue,
        Some("DynamoDB") => Source::Stream(record_names(&properties["FilterCriteria"])?),
        Some("Schedule") => Source::Schedule(name.to_owned()),
        other => bail!("{name} is of a type that is not known: {other:?}"),
    })
}

/// The names that a stream's filter lets pass.
fn record_names(criteria: &Value) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for filter in criteria["Filters"].as_array().into_iter().flatten() {
        let pattern: Value = serde_json::from_str(filter["Pattern"].as_str().context("a filter without a pattern")?)?;
        names
            .extend(pattern["eventName"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
    }
    Ok(names)
}

fn written_out(node: &Yaml) -> Result<Value> {
    Ok(match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.0),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Sequence(nodes) => Value::Array(nodes.iter().map(written_out).collect::<Result<_>>()?),
        Yaml::Mapping(entries) => Value::Object(
            entries
                .iter()
                .map(|(key, value)| {
                    Ok((key.as_str().context("a key that is no text")?.to_owned(), written_out(value)?))
                })
                .collect::<Result<Map<_, _>>>()?,
        ),
        Yaml::Tagged(tag, node) => intrinsic(&tag.suffix, written_out(node)?),
        other => bail!("{other:?} has no place in a template"),
    })
}

/// A short form, written out as CloudFormation defines it.
fn intrinsic(name: &str, argument: Value) -> Value {
    match (name, &argument) {
        ("Ref" | "Condition", _) => json!({ name: argument }),
        ("GetAtt", Value::String(path)) => {
            let (resource, attribute) = path.split_once('.').unwrap_or((path, ""));
            json!({ "Fn::GetAtt": [resource, attribute] })
        }
        _ => json!({ format!("Fn::{name}"): argument }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Value {
        written_out(&Yaml::load_from_str(yaml).unwrap()[0]).unwrap()
    }

    #[test]
    fn short_forms_are_written_out() {
        assert_eq!(read("!Ref Api"), json!({"Ref": "Api"}));
        assert_eq!(read("!GetAtt State.Outputs.Arn"), json!({"Fn::GetAtt": ["State", "Outputs.Arn"]}));
        assert_eq!(
            read("[!If [Open, !Ref A, !Sub '${B}-c'], '600', 600]"),
            json!([{"Fn::If": ["Open", {"Ref": "A"}, {"Fn::Sub": "${B}-c"}]}, "600", 600])
        );
    }

    #[test]
    fn a_function_is_read_with_all_that_invokes_it() {
        let resource = read(
            "FunctionName: !Sub '${AWS::StackName}-orders-get'\n\
             Environment: { Variables: { SERVICE_NAME: orders } }\n\
             Events:\n  Get: { Type: Api, Properties: { Method: get, Path: '/api/orders/{id}' } }\n\
             \x20 Tick: { Type: Schedule, Properties: { Schedule: rate(1 minute) } }",
        );
        let function = function("OrdersGet", &resource).unwrap();
        let route = Route { method: "GET".into(), path: "/api/orders/{id}".into() };
        assert_eq!((function.name.as_str(), function.service.as_str()), ("orders-get", "orders"));
        assert_eq!(function.sources, [Source::Http(route), Source::Schedule("Tick".into())]);
    }

    #[test]
    fn a_source_of_an_unknown_kind_is_said_rather_than_left_out() {
        let error = source("Bucket", &json!({"Type": "S3"})).unwrap_err();
        assert!(error.to_string().contains("Bucket"), "{error}");
    }
}
