use axum::{Json, Router, extract::State, routing::get};
use shared::{
    auth::Caller,
    http::{Endpoint, PathId, Problem, routes},
    table::Table,
};

use super::existing;
use crate::{Orders, order::Order};

pub const PATHS: &[&str] = &["/api/orders/{id}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Orders::new(Table::from_env()?)))
}

pub fn router(orders: Orders) -> Router {
    routes(PATHS, get(get_order)).with_state(orders)
}

/// `GET /api/orders/{id}`: one's own order.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    responses((status = 200, body = Order)),
)]
async fn get_order(State(orders): State<Orders>, caller: Caller, PathId(id): PathId) -> Result<Json<Order>, Problem> {
    let order = existing(&orders.table, id).await?;
    caller.must_own(order.user_id, "order")?;
    Ok(Json(order))
}
