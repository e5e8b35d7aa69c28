//! The gateway endpoints.

pub mod health;
