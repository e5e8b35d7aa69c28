//! The users service: profiles.
//!
//! Auth owns what it takes to sign in; a profile follows the account by events.

pub mod consumers;
pub mod http;
pub mod store;
pub mod user;

/// The service's name, in event sources, function names and health.
pub const SERVICE: &str = "users";
