//! Fast tests of stores, endpoints and consumers, without a server.
//!
//! [`Database`] runs a DynamoDB engine inside the test process behind the real SDK client: requests
//! are serialized, conditions evaluated and transactions cancelled as DynamoDB does it. It counts
//! calls and can lose them. [`Api`] sends requests to an endpoint through every layer that serves it.
//! [`Functions`] is Lambda with other services' functions, which can be made to fail. [`Samples`] are
//! the sample events in `events`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api;
mod database;
mod functions;
mod samples;

pub use api::{Answer, Api, api_key, identity, identity_accepting_keys, signed, token};
pub use database::{Database, Fault, Read};
pub use functions::{Behaviour, Functions};
pub use samples::Samples;
