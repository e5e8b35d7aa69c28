//! The analytics service: what payments and refunds come to, by user and for the business, by day,
//! month and category.
//!
//! It keeps a read model that is fed by the payments' events alone. A question reads as many buckets
//! of it as its range has, however many payments are in them.
//!
//! It publishes nothing, so it has no relay.

pub mod answer;
pub mod bucket;
pub mod cache;
pub mod calendar;
pub mod consumers;
pub mod fact;
pub mod http;
pub mod metrics;
pub mod model;
pub mod progress;
pub mod question;
pub mod queue;
pub mod reading;
pub mod rebuild;
pub mod store;

/// The service's name, in event sources, function names and health.
pub const SERVICE: &str = "analytics";
