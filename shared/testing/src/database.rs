use std::{
    collections::HashMap,
    iter::Cycle,
    sync::{Arc, Mutex},
    time::Duration,
    vec::IntoIter,
};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Region};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use dynoxide::DynoxideError;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::{Value, json};
use shared::{event::Envelope, table::Table};

/// A DynamoDB engine in memory, with one table for each service that asks for one.
#[derive(Clone)]
pub struct Database {
    engine: Arc<dynoxide::Database>,
    calls: Arc<Mutex<Vec<String>>>,
    read: Arc<Mutex<Read>>,
    fault: Arc<Mutex<Option<Fault>>>,
    pauses: Arc<Mutex<Cycle<IntoIter<u8>>>>,
    latency: Arc<Mutex<Duration>>,
    stream: Arc<Mutex<Vec<Value>>>,
    attempted: Arc<Mutex<Vec<Value>>>,
}

/// What calls have read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    pub items: usize,
    /// Of the answers, which have items as JSON in DynamoDB's notation.
    pub bytes: usize,
}

/// As much of an answer as says how many items are in it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    item: Option<IgnoredAny>,
    count: Option<usize>,
    responses: Option<HashMap<String, Vec<IgnoredAny>>>,
}

/// What goes wrong with the next calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every call is answered with 500 until the fault is cleared.
    Down,
    /// Every write is answered with 500 until the fault is cleared.
    ReadOnly,
    /// No call is answered.
    Hanging,
    /// The next write is done, but its answer and that of the SDK's repetitions never arrive.
    AnswerLost,
    /// Transactions' conditions on this table's items are not checked where `pk` starts so: what
    /// would happen without them.
    Unconditional { table: &'static str, pk: &'static str },
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Database")
    }
}

impl Default for Database {
    fn default() -> Self {
        Self::new()
    }
}

impl Database {
    pub fn new() -> Self {
        let engine = Arc::new(dynoxide::Database::memory().unwrap());
        Self {
            engine,
            calls: Arc::default(),
            read: Arc::default(),
            fault: Arc::default(),
            latency: Arc::default(),
            pauses: Arc::new(Mutex::new(Vec::new().into_iter().cycle())),
            stream: Arc::default(),
            attempted: Arc::default(),
        }
    }

    /// A new table with the keys and indexes that every service's table has.
    pub fn table(&self, name: &str) -> Table {
        let attribute = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
        let keys = |pk: &str, sk: &str| json!([{"AttributeName": pk, "KeyType": "HASH"}, {"AttributeName": sk, "KeyType": "RANGE"}]);
        let index = |name: &str| {
            json!({"IndexName": name, "KeySchema": keys(&format!("{name}pk"), &format!("{name}sk")),
                "Projection": {"ProjectionType": "ALL"}})
        };
        let attributes = ["pk", "sk", "gsi1pk", "gsi1sk", "gsi2pk", "gsi2sk"].map(attribute);
        let request = json!({
            "TableName": name, "KeySchema": keys("pk", "sk"), "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": attributes,
            "GlobalSecondaryIndexes": [index("gsi1"), index("gsi2")],
        });
        self.engine.create_table(serde_json::from_value(request).unwrap()).unwrap();
        Table::new(self.client(), name)
    }

    /// The names of the calls made since the last time this was asked, in order.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// What has been read since the last time this was asked.
    pub fn read(&self) -> Read {
        std::mem::take(&mut self.read.lock().unwrap())
    }

    fn count(&self, answer: &str) {
        let found: Found = serde_json::from_str(answer).unwrap();
        let batch = found.responses.into_iter().flatten().map(|(_, items)| items.len()).sum::<usize>();
        let mut read = self.read.lock().unwrap();
        read.items += usize::from(found.item.is_some()) + found.count.unwrap_or(0) + batch;
        read.bytes += answer.len();
    }

    pub fn inject(&self, fault: Fault) {
        *self.fault.lock().unwrap() = Some(fault);
    }

    pub fn heal(&self) {
        *self.fault.lock().unwrap() = None;
    }

    /// Lets the calls of concurrent futures interleave: before and after each call, its future yields
    /// as many times as the next of these numbers says, over and over.
    pub fn interleave(&self, pauses: Vec<u8>) {
        *self.pauses.lock().unwrap() = pauses.into_iter().cycle();
    }

    /// Has every call take so long, by tokio's clock.
    pub fn slow_down(&self, latency: Duration) {
        *self.latency.lock().unwrap() = latency;
    }

    async fn pause(&self) {
        let latency = *self.latency.lock().unwrap();
        if !latency.is_zero() {
            tokio::time::sleep(latency / 2).await;
        }
        let yields = self.pauses.lock().unwrap().next().unwrap_or(0);
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
    }

    /// Every item of a table as plain JSON in DynamoDB's notation, for a test to look at.
    pub fn items(&self, table: &Table) -> Vec<Value> {
        let mut items = Vec::new();
        let mut start = Value::Null;
        loop {
            let mut request = json!({"TableName": table.name()});
            if !start.is_null() {
                request["ExclusiveStartKey"] = start;
            }
            let answer = self.engine.scan(serde_json::from_value(request).unwrap()).unwrap();
            let answer = serde_json::to_value(answer).unwrap();
            items.extend(answer["Items"].as_array().cloned().unwrap_or_default());
            start = answer["LastEvaluatedKey"].clone();
            if start.is_null() {
                return items;
            }
        }
    }

    /// The items of one type in a table, in DynamoDB's notation.
    pub fn items_of_type(&self, table: &Table, item_type: &str) -> Vec<Value> {
        self.items(table).into_iter().filter(|item| item["type"]["S"] == item_type).collect()
    }

    /// The events that were published with changes of a table, oldest first.
    pub fn published(&self, table: &Table) -> Vec<Envelope> {
        let items = self.items_of_type(table, "outbox");
        let envelopes = items.iter().map(|item| serde_json::from_str(item["envelope"]["S"].as_str().unwrap()).unwrap());
        let mut events: Vec<Envelope> = envelopes.collect();
        events.sort_by_key(|event| event.id);
        events
    }

    /// The items put by transactions since the last time this was asked, in order: what the tables'
    /// streams carry.
    pub fn stream(&self) -> Vec<Value> {
        std::mem::take(&mut self.stream.lock().unwrap())
    }

    /// The items that transactions have put or meant to put since the last time this was asked: what
    /// DynamoDB charges for, cancelled transactions included.
    pub fn attempted(&self) -> Vec<Value> {
        std::mem::take(&mut self.attempted.lock().unwrap())
    }

    fn client(&self) -> aws_sdk_dynamodb::Client {
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
            .http_client(SharedHttpClient::new(self.clone()))
            .retry_config(aws_sdk_dynamodb::config::retry::RetryConfig::disabled());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    fn answer(&self, request: &HttpRequest) -> (u16, String) {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        self.calls.lock().unwrap().push(operation.clone());
        let mut fault = self.fault.lock().unwrap();
        let reads = ["GetItem", "BatchGetItem", "Query"].contains(&&*operation);
        if *fault == Some(Fault::Down) || (*fault == Some(Fault::ReadOnly) && !reads) {
            return lost();
        }
        let body = request.body().bytes().unwrap_or_default();
        let result = match *fault {
            Some(Fault::Unconditional { table, pk }) if operation == "TransactWriteItems" => {
                self.run(&operation, &without_conditions(body, table, pk))
            }
            _ => self.run(&operation, body),
        };
        if *fault == Some(Fault::AnswerLost) && operation.ends_with("WriteItems") {
            *fault = None;
            return lost();
        }
        match result {
            Ok(body) => {
                if reads {
                    self.count(&body);
                }
                (200, body)
            }
            Err(error) => (error.status_code(), error.to_json()),
        }
    }

    fn run(&self, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
        macro_rules! run {
            ($method:ident) => {
                serde_json::to_string(&self.engine.$method(request(body)?)?)
            };
        }
        let answer = match operation {
            "GetItem" => run!(get_item),
            "PutItem" => run!(put_item),
            "UpdateItem" => run!(update_item),
            "DeleteItem" => run!(delete_item),
            "BatchGetItem" => run!(batch_get_item),
            "Query" => run!(query),
            "TransactWriteItems" => {
                let items = puts(body);
                self.attempted.lock().unwrap().extend(items.iter().cloned());
                let answer = run!(transact_write_items);
                self.stream.lock().unwrap().extend(items);
                answer
            }
            other => panic!("a service called {other}, which no request path should need"),
        };
        Ok(answer.unwrap())
    }
}

/// What the engine refuses to read, such as a number out of range, DynamoDB refuses to take.
fn request<T: DeserializeOwned>(body: &[u8]) -> Result<T, DynoxideError> {
    serde_json::from_slice(body).map_err(|error| DynoxideError::ValidationException(error.to_string()))
}

/// The items that a transaction puts.
fn puts(transaction: &[u8]) -> Vec<Value> {
    let request: Value = serde_json::from_slice(transaction).unwrap();
    let writes = request["TransactItems"].as_array().into_iter().flatten();
    writes.filter_map(|write| write["Put"].get("Item").cloned()).collect()
}

fn lost() -> (u16, String) {
    (500, json!({"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": "lost"}).to_string())
}

/// The transaction with the conditions of some of its writes replaced by one that always holds.
fn without_conditions(transaction: &[u8], table: &str, pk: &str) -> Vec<u8> {
    let mut request: Value = serde_json::from_slice(transaction).unwrap();
    let writes = request["TransactItems"].as_array_mut().unwrap().iter_mut();
    for write in writes.flat_map(|write| write.as_object_mut().unwrap().values_mut()) {
        let key = write.get("Item").or(write.get("Key")).unwrap();
        let meant = write["TableName"] == table && key["pk"]["S"].as_str().unwrap().starts_with(pk);
        if let Some(condition) = write["ConditionExpression"].as_str().filter(|_| meant) {
            let always = format!("({condition}) OR attribute_exists(pk) OR attribute_not_exists(pk)");
            write["ConditionExpression"] = always.into();
        }
    }
    serde_json::to_vec(&request).unwrap()
}

impl HttpConnector for Database {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let database = self.clone();
        HttpConnectorFuture::new(async move {
            database.pause().await;
            if *database.fault.lock().unwrap() == Some(Fault::Hanging) {
                std::future::pending::<()>().await;
            }
            let (status, body) = database.answer(&request);
            database.pause().await;
            let response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
            Ok::<_, ConnectorError>(response)
        })
    }
}

impl HttpClient for Database {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
