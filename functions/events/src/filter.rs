//! Which events of the log are asked for.

use shared::time::Timestamp;

use crate::entry::LoggedEvent;

/// Conditions that all must hold; `None` for whatever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Events that occurred then or later.
    pub from: Option<Timestamp>,
    /// Events that occurred before.
    pub to: Option<Timestamp>,
    pub event_type: Option<String>,
    pub service: Option<String>,
    /// `Order:42`.
    pub aggregate: Option<String>,
    pub correlation_id: Option<String>,
}

impl Filter {
    /// Whether the entry is asked for, its time aside.
    pub fn matches(&self, entry: &LoggedEvent) -> bool {
        let is = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|wanted| wanted == value);
        is(&self.event_type, &entry.event_type)
            && is(&self.service, &entry.service)
            && is(&self.aggregate, &entry.aggregate)
            && is(&self.correlation_id, &entry.correlation_id)
    }

    /// How many conditions there are, those on the time aside.
    pub(crate) fn conditions(&self) -> usize {
        [&self.event_type, &self.service, &self.aggregate, &self.correlation_id].into_iter().flatten().count()
    }
}
