//! A user with their orders, as far as the services that know them answer.

#![allow(clippy::unwrap_used)]

use axum::http::StatusCode;
use gateway::{
    consumers::business_events::BusinessEvents,
    http::profile::{self, Sources},
};
use serde_json::{Value, json};
use shared::{
    consumer::handle_batch,
    event::{Envelope, OrderCreated},
    id::Id,
    money::Money,
    table::Table,
};
use testing::{Api, Behaviour, Database, Functions};

struct Gateway {
    functions: Functions,
    table: Table,
    platform: Table,
}

fn user() -> Value {
    json!({"id": 1, "name": "Alice Johnson", "email": "alice@example.com", "role": "admin"})
}

fn order(id: u64) -> Value {
    json!({"id": id, "user_id": 1, "product": "Laptop", "quantity": 1, "total": 999.99, "status": "COMPLETED"})
}

fn gateway() -> Gateway {
    let database = Database::new();
    let functions = Functions::default();
    functions.set("users-get", Behaviour::Answers(200, user()));
    functions.set("orders-by-user", Behaviour::Answers(200, json!({"data": [order(1)], "next": null})));
    Gateway { functions, table: database.table("gateway"), platform: database.table("platform") }
}

impl Gateway {
    fn api(&self) -> Api {
        let client = |service| self.functions.client(service, &self.platform);
        Api::new(profile::router(Sources {
            users: client("users"),
            orders: client("orders"),
            table: self.table.clone(),
        }))
    }

    async fn counted(&self, orders: u64) {
        let placed = |number| {
            Envelope::new(&OrderCreated {
                order_id: Id::new(number).unwrap(),
                user_id: Id::new(1).unwrap(),
                product_id: Id::new(2).unwrap(),
                product: "Laptop".into(),
                category: None,
                quantity: 1,
                total: Money::from_minor_units(99_999).unwrap(),
            })
        };
        let events = (1..=orders).map(|number| placed(number).unwrap()).collect();
        for outcome in handle_batch(&BusinessEvents { table: self.table.clone() }, events).await {
            outcome.unwrap();
        }
    }
}

const PATH: &str = "/api/users/1/profile";

#[tokio::test]
async fn a_profile_is_the_documents() {
    let answer = gateway().api().customer(1).get(PATH).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body, json!({"data": {"user": user(), "orders": [order(1)], "total_orders": 1}}));
}

#[tokio::test]
async fn without_orders_the_user_is_shown_and_what_is_missing() {
    for behaviour in [Behaviour::Crashes, Behaviour::Missing, Behaviour::Answers(503, json!({}))] {
        let gateway = gateway();
        gateway.counted(3).await;
        gateway.functions.set("orders-by-user", behaviour);
        let answer = gateway.api().customer(1).get(PATH).await;
        assert_eq!(answer.status, StatusCode::OK);
        let data = json!({"user": user(), "orders": null, "total_orders": 3});
        assert_eq!(answer.body, json!({"data": data, "missing": ["orders"]}));
    }
}

#[tokio::test]
async fn without_users_the_orders_are_shown_and_what_is_missing() {
    let gateway = gateway();
    gateway.functions.set("users-get", Behaviour::Crashes);
    let answer = gateway.api().admin().get(PATH).await;
    let data = json!({"user": null, "orders": [order(1)], "total_orders": 1});
    assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({"data": data, "missing": ["user"]})));
}

#[tokio::test]
async fn without_both_there_is_no_profile_for_now() {
    let gateway = gateway();
    for function in ["users-get", "orders-by-user"] {
        gateway.functions.set(function, Behaviour::Crashes);
    }
    let answer = gateway.api().customer(1).get(PATH).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_hangs_is_asked_no_more_once_its_breaker_is_open() {
    let gateway = gateway();
    gateway.functions.set("orders-by-user", Behaviour::Hangs);
    let api = gateway.api().customer(1);
    for _ in 0..3 {
        assert_eq!(api.get(PATH).await.body["missing"][0], "orders");
    }
    gateway.functions.calls();
    tokio::time::advance(std::time::Duration::from_millis(1100)).await;
    assert_eq!(api.get(PATH).await.body["missing"][0], "orders");
    assert_eq!(gateway.functions.calls(), ["users-get"]);
}

#[tokio::test]
async fn more_orders_than_are_shown_are_all_counted() {
    let gateway = gateway();
    gateway.counted(150).await;
    let shown: Vec<Value> = (51..=150).map(order).collect();
    gateway.functions.set("orders-by-user", Behaviour::Answers(200, json!({"data": shown, "next": "more"})));
    let answer = gateway.api().customer(1).get(PATH).await;
    assert_eq!(answer.body["data"]["total_orders"], 150);
    assert_eq!(answer.body["data"]["orders"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn a_stranger_and_an_unknown_user_find_nothing() {
    let gateway = gateway();
    assert_eq!(gateway.api().customer(2).get(PATH).await.status, StatusCode::NOT_FOUND);
    assert!(gateway.functions.calls().is_empty(), "nobody is asked for a stranger");
    assert_eq!(gateway.api().get(PATH).await.status, StatusCode::UNAUTHORIZED);
    gateway.functions.set("users-get", Behaviour::Answers(404, json!({})));
    assert_eq!(gateway.api().admin().get(PATH).await.status, StatusCode::NOT_FOUND);
}
