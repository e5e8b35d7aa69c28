//! The notifications service as its callers, its queues and its table see it.

#![allow(clippy::unwrap_used)]

mod aws;
mod batch;
mod changed_minds;
mod connecting;
mod delivery;
mod history;
mod occasions;
mod office;
mod preferences;
mod quiet_hours;
mod samples;
mod sending;
mod users;
mod world;
