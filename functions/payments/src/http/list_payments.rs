use axum::{Router, extract::State, routing::get};
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, routes},
    table::{Page, PageRequest, Table},
};

use crate::{payment::Payment, store};

pub const PATHS: &[&str] = &["/api/payments"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, get(list_payments)).with_state(table)
}

/// `GET /api/payments`: an admin's view of all payments, anybody else's of their own, newest first.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    summary = "All payments for an admin, anybody else's own, newest first",
    params(PageRequest),
    responses((status = 200, body = Page<Payment>)),
)]
async fn list_payments(
    State(table): State<Table>,
    caller: Caller,
    request: PageRequest,
) -> Result<Page<Payment>, Problem> {
    if caller.is_admin() {
        return Ok(store::page(&table, &request).await?);
    }
    Ok(store::page_of(&table, caller.user_id()?, &request).await?)
}
