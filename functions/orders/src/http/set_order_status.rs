use axum::{Json, Router, extract::State, routing::put};
use garde::Validate;
use serde::Deserialize;
use shared::{
    auth::Caller,
    http::{Endpoint, PathId, Problem, Valid, routes},
    table::Table,
};
use utoipa::ToSchema;

use crate::{
    Orders,
    order::{Order, OrderStatus},
    store,
};

pub const PATHS: &[&str] = &["/api/orders/{id}/status"];

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = NewOrderStatus)]
#[serde(deny_unknown_fields)]
struct NewStatus {
    #[garde(skip)]
    status: OrderStatus,
}

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Orders::new(Table::from_env()?)))
}

pub fn router(orders: Orders) -> Router {
    routes(PATHS, put(set_order_status)).with_state(orders)
}

/// `PUT /api/orders/{id}/status`: move an order on, as an admin.
#[utoipa::path(
    put,
    path = shared::openapi::at(PATHS),
    request_body = NewStatus,
    responses((status = 200, body = Order), (status = 409)),
)]
async fn set_order_status(
    State(orders): State<Orders>,
    caller: Caller,
    PathId(id): PathId,
    Valid(new): Valid<NewStatus>,
) -> Result<Json<Order>, Problem> {
    caller.must_be_admin()?;
    let moved = store::change(&orders.table, id, |order| order.set_status(new.status)).await?;
    Ok(Json(moved))
}
