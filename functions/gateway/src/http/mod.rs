//! The gateway endpoints.

pub mod health;
pub mod registry;
