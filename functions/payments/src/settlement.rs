//! Applying the provider's answer to a payment, once, however often and by whomever it is brought.

use shared::{
    id::Id,
    table::{Table, TableError},
};

use crate::{
    Payments,
    payment::{Payment, PaymentStatus},
    provider::{NoAnswer, Outcome},
    store,
};

const RACE_ATTEMPTS: u32 = 8;

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

/// The decline code of a charge that never reached the provider.
pub const NOT_CHARGED: &str = "not_charged";

/// Settles a payment that is `PENDING`, leaves any other alone, and answers with the payment as it
/// is then.
pub async fn settle(table: &Table, payment_id: Id, outcome: &Outcome) -> Result<Payment, SettleError> {
    let mut attempt = 0;
    loop {
        let payment = store::get(table, payment_id).await?.ok_or(SettleError::Unknown(payment_id))?;
        if payment.status != PaymentStatus::Pending {
            return Ok(payment);
        }
        let order = store::order(table, payment.order_id).await?.ok_or(SettleError::Unknown(payment_id))?;
        let (settled, paid) = payment.settled(&order, outcome);
        match table.commit(store::settlement(&settled, &paid)).await {
            Ok(()) => return Ok(settled),
            Err(error) if error.is_race() && attempt < RACE_ATTEMPTS => attempt += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

impl Payments {
    /// Asks the provider what became of a payment, and settles it; one that was never charged fails.
    pub async fn look_into(&self, payment: &Payment) -> Result<Payment, SettleError> {
        let found = self.provider.find(&payment.charge()).await?;
        let outcome = found.unwrap_or_else(|| Outcome::Declined { code: NOT_CHARGED.to_owned() });
        settle(&self.table, payment.id, &outcome).await
    }
}
