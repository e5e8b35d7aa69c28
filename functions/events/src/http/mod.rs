//! The events endpoints.

pub mod event_stats;
pub mod health;
pub mod list_dead_letters;
pub mod list_events;
pub mod redrive;
pub mod replay_events;

/// What the endpoints say of themselves.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    event_stats::event_stats,
    health::endpoint,
    list_dead_letters::list_dead_letters,
    list_events::list_events,
    redrive::redrive,
    replay_events::replay_events,
))]
pub struct Documentation;
