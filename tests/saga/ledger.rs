//! A payment provider whose books can be read.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

use async_trait::async_trait;
use payments::provider::{Charge, NoAnswer, Notification, Outcome, Provider, Simulator};
use shared::id::Id;

/// The simulator, remembering what it was asked for; a charge or a refund asked for twice is one.
#[derive(Default)]
pub struct Ledger {
    charges: Mutex<HashMap<Id, Outcome>>,
    refunds: Mutex<HashSet<Id>>,
    /// Charges that were looked for once already.
    looked_for: Mutex<HashSet<Id>>,
}

impl Ledger {
    /// Whether the provider took money for this payment.
    pub fn charged(&self, payment: Id) -> bool {
        self.charges.lock().unwrap().get(&payment) == Some(&Outcome::Approved)
    }

    /// What the provider notifies of: every charge it decided on, in no order.
    pub fn notifications(&self) -> Vec<Notification> {
        let charges = self.charges.lock().unwrap();
        charges.iter().map(|(id, outcome)| Notification { payment_id: *id, outcome: outcome.clone() }).collect()
    }

    /// Whether the provider gave the money of this payment back.
    pub fn refunded(&self, payment: Id) -> bool {
        self.refunds.lock().unwrap().contains(&payment)
    }
}

#[async_trait]
impl Provider for Ledger {
    fn accepts(&self, method: &str) -> bool {
        Simulator::silent().accepts(method)
    }

    async fn charge(&self, charge: &Charge) -> Result<Outcome, NoAnswer> {
        tokio::task::yield_now().await;
        let lost = || NoAnswer("lost".into());
        let outcome = Simulator::silent().find(charge).await?.ok_or_else(lost)?;
        self.charges.lock().unwrap().insert(charge.payment_id, outcome.clone());
        tokio::task::yield_now().await;
        if charge.method == "tok_timeout" { Err(lost()) } else { Ok(outcome) }
    }

    /// Does not know yet, the first time it is asked, of a charge whose answer was lost.
    async fn find(&self, charge: &Charge) -> Result<Option<Outcome>, NoAnswer> {
        let first = self.looked_for.lock().unwrap().insert(charge.payment_id);
        let lags = first && charge.method == "tok_timeout";
        Ok(self.charges.lock().unwrap().get(&charge.payment_id).filter(|_| !lags).cloned())
    }

    async fn refund(&self, charge: &Charge) -> Result<(), NoAnswer> {
        assert!(self.charged(charge.payment_id), "a refund of money never taken");
        self.refunds.lock().unwrap().insert(charge.payment_id);
        tokio::task::yield_now().await;
        Ok(())
    }
}
