//! The orders endpoints.

pub mod cancel_order;
pub mod create_order;
pub mod get_order;
pub mod health;
pub mod list_orders;
pub mod orders_by_user;
pub mod set_order_status;

use serde::Serialize;
use shared::{
    http::Problem,
    id::Id,
    table::{Page, Table, TableError},
};
use utoipa::ToSchema;

use crate::{
    catalogue::QuoteError,
    order::{IllegalTransition, Order, PlaceError},
    store::{self, ChangeError},
};

/// What the endpoints say of themselves.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    cancel_order::cancel_order,
    create_order::create_order,
    get_order::get_order,
    health::endpoint,
    list_orders::list_orders,
    orders_by_user::orders_by_user,
    set_order_status::set_order_status,
))]
pub struct Documentation;

impl From<QuoteError> for Problem {
    fn from(error: QuoteError) -> Self {
        match error {
            QuoteError::UnknownId => Self::invalid_field("/product_id", "no such product"),
            QuoteError::UnknownName => Self::invalid_field("/product", "no such product"),
            QuoteError::Page(error) => error.into(),
            QuoteError::Table(error) => error.into(),
            QuoteError::Client(error) => error.into(),
        }
    }
}

impl From<PlaceError> for Problem {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::OtherTotal(_) => Self::invalid_field("/total", error.to_string()),
            PlaceError::TooExpensive => Self::invalid_field("/quantity", error.to_string()),
        }
    }
}

impl From<IllegalTransition> for Problem {
    fn from(error: IllegalTransition) -> Self {
        Self::conflict("illegal_transition", error.to_string())
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Unknown => Self::not_found("order"),
            ChangeError::Illegal(error) => error.into(),
            ChangeError::Table(error) => error.into(),
        }
    }
}

/// An order with the name of the user who placed it.
#[derive(Serialize, ToSchema)]
struct NamedOrder {
    #[serde(flatten)]
    order: Order,
    /// `null` when the user is not, or no longer, known.
    user: Option<String>,
}

/// A page of orders with their users' names.
async fn named(table: &Table, page: Page<Order>) -> Result<Page<NamedOrder>, TableError> {
    let users = store::known_users(table, &page.data).await?;
    Ok(page.map(|order| {
        let user = users.iter().find(|user| user.user_id == order.user_id).and_then(|user| user.name.clone());
        NamedOrder { order, user }
    }))
}

/// The order with this id; 404 when there is none.
async fn existing(table: &Table, id: Id) -> Result<Order, Problem> {
    store::get(table, id).await?.ok_or_else(|| Problem::not_found("order"))
}
