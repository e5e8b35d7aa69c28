//! Giving money back, once, however often and by whomever it is asked for.

use shared::table::Transaction;

use crate::{Payments, payment::Payment, provider::NoAnswer, store};

impl Payments {
    /// Has the provider give a payment back, which it does once however often it is asked, and
    /// answers with what is to be stored then.
    pub async fn give_back(&self, refunding: &Payment) -> Result<Transaction, NoAnswer> {
        self.provider.refund(&refunding.charge()).await?;
        Ok(store::refund_end(&refunding.refunded()))
    }
}
