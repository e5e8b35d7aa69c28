//! What analytics learns from the others.

pub mod payment_events;
