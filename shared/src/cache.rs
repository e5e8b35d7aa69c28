//! What an instance found out a moment ago, for what anybody may ask for as often as they like.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

/// Something that costs calls to find out, and may be some moments old.
#[derive(Debug)]
pub struct Cached<T> {
    fresh_for: Duration,
    latest: Mutex<Option<(Instant, T)>>,
}

impl<T: Clone> Cached<T> {
    pub fn new(fresh_for: Duration) -> Self {
        Self { fresh_for, latest: Mutex::default() }
    }

    /// What this instance found out less than that long ago, or finds out now; who asks meanwhile waits.
    pub async fn get(&self, find_out: impl Future<Output = T>) -> T {
        let mut latest = self.latest.lock().await;
        if let Some((found_at, found)) = &*latest
            && found_at.elapsed() < self.fresh_for
        {
            return found.clone();
        }
        let found = find_out.await;
        *latest = Some((Instant::now(), found.clone()));
        found
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_found_out_once_however_many_ask_and_anew_when_it_is_old() {
        let (cached, calls) = (Cached::new(Duration::from_secs(1)), AtomicU32::new(0));
        let ask = || {
            cached.get(async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                calls.fetch_add(1, Ordering::SeqCst)
            })
        };
        assert_eq!(tokio::join!(ask(), ask(), ask()), (0, 0, 0));
        tokio::time::advance(Duration::from_millis(900)).await;
        assert_eq!(ask().await, 0);
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(ask().await, 1);
    }
}
