use axum::{Router, extract::State, routing::get};
use serde::Deserialize;
use shared::{
    http::{Endpoint, Problem, QueryParams, routes},
    table::{Page, PageRequest},
};
use utoipa::IntoParams;

use crate::{Products, product::Product, store};

pub const PATHS: &[&str] = &["/api/products"];

/// No product has a longer name.
const LONGEST_NAME: usize = 200;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Search {
    #[param(max_length = 200)]
    name: Option<String>,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Products::from_env()?))
}

pub fn router(products: Products) -> Router {
    routes(PATHS, get(list_products)).with_state(products)
}

/// `GET /api/products`, newest first; `?name=` finds by name.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    summary = "The catalogue, newest first; `?name=` finds by name",
    params(Search, PageRequest),
    responses((status = 200, body = Page<Product>)),
)]
async fn list_products(
    State(products): State<Products>,
    QueryParams(search): QueryParams<Search>,
    request: PageRequest,
) -> Result<Page<Product>, Problem> {
    if search.name.as_ref().is_some_and(|name| name.chars().count() > LONGEST_NAME) {
        return Err(Problem::malformed(format!("?name: at most {LONGEST_NAME} characters")));
    }
    match search.name {
        Some(name) => Ok(store::page_named(&products.table, &name, &request).await?),
        None => Ok(store::page(&products.table, &request).await?),
    }
}
