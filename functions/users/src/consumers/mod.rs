//! What users does when auth tells of something.

pub mod account_events;
