//! The analytics service as its callers, its queue and its table see it.

#![allow(clippy::unwrap_used, clippy::panic)]

mod caching;
mod cost;
mod counting;
mod days_to_come;
mod health;
mod query;
mod rebuild;
mod reference;
mod samples;
mod world;
