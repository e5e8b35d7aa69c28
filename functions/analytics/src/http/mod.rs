//! The analytics endpoints.

pub mod health;
pub mod health_detailed;
pub mod query;
