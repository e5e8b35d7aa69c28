//! What there is, as the registry tells it.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use axum::http::StatusCode;
use gateway::{SERVICES, catalogue::FunctionCatalogue, http::registry};
use serde_json::json;
use testing::{Answer, Api, Behaviour, Database, Functions};
use tokio::time::Instant;

async fn ask(functions: &Functions) -> Answer {
    let platform = Database::new().table("platform");
    let clients = SERVICES.map(|service| functions.client(service, &platform));
    let catalogue = FunctionCatalogue::new(functions.lambda(), "local");
    Api::new(registry::router(clients.to_vec(), catalogue)).admin().get("/registry").await
}

fn deployed() -> Functions {
    let functions = Functions::default();
    functions.set_list(&[
        &["local-orders-relay", "local-auth-login", "other-orders-create", "local-two-orders-create"],
        &["local-orders-create", "local-orders"],
        &[],
        &["local-ordersx-create", "local-auth-verify"],
    ]);
    functions
}

#[tokio::test]
async fn each_service_has_its_version_its_health_and_its_own_functions_whatever_page_they_are_on() {
    let functions = deployed();
    let well = json!({"status": "healthy", "service": "orders", "version": "1.2.3"});
    functions.set("orders-health", Behaviour::Answers(200, well));
    let answer = ask(&functions).await;
    assert_eq!(answer.status, StatusCode::OK);
    let services = answer.body["services"].as_object().unwrap();
    assert_eq!(services.len(), SERVICES.len());
    let orders =
        json!({"status": "healthy", "version": "1.2.3", "functions": ["orders", "orders-create", "orders-relay"]});
    assert_eq!(services["orders"], orders);
    let auth = json!({"status": "unhealthy", "version": null, "functions": ["auth-login", "auth-verify"]});
    assert_eq!(services["auth"], auth);
    assert_eq!(services["users"]["functions"], json!([]));
    let listings = functions.calls().into_iter().filter(|call| call == "ListFunctions").count();
    assert_eq!(listings, 4);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_does_not_come_is_waited_for_for_some_seconds() {
    let functions = deployed();
    functions.set("ListFunctions", Behaviour::Hangs);
    let started = Instant::now();
    let answer = ask(&functions).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
    assert!(started.elapsed() <= Duration::from_secs(6), "{:?}", started.elapsed());
}
