//! What events does when a service tells of something.

pub mod all_events;
