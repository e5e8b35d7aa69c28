use axum::{Router, extract::State, routing::post};
use shared::{
    auth::Caller,
    http::{Endpoint, Problem, Valid, routes},
    id::Id,
    idempotency::{Idempotency, Once},
};

use crate::{
    Orders,
    order::{NewOrder, Order},
    store,
};

pub const PATHS: &[&str] = &["/api/orders"];

/// What `main` serves.
pub fn endpoint() -> Endpoint {
    Ok(router(Orders::from_env()?))
}

pub fn router(orders: Orders) -> Router {
    routes(PATHS, post(create_order)).with_state(orders)
}

/// `POST /api/orders`: price an order and start its saga.
#[utoipa::path(
    post,
    path = shared::openapi::at(PATHS),
    params(Idempotency),
    request_body = NewOrder,
    responses((status = 201, body = Order)),
)]
async fn create_order(
    State(orders): State<Orders>,
    caller: Caller,
    idempotency: Idempotency,
    Valid(new): Valid<NewOrder>,
) -> Result<Once<Order>, Problem> {
    caller.must_act_for(new.user_id)?;
    if caller.user_id()? != new.user_id {
        must_be_known(&orders, new.user_id).await?;
    }
    let quote = orders.catalogue.quote(&new).await?;
    let place = |id| {
        let order = Order::place(id, &new, &quote, orders.payment_window)?;
        Ok((store::insertion(&order), order))
    };
    idempotency.create(&orders.table, &new, place).await
}

/// An admin who orders for somebody else may have mistyped.
async fn must_be_known(orders: &Orders, user_id: Id) -> Result<(), Problem> {
    let user = store::known_user(&orders.table, user_id).await?;
    match user.and_then(|user| user.name) {
        Some(_) => Ok(()),
        None => Err(Problem::invalid_field("/user_id", "no such user")),
    }
}
