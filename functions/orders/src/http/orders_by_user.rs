use axum::{Router, extract::State, response::IntoResponse, routing::get};
use shared::{
    auth::Caller,
    http::{Endpoint, PathId, Problem, routes},
    table::{Page, PageRequest, Table},
};

use super::{NamedOrder, named};
use crate::{Orders, store};

pub const PATHS: &[&str] = &["/api/orders/user/{id}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Orders::new(Table::from_env()?)))
}

pub fn router(orders: Orders) -> Router {
    routes(PATHS, get(orders_by_user)).with_state(orders)
}

/// `GET /api/orders/user/{user_id}`: one user's orders, newest first.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    params(PageRequest),
    responses((status = 200, body = Page<NamedOrder>)),
)]
async fn orders_by_user(
    State(orders): State<Orders>,
    caller: Caller,
    PathId(user_id): PathId,
    request: PageRequest,
) -> Result<impl IntoResponse, Problem> {
    caller.must_own(user_id, "user")?;
    let page = store::page_of(&orders.table, user_id, &request).await?;
    Ok(named(&orders.table, page).await?)
}
