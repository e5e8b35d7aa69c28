//! Each function may do what it needs and no more: with one action less it fails.

#![allow(clippy::unwrap_used)]

use anyhow::Result;
use e2e::{
    Session, Stack,
    emulator::Feature,
    policy::{self, Restriction},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

async fn status(session: &Session, method: Method, path: &str, body: &Value) -> Result<StatusCode> {
    let body = (method != Method::GET).then(|| body.clone());
    Ok(session.send(method, path, body).await?.status)
}

#[tokio::test]
async fn a_function_with_one_action_or_kind_of_item_less_fails_and_only_that_one() -> Result<()> {
    if !Feature::Policies.is_there() {
        return Ok(());
    }
    let stack = Stack::from_env()?;
    let admin = stack.demo("admin").await?;
    let product = json!({"name": "Keyboard", "price": 49.5, "stock": 1});
    let order = json!({"user_id": 1, "product_id": 2, "quantity": 1});
    let login = json!({"username": Uuid::new_v4().to_string(), "password": "password123"});
    let functions = [
        ("products-create", "dynamodb:PutItem", Method::POST, "/api/products", product),
        ("products-get", "dynamodb:GetItem", Method::GET, "/api/products/2", Value::Null),
        ("products-list", "dynamodb:Query", Method::GET, "/api/products", Value::Null),
        ("orders-create", "dynamodb:GetItem", Method::POST, "/api/orders", order),
        ("auth-login", "dynamodb:GetItem", Method::POST, "/api/auth/login", login),
    ];
    for (function, action, method, path, body) in functions {
        let before = status(&admin, method.clone(), path, &body).await?;
        assert!(!before.is_server_error(), "{function}: {before}");
        for restriction in [Restriction::Take(action), Restriction::Narrow("NOTHING#")] {
            let restricted = policy::restrict(&[function], restriction)?;
            let without = status(&admin, method.clone(), path, &body).await;
            let other = admin.get("/api/users/1").await?.status;
            restricted.restore()?;
            assert_eq!(without?, StatusCode::SERVICE_UNAVAILABLE, "{function}: {restriction:?}");
            assert_eq!(other, StatusCode::OK);
        }
        assert_eq!(status(&admin, method, path, &body).await?, before, "{function} with everything again");
    }
    Ok(())
}
