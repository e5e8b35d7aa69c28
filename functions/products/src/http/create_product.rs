use axum::{Router, extract::State, routing::post};
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, Valid, routes},
    idempotency::{Idempotency, Once},
};

use crate::{
    Products,
    product::{NewProduct, Product},
    store,
};

pub const PATHS: &[&str] = &["/api/products"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Products::from_env()?))
}

pub fn router(products: Products) -> Router {
    routes(PATHS, post(create_product)).with_state(products)
}

/// `POST /api/products`: add a product to the catalogue, as an admin.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    params(Idempotency),
    request_body = NewProduct,
    responses((status = 201, body = Product)),
)]
async fn create_product(
    State(products): State<Products>,
    caller: Caller,
    idempotency: Idempotency,
    Valid(new): Valid<NewProduct>,
) -> Result<Once<Product>, Problem> {
    caller.must_be_admin()?;
    let describe = |id| {
        let product = Product::new(id, &new);
        Ok((store::insertion(&product), product))
    };
    idempotency.create(&products.table, &new, describe).await
}
