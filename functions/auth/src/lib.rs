//! The auth service: accounts, sign-in, sessions and tokens.
//!
//! Other services check tokens against public keys in their configuration, so auth may be down.

pub mod account;
pub mod api_key;
pub mod audit;
pub mod consumers;
pub mod http;
pub mod mfa;
pub mod password;
pub mod sealing;
pub mod session;
pub mod sign_in;
pub mod signing;
pub mod store;
pub mod throttle;
pub mod ticket;

use shared::{aws::ConfigError, table::Table};

use crate::{sealing::Sealer, signing::Signer};

/// The service's name, in event sources, function names and health.
pub const SERVICE: &str = "auth";

/// What the functions that issue tokens share, built once per cold start.
#[derive(Clone)]
pub struct Auth {
    pub table: Table,
    pub signer: Signer,
    pub sealer: Sealer,
}

/// What the functions that deal with an account's second factor share.
#[derive(Clone)]
pub struct Enrolling {
    pub table: Table,
    pub sealer: Sealer,
}

impl Enrolling {
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self { table: Table::from_env()?, sealer: Sealer::from_env()? })
    }
}

impl Auth {
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self { table: Table::from_env()?, signer: Signer::from_env()?, sealer: Sealer::from_env()? })
    }
}
