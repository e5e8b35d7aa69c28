use axum::{Json, Router, extract::State, routing::get};
use shared::http::{Endpoint, PathId, Problem, routes};

use crate::{Products, product::Product, store};

pub const PATHS: &[&str] = &["/api/products/{id}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Products::from_env()?))
}

pub fn router(products: Products) -> Router {
    routes(PATHS, get(get_product)).with_state(products)
}

/// `GET /api/products/{id}`.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    summary = "A product of the catalogue",
    responses((status = 200, body = Product)),
)]
async fn get_product(State(products): State<Products>, PathId(id): PathId) -> Result<Json<Product>, Problem> {
    let product = store::get(&products.table, id).await?;
    product.map(Json).ok_or_else(|| Problem::not_found("product"))
}
