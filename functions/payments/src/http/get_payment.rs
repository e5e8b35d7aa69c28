use axum::{Json, Router, extract::State, routing::get};
use shared::{
    auth::Caller,
    http::{Endpoint, PathId, Problem, routes},
    table::Table,
};

use crate::{payment::Payment, store};

pub const PATHS: &[&str] = &["/api/payments/{id}"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, get(get_payment)).with_state(table)
}

/// `GET /api/payments/{id}`: one's own payment.
#[utoipa::path(
    get,
    path = shared::openapi::at(PATHS),
    responses((status = 200, body = Payment)),
)]
async fn get_payment(State(table): State<Table>, caller: Caller, PathId(id): PathId) -> Result<Json<Payment>, Problem> {
    let payment = store::get(&table, id).await?.ok_or_else(|| Problem::not_found("payment"))?;
    caller.must_own(payment.user_id, "payment")?;
    Ok(Json(payment))
}
