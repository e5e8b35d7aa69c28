use axum::{Router, extract::State, response::IntoResponse, routing::get};
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, routes},
    table::{Page, PageRequest, Table},
};

use super::{NamedOrder, named};
use crate::{Orders, store};

pub const PATHS: &[&str] = &["/api/orders"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Orders::new(Table::from_env()?)))
}

pub fn router(orders: Orders) -> Router {
    routes(PATHS, get(list_orders)).with_state(orders)
}

/// `GET /api/orders`: an admin's view of all orders, anybody else's of their own, newest first.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    summary = "All orders for an admin, anybody else's own, newest first",
    params(PageRequest),
    responses((status = 200, body = Page<NamedOrder>)),
)]
async fn list_orders(
    State(orders): State<Orders>,
    caller: Caller,
    request: PageRequest,
) -> Result<impl IntoResponse, Problem> {
    let page = if caller.is_admin() {
        store::page(&orders.table, &request).await?
    } else {
        store::page_of(&orders.table, caller.user_id()?, &request).await?
    };
    Ok(named(&orders.table, page).await?)
}
