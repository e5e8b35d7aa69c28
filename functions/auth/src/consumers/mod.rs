//! What auth does when users tells of something.

pub mod user_events;
