//! The kit every Quayside service is built from.
//!
//! Parsing, validation, identity, idempotency, errors, logging, storage, publishing and consuming
//! each exist once, here. A service adds its domain types, its table's keys and one short handler
//! for each endpoint and consumer.

pub mod auth;
pub mod aws;
pub mod breaker;
pub mod cache;
pub mod client;
pub mod consumer;
pub mod context;
pub mod event;
pub mod failure;
pub mod health;
pub mod http;
pub mod id;
pub mod idempotency;
pub mod money;
pub mod openapi;
pub mod outbox;
pub mod retry;
pub mod runtime;
pub mod schedule;
pub mod table;
pub mod telemetry;
pub mod text;
pub mod time;
