//! The analytics service as its callers, its queue and its table see it.

#![allow(clippy::unwrap_used, clippy::panic)]

mod caching;
mod cost;
mod counting;
mod health;
mod query;
mod rebuild;
mod reference;
mod samples;
mod world;
