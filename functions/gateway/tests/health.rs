//! What the gateway says of the system while parts of it are away.

#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
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
use axum::http::StatusCode;
use gateway::{SERVICES, http::health};
use serde_json::{Value, json};
use shared::{breaker::Breaker, client::ServiceClient, table::Table};
use testing::{Answer, Api, Database, Fault};

/// How a service's health function takes a call.
#[derive(Clone, Copy, Debug)]
enum Behaviour {
    Healthy,
    TableAway,
    Crashes,
    Missing,
    Hangs,
    Babbles,
}

/// Lambda, with one health function for each service.
#[derive(Clone, Debug)]
struct Functions {
    behaviours: HashMap<&'static str, Behaviour>,
    called: Arc<Mutex<Vec<String>>>,
}

impl Functions {
    fn with(behaviours: &[(&'static str, Behaviour)]) -> Self {
        Self { behaviours: behaviours.iter().copied().collect(), called: Arc::default() }
    }

    fn behaviour(&self, service: &str) -> Behaviour {
        self.behaviours.get(service).copied().unwrap_or(Behaviour::Healthy)
    }

    fn client(&self) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
            .http_client(SharedHttpClient::new(self.clone()))
            .retry_config(RetryConfig::disabled());
        Client::from_conf(config.build())
    }
}

fn answer(status: u16, body: &Value) -> HttpResponse {
    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body.to_string()))
}

fn proxied(status: u16, service: &str, health: &str) -> Value {
    let body = json!({"status": health, "service": service, "version": "1.2.3"}).to_string();
    json!({"statusCode": status, "headers": {}, "body": body, "isBase64Encoded": false})
}

impl HttpConnector for Functions {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let function = request.uri().split("/functions/").nth(1).unwrap().split('/').next().unwrap().to_owned();
        let service = function.strip_prefix("local-").and_then(|name| name.strip_suffix("-health")).unwrap().to_owned();
        self.called.lock().unwrap().push(service.clone());
        let response = match self.behaviour(&service) {
            Behaviour::Healthy => answer(200, &proxied(200, &service, "healthy")),
            Behaviour::TableAway => answer(200, &proxied(503, &service, "unhealthy")),
            Behaviour::Crashes => {
                let mut response = answer(200, &json!({"errorMessage": "exit status 101"}));
                response.headers_mut().insert("x-amz-function-error", "Unhandled");
                response
            }
            Behaviour::Missing => answer(404, &json!({"Message": "Function not found"})),
            Behaviour::Babbles => answer(200, &json!({"statusCode": 200, "body": "<html>"})),
            Behaviour::Hangs => return HttpConnectorFuture::new(std::future::pending()),
        };
        HttpConnectorFuture::ready(Ok::<_, ConnectorError>(response))
    }
}

impl HttpClient for Functions {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

async fn ask(functions: &Functions, platform: &Table) -> Answer {
    let lambda = functions.client();
    let client = |service| ServiceClient::new(lambda.clone(), "local", service, platform.clone());
    Api::new(health::router(SERVICES.map(client).to_vec(), platform.clone())).get("/health").await
}

fn statuses(answer: &Answer) -> Vec<&str> {
    SERVICES.iter().map(|service| answer.body["services"][service]["status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_system_whose_services_all_answer_is_healthy() {
    let functions = Functions::with(&[]);
    let answer = ask(&functions, &Database::new().table("platform")).await;
    assert_eq!((answer.status, &answer.body["overall_status"]), (StatusCode::OK, &json!("healthy")));
    assert_eq!(answer.body["gateway"], "healthy");
    assert_eq!(statuses(&answer), ["healthy"; 5]);
    assert_eq!(answer.body["services"]["auth"], json!({"status": "healthy", "version": "1.2.3"}));
    let closed: serde_json::Map<_, _> = SERVICES.iter().map(|name| (name.to_string(), json!("closed"))).collect();
    assert_eq!(answer.body["circuit_breakers"], Value::Object(closed));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_answer_well_makes_a_degraded_system_and_no_error() {
    use Behaviour::{Babbles, Crashes, Hangs, Missing, TableAway};
    for behaviour in [TableAway, Crashes, Missing, Hangs, Babbles] {
        let functions = Functions::with(&[("orders", behaviour)]);
        let answer = ask(&functions, &Database::new().table("platform")).await;
        assert_eq!((answer.status, &answer.body["overall_status"]), (StatusCode::OK, &json!("degraded")));
        assert_eq!(statuses(&answer), ["healthy", "healthy", "healthy", "unhealthy", "healthy"], "{behaviour:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn services_that_hang_are_waited_for_together_and_not_for_long() {
    let functions = Functions::with(&SERVICES.map(|service| (service, Behaviour::Hangs)));
    let started = tokio::time::Instant::now();
    let answer = ask(&functions, &Database::new().table("platform")).await;
    assert_eq!((answer.status, &answer.body["overall_status"]), (StatusCode::OK, &json!("unhealthy")));
    assert!(started.elapsed() < Duration::from_millis(1600), "{:?}", started.elapsed());
    assert_eq!(functions.called.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn an_open_breaker_is_shown_and_the_service_behind_it_still_asked() {
    let platform = Database::new().table("platform");
    let breaker = Breaker::new(platform.clone(), "products");
    for _ in 0..3 {
        breaker.failed().await;
    }
    let functions = Functions::with(&[]);
    let answer = ask(&functions, &platform).await;
    assert_eq!(answer.body["circuit_breakers"]["products"], "open");
    assert_eq!(answer.body["circuit_breakers"]["orders"], "closed");
    assert_eq!(answer.body["services"]["products"]["status"], "healthy");
    assert!(breaker.admit().await.is_err());
}

#[tokio::test]
async fn health_is_told_without_the_breakers_when_their_table_is_away() {
    let database = Database::new();
    let platform = database.table("platform");
    database.inject(Fault::Down);
    let answer = ask(&Functions::with(&[]), &platform).await;
    assert_eq!((answer.status, &answer.body["overall_status"]), (StatusCode::OK, &json!("healthy")));
    assert_eq!(answer.body["circuit_breakers"], json!({}));
}
