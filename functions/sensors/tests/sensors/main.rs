//! The sensors service as its callers, its queue and its table see it.

#![allow(clippy::unwrap_used)]

mod hot_keys;
mod ingest;
mod listing;
mod processing;
mod samples;
mod statistics;
mod test_sensor;
mod world;
