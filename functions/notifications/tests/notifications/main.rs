//! The notifications service as its callers, its queues and its table see it.

#![allow(clippy::unwrap_used)]

mod batch;
mod history;
mod preferences;
mod quiet_hours;
mod samples;
mod sending;
mod users;
mod world;
