//! What the gateway does when the services tell of something.

pub mod business_events;
