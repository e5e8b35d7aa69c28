use std::time::Duration;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use shared::{
    auth::Caller,
    http::{Created, Endpoint, Problem, Valid, routes},
    id::Id,
    idempotency::{Idempotency, Once, replayed},
    table::{TableError, Transaction},
    time::Timestamp,
};

use crate::{
    Payments,
    payment::{NewPayment, NotPayable, PayableOrder, Payment, PaymentStatus},
    settlement, store,
};

/// How long the function that makes a payment may take.
const AT_WORK: Duration = Duration::from_secs(10);

pub const PATHS: &[&str] = &["/api/payments"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Payments::from_env()?.asking_orders()?))
}

pub fn router(payments: Payments) -> Router {
    routes(PATHS, post(create_payment)).with_state(payments)
}

/// `POST /api/payments`: take the money for an order.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    params(Idempotency),
    request_body = NewPayment,
    responses(
        (status = 201, body = Payment),
        (status = 202, description = "The provider has not answered yet.", body = Payment),
        (status = 402, description = "The provider declined."),
    ),
)]
async fn create_payment(
    State(payments): State<Payments>,
    caller: Caller,
    idempotency: Idempotency,
    headers: HeaderMap,
    Valid(new): Valid<NewPayment>,
) -> Result<Response, Problem> {
    if !payments.provider.accepts(&new.payment_method) {
        return Err(Problem::invalid_field("/payment_method", "no such payment method"));
    }
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let order = payments.order(new.order_id, authorization).await?.ok_or_else(|| Problem::not_found("order"))?;
    caller.must_own(order.user_id, "order")?;
    let order = match payments.payable(order).await? {
        Ok(order) => order,
        Err(reason) => {
            let earlier: Option<Payment> = idempotency.earlier(&payments.table, &new).await?;
            return payments.again(earlier.ok_or_else(|| Problem::from(reason))?.id).await;
        }
    };
    let start = |id| {
        let payment = Payment::start(id, &order, &new.payment_method);
        Ok((store::claim(&payment, &order), payment))
    };
    match idempotency.create(&payments.table, &new, start).await? {
        Once::First(payment) => payments.charge(payment).await,
        Once::Again(payment) => payments.again(payment.id).await,
    }
}

impl Payments {
    /// The order from the replica, or from orders when no event has told of it yet.
    async fn order(&self, id: Id, authorization: Option<&str>) -> Result<Option<PayableOrder>, Problem> {
        if let Some(order) = store::order(&self.table, id).await? {
            return Ok(Some(order));
        }
        let Some(order) = self.ask_orders(id, authorization).await? else { return Ok(None) };
        match self.table.commit(Transaction::new().insert(&order)).await {
            Ok(()) => Ok(Some(order)),
            Err(TableError::Failed(_)) => Ok(store::order(&self.table, id).await?),
            Err(error) => Err(error.into()),
        }
    }

    /// The order if it can be paid for now; a payment in doubt that stands in the way is looked into.
    async fn payable(&self, order: PayableOrder) -> Result<Result<PayableOrder, NotPayable>, Problem> {
        let reason = match order.check() {
            Ok(()) => return Ok(Ok(order)),
            Err(reason) => reason,
        };
        if let NotPayable::Claimed(id) = reason
            && let Some(payment) = store::get(&self.table, id).await?
            && payment.is_in_doubt(Timestamp::now())
        {
            self.look_into(&payment).await?;
            let order = store::order(&self.table, order.order_id).await?.unwrap_or(order);
            return Ok(order.check().map(|()| order));
        }
        Ok(Err(reason))
    }

    async fn charge(&self, payment: Payment) -> Result<Response, Problem> {
        match self.provider.charge(&payment.charge()).await {
            Ok(outcome) => answer(settlement::settle(&self.table, payment.id, &outcome).await?),
            Err(error) => {
                tracing::warn!(payment_id = %payment.id, %error, "the payment is in doubt");
                answer(payment)
            }
        }
    }

    /// The answer to a request that came before: how its payment stands now; 409 while the function
    /// that makes it may still be at work.
    async fn again(&self, id: Id) -> Result<Response, Problem> {
        let payment = store::get(&self.table, id).await?.ok_or_else(|| Problem::not_found("payment"))?;
        let now = Timestamp::now();
        let payment = if payment.is_in_doubt(now) { self.look_into(&payment).await? } else { payment };
        if payment.status == PaymentStatus::Pending && now.since(payment.created_at) < AT_WORK {
            return Err(NotPayable::Claimed(id).into());
        }
        Ok(replayed(answer(payment).unwrap_or_else(IntoResponse::into_response)))
    }
}

/// 201 with the payment made, 402 with the decline, or 202 while the provider's answer is missing.
fn answer(payment: Payment) -> Result<Response, Problem> {
    match payment.status {
        PaymentStatus::Failed => {
            let code = payment.decline_code.unwrap_or_default();
            let detail = format!("the payment was declined: {code}");
            Err(Problem::new(StatusCode::PAYMENT_REQUIRED, code, detail))
        }
        PaymentStatus::Pending => Ok((StatusCode::ACCEPTED, Json(payment)).into_response()),
        _ => Ok(Created(payment).into_response()),
    }
}
