//! What payments does when orders, or the provider, tell of something.

pub mod order_events;
pub mod provider_events;
pub mod refund_requests;
