//! Accounts from registration to deletion, through every endpoint and consumer of auth.

#![allow(clippy::unwrap_used)]

mod audit;
mod endpoints;
mod keys;
mod mfa;
mod own_account;
mod registration;
mod secrecy;
mod sessions;
mod sign_in;
mod throttling;
mod user_events;
mod world;
