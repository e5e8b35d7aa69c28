//! The events service: the log of every event on the bus, figures about the stream, and what is done
//! about messages that could not be handled.
//!
//! It publishes nothing, so it has no relay.

pub mod consumers;
pub mod counters;
pub mod dead_letters;
pub mod entry;
pub mod filter;
pub mod http;
pub mod queues;
pub mod replay;
pub mod sqs;
pub mod stats;
pub mod store;

/// The service's name, in event sources, function names and health.
pub const SERVICE: &str = "events";
