//! What sensors does with its own readings, behind a queue.

pub mod reading_events;
