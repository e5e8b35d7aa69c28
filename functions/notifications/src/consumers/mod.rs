//! What notifications does when something is told.

pub mod user_events;
