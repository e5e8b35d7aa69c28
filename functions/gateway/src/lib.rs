//! The gateway service: what concerns all services together.

pub mod catalogue;
pub mod consumers;
pub mod document;
pub mod figures;
pub mod http;
pub mod store;

/// The services whose health the gateway tells, in the order it shows them.
pub const SERVICES: [&str; 9] =
    ["auth", "users", "products", "orders", "payments", "sensors", "events", "notifications", "analytics"];
