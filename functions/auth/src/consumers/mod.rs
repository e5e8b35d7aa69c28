//! What auth does when users tells of something, and when an API key was used.

pub mod key_use;
pub mod user_events;
