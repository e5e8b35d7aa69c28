//! Applying the provider's answer to a payment, once, however often and by whomever it is brought.

use shared::{
    event::RefundReason,
    id::Id,
    retry::{Race, deciding_anew},
    table::{Table, TableError},
};

use crate::{
    Payments,
    payment::{Payment, PaymentStatus},
    provider::{NoAnswer, Outcome},
    store,
};

/// Why a payment was not settled.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Provider(#[from] NoAnswer),
    #[error("no payment {0} and its order")]
    Unknown(Id),
}

impl Race for SettleError {
    fn is_race(&self) -> bool {
        matches!(self, Self::Table(error) if error.is_race())
    }
}

/// The decline code of a charge that never reached the provider.
pub const NOT_CHARGED: &str = "not_charged";

/// Settles a payment that is `PENDING`, and answers with the payment as it is then. One that had been
/// given up and turns out to be charged after all is given back; any other is left alone.
pub async fn settle(table: &Table, payment_id: Id, outcome: &Outcome) -> Result<Payment, SettleError> {
    deciding_anew(|| try_settle(table, payment_id, outcome)).await
}

async fn try_settle(table: &Table, payment_id: Id, outcome: &Outcome) -> Result<Payment, SettleError> {
    let payment = store::get(table, payment_id).await?.ok_or(SettleError::Unknown(payment_id))?;
    let (settled, transaction) = match (payment.status, outcome) {
        (PaymentStatus::Pending, _) => {
            let order = store::order(table, payment.order_id).await?.ok_or(SettleError::Unknown(payment_id))?;
            let (settled, paid) = payment.settled(&order, outcome);
            let transaction = store::settlement(&settled, &paid);
            (settled, transaction)
        }
        (PaymentStatus::Failed, Outcome::Approved) => {
            tracing::warn!(%payment_id, "a payment that had failed was charged after all; it is given back");
            let refunding = payment.refunding(RefundReason::LateCharge);
            let transaction = store::refund_request(&refunding, RefundReason::LateCharge);
            (refunding, transaction)
        }
        _ => return Ok(payment),
    };
    table.commit(transaction).await?;
    Ok(settled)
}

impl Payments {
    /// Asks the provider what became of a payment, and settles it; one that was never charged fails.
    pub async fn look_into(&self, payment: &Payment) -> Result<Payment, SettleError> {
        let found = self.provider.find(&payment.charge()).await?;
        let outcome = found.unwrap_or_else(|| Outcome::Declined { code: NOT_CHARGED.to_owned() });
        settle(&self.table, payment.id, &outcome).await
    }
}
