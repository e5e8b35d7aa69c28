//! Leaving a provider alone that says it is asked too often.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use shared::time::Timestamp;

use crate::notification::{Channel, Outcome, pause};

/// The pauses of one process, by channel. Others make their own: each finds out with one call.
#[derive(Debug, Default)]
pub struct Pauses(Mutex<HashMap<Channel, Pause>>);

#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Timestamp,
    /// How often in a row the provider was asked too often.
    throttled: u32,
}

impl Pauses {
    /// The end of the channel's pause, if there is one at this moment.
    pub fn until(&self, channel: Channel, now: Timestamp) -> Option<Timestamp> {
        let pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.get(&channel).map(|pause| pause.until).filter(|until| now < *until)
    }

    /// Learns from what came of asking the provider: each pause is longer than the one before, until it
    /// answers again.
    pub fn learn(&self, channel: Channel, outcome: &Outcome, now: Timestamp) {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Outcome::Throttled(_) = outcome {
            let before = pauses.get(&channel).map_or(0, |pause| pause.throttled);
            pauses.insert(channel, Pause { until: now.plus(pause(before)), throttled: before + 1 });
        } else {
            pauses.remove(&channel);
        }
    }
}
