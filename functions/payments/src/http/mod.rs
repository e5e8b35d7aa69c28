//! The payments endpoints.

pub mod create_payment;
pub mod get_payment;
pub mod health;
pub mod list_payments;
pub mod refund_payment;

use shared::http::Problem;

use crate::{payment::NotPayable, provider::NoAnswer, settlement::SettleError};

/// What the endpoints say of themselves.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    create_payment::create_payment,
    get_payment::get_payment,
    health::endpoint,
    list_payments::list_payments,
    refund_payment::refund_payment,
))]
pub struct Documentation;

impl From<NotPayable> for Problem {
    fn from(error: NotPayable) -> Self {
        let code = match error {
            NotPayable::Closed => "order_closed",
            NotPayable::Paid => "already_paid",
            NotPayable::Claimed(_) => return Self::conflict("in_progress", error.to_string()).retry_after(1),
        };
        Self::conflict(code, error.to_string())
    }
}

impl From<NoAnswer> for Problem {
    fn from(error: NoAnswer) -> Self {
        tracing::warn!(%error, "the provider is away");
        Self::unavailable("the payment provider is unavailable")
    }
}

impl From<SettleError> for Problem {
    fn from(error: SettleError) -> Self {
        match error {
            SettleError::Table(error) => error.into(),
            SettleError::Provider(error) => error.into(),
            SettleError::Unknown(_) => Self::internal(error),
        }
    }
}
