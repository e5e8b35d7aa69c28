use axum::{Json, Router, extract::State, routing::delete};
use shared::{
    auth::Caller,
    http::{Endpoint, PathId, Problem, routes},
    table::Table,
};

use super::existing;
use crate::{
    Orders,
    order::{CancelReason, Order},
    store,
};

pub const PATHS: &[&str] = &["/api/orders/{id}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Orders::new(Table::from_env()?)))
}

pub fn router(orders: Orders) -> Router {
    routes(PATHS, delete(cancel_order)).with_state(orders)
}

/// `DELETE /api/orders/{id}`: cancel an order; its stock is released and its payment given back.
#[utoipa::path(
    delete,
    path = shared::openapi::at(PATHS),
    responses((status = 200, body = Order), (status = 409)),
)]
async fn cancel_order(
    State(orders): State<Orders>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Json<Order>, Problem> {
    let order = existing(&orders.table, id).await?;
    caller.must_own(order.user_id, "order")?;
    let cancelled = store::change(&orders.table, id, |order| order.cancel(CancelReason::Requested)).await?;
    Ok(Json(cancelled))
}
