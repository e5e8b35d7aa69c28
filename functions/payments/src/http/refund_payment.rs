use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use shared::{
    auth::Caller,
    event::RefundReason,
    http::{Endpoint, Nothing, PathId, Problem, Valid, routes},
    id::Id,
    retry::deciding_anew,
    table::Table,
};

use crate::{
    payment::{Payment, PaymentStatus},
    store,
};

pub const PATHS: &[&str] = &["/api/payments/{id}/refund"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Table::from_env()?))
}

pub fn router(table: Table) -> Router {
    routes(PATHS, post(refund_payment)).with_state(table)
}

/// `POST /api/payments/{id}/refund`: have a payment given back, as an admin. 202: it will be; asking
/// again while it is, or after it was, changes nothing.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    request_body = Option<Nothing>,
    responses(
        (status = 200, description = "It was given back before.", body = Payment),
        (status = 202, description = "It will be given back.", body = Payment),
        (status = 409),
    ),
)]
async fn refund_payment(
    State(table): State<Table>,
    caller: Caller,
    PathId(id): PathId,
    _: Option<Valid<Nothing>>,
) -> Result<Response, Problem> {
    caller.must_be_admin()?;
    deciding_anew(|| refund(&table, id)).await
}

async fn refund(table: &Table, id: Id) -> Result<Response, Problem> {
    let payment = store::get(table, id).await?.ok_or_else(|| Problem::not_found("payment"))?;
    match payment.status {
        PaymentStatus::Completed => {
            let refunding = payment.refunding(RefundReason::Requested);
            table.commit(store::refund_request(&refunding, RefundReason::Requested)).await?;
            Ok((StatusCode::ACCEPTED, Json(refunding)).into_response())
        }
        PaymentStatus::Refunding => Ok((StatusCode::ACCEPTED, Json(payment)).into_response()),
        PaymentStatus::Refunded => Ok(Json(payment).into_response()),
        PaymentStatus::Pending | PaymentStatus::Failed => {
            Err(Problem::conflict("not_completed", "only a completed payment can be given back"))
        }
    }
}
