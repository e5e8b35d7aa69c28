//! The events endpoints.

pub mod event_stats;
pub mod health;
pub mod list_dead_letters;
pub mod list_events;
pub mod redrive;
pub mod replay_events;
