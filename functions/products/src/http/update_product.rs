use axum::{Json, Router, extract::State, routing::put};
use shared::{
    auth::Caller,
    http::{Endpoint, PathId, Problem, Valid, routes},
    retry::deciding_anew,
};

use crate::{
    Products,
    product::{NewProduct, Product},
    store,
};

pub const PATHS: &[&str] = &["/api/products/{id}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Products::from_env()?))
}

pub fn router(products: Products) -> Router {
    routes(PATHS, put(update_product)).with_state(products)
}

/// `PUT /api/products/{id}`: describe a product anew, as an admin.
#[utoipa::path(
    put,
    path = shared::openapi::at(PATHS),
    request_body = NewProduct,
    responses((status = 200, body = Product), (status = 409)),
)]
async fn update_product(
    State(products): State<Products>,
    caller: Caller,
    PathId(id): PathId,
    Valid(new): Valid<NewProduct>,
) -> Result<Json<Product>, Problem> {
    caller.must_be_admin()?;
    let update = || async {
        let stored = store::get(&products.table, id).await?.ok_or_else(|| Problem::not_found("product"))?;
        let updated = stored.updated(&new);
        products.table.commit(store::update(&stored, &updated)).await?;
        Ok::<_, Problem>(updated)
    };
    Ok(Json(deciding_anew(update).await?))
}
