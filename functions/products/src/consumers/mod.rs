//! What products does when orders tells of something.

pub mod order_events;
