//! What travels with a request or an event through every layer: the correlation id and the cause.

use std::future::Future;

use uuid::Uuid;

tokio::task_local! {
    static CURRENT: Context;
}

/// The request or event that is being handled.
#[derive(Clone, Debug)]
pub struct Context {
    /// The same for everything that one outside request sets off.
    pub correlation_id: String,
    /// The event being handled, which causes whatever is published meanwhile. `None` in a request.
    pub causation_id: Option<Uuid>,
}

impl Context {
    /// The longest correlation id taken from a client.
    pub const MAX_LENGTH: usize = 128;

    /// The context of a request: the client's correlation id if it is 1 to 128 characters of
    /// `A-Z a-z 0-9 . _ : -`, a new one if not.
    pub fn of_request(correlation_id: Option<&str>) -> Self {
        let correlation_id = correlation_id.filter(|id| is_safe(id)).map_or_else(new_correlation_id, str::to_owned);
        Self { correlation_id, causation_id: None }
    }

    /// The context of handling an event.
    pub fn of_event(correlation_id: &str, event_id: Uuid) -> Self {
        Self { causation_id: Some(event_id), ..Self::of_request(Some(correlation_id)) }
    }

    /// The context of the running task; a new one outside [`Context::scope`].
    pub fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_else(|_| Self::of_request(None))
    }

    /// Runs `future` in this context.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }
}

fn new_correlation_id() -> String {
    Uuid::new_v4().to_string()
}

fn is_safe(id: &str) -> bool {
    (1..=Context::MAX_LENGTH).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_correlation_id_is_kept_when_it_is_harmless() {
        assert_eq!(Context::of_request(Some("req-12345")).correlation_id, "req-12345");
    }

    #[test]
    fn line_breaks_and_overlong_correlation_ids_are_replaced() {
        for hostile in ["a\nb", "", &"x".repeat(10_000), "ä"] {
            assert_ne!(Context::of_request(Some(hostile)).correlation_id, hostile);
        }
    }
}
