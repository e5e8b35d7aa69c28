//! What notifications does when something is told.

pub mod delivery_requests;
pub mod user_events;
