//! The gateway endpoints.

pub mod dashboard;
pub mod health;
pub mod profile;
pub mod registry;
pub mod reset_breaker;
