//! The events service as its callers, its queue and its operators see it.

#![allow(clippy::unwrap_used, clippy::panic)]

mod dead_letters;
mod listing;
mod log;
mod replay;
mod samples;
mod stats;
mod world;
