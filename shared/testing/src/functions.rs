use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_lambda::{
    Client,
    config::{BehaviorVersion, Config, Region, retry::RetryConfig},
};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use shared::{client::ServiceClient, table::Table};

const STACK: &str = "local";

/// Lambda, as a service finds it that calls another's functions.
#[derive(Clone, Debug, Default)]
pub struct Functions {
    behaviours: Arc<Mutex<HashMap<String, Behaviour>>>,
    calls: Arc<Mutex<Vec<String>>>,
    /// The names that Lambda lists, page by page.
    list: Arc<Mutex<Vec<Vec<String>>>>,
}

/// How a function takes a call.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// It answers with this status and body.
    Answers(u16, Value),
    /// Lambda itself answers with this.
    Lists(Value),
    /// It answers with a body that is not JSON.
    Babbles,
    /// Its process ends without an answer.
    Crashes,
    /// There is no such function: how one is found that was never told to behave.
    Missing,
    /// It never answers.
    Hangs,
}

impl Functions {
    /// From now on the function of this name takes calls like this.
    pub fn set(&self, function: &str, behaviour: Behaviour) {
        self.behaviours.lock().unwrap().insert(function.to_owned(), behaviour);
    }

    /// From now on Lambda lists functions of these full names, on these pages, unless `ListFunctions` was
    /// told to behave otherwise.
    pub fn set_list(&self, pages: &[&[&str]]) {
        let pages = pages.iter().map(|names| names.iter().map(ToString::to_string).collect());
        *self.list.lock().unwrap() = pages.collect();
    }

    /// The functions called since the last time this was asked, in order.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// A client for one service's functions, with its breaker in this table.
    pub fn client(&self, service: &'static str, breakers: &Table) -> ServiceClient {
        ServiceClient::new(self.lambda(), STACK, service, breakers.clone())
    }

    /// A client of Lambda itself.
    pub fn lambda(&self) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
            .http_client(SharedHttpClient::new(self.clone()))
            .retry_config(RetryConfig::disabled());
        Client::from_conf(config.build())
    }

    /// The page of the list that a request asks for, if it does.
    fn page(&self, request: &HttpRequest) -> Option<Value> {
        let (path, query) = request.uri().split_once('?').unwrap_or((request.uri(), ""));
        if !path.trim_end_matches('/').ends_with("/functions") {
            return None;
        }
        let pages = self.list.lock().unwrap();
        let marker = query.split('&').find_map(|parameter| parameter.strip_prefix("Marker="));
        let page: usize = marker.map_or(0, |marker| marker.parse().unwrap());
        let names = pages.get(page).into_iter().flatten();
        let functions: Vec<_> = names.map(|name| json!({"FunctionName": name})).collect();
        let next = (page + 1 < pages.len()).then(|| (page + 1).to_string());
        Some(json!({"Functions": functions, "NextMarker": next}))
    }

    fn behaviour(&self, request: &HttpRequest) -> Behaviour {
        if let Some(page) = self.page(request) {
            self.calls.lock().unwrap().push("ListFunctions".into());
            let told = self.behaviours.lock().unwrap().get("ListFunctions").cloned();
            return told.unwrap_or(Behaviour::Lists(page));
        }
        let function = request.uri().split("/functions/").nth(1).unwrap().split('/').next().unwrap();
        let function = function.strip_prefix(STACK).unwrap().trim_start_matches('-').to_owned();
        self.calls.lock().unwrap().push(function.clone());
        self.behaviours.lock().unwrap().get(&function).cloned().unwrap_or(Behaviour::Missing)
    }
}

fn response(status: u16, body: &Value) -> HttpResponse {
    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body.to_string()))
}

fn proxied(status: u16, body: &str) -> HttpResponse {
    response(200, &json!({"statusCode": status, "headers": {}, "body": body, "isBase64Encoded": false}))
}

impl HttpConnector for Functions {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = match self.behaviour(&request) {
            Behaviour::Answers(status, body) => proxied(status, &body.to_string()),
            Behaviour::Lists(page) => response(200, &page),
            Behaviour::Babbles => proxied(200, "<html>"),
            Behaviour::Crashes => {
                let mut answer = response(200, &json!({"errorMessage": "exit status 101"}));
                answer.headers_mut().insert("x-amz-function-error", "Unhandled");
                answer
            }
            Behaviour::Missing => response(404, &json!({"Message": "Function not found"})),
            Behaviour::Hangs => return HttpConnectorFuture::new(std::future::pending()),
        };
        HttpConnectorFuture::ready(Ok::<_, ConnectorError>(answer))
    }
}

impl HttpClient for Functions {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
