//! Trying again: with exponential back-off, full jitter, and an end.

use std::{future::Future, time::Duration};

/// How often a change is decided anew because another writer was first.
const RACE_ATTEMPTS: u32 = 8;
const RACE_BACKOFF: Duration = Duration::from_millis(10);
/// Doublings of a back-off at most.
const DOUBLINGS: u32 = 6;

/// A failure after which reading again and deciding anew may succeed.
pub trait Race {
    /// Another writer was first; nothing was written.
    fn is_race(&self) -> bool;
}

/// Makes a change that is decided on what it reads, again while other writers are first.
pub async fn deciding_anew<T, E, F>(change: impl Fn() -> F) -> Result<T, E>
where
    E: Race,
    F: Future<Output = Result<T, E>>,
{
    let mut attempt = 0;
    loop {
        match change().await {
            Err(error) if error.is_race() && attempt < RACE_ATTEMPTS => {
                tokio::time::sleep(backoff(RACE_BACKOFF, attempt)).await;
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

/// A random time up to `base`, doubled for each attempt before: exponential back-off with full jitter.
pub fn backoff(base: Duration, attempt: u32) -> Duration {
    let ceiling = base * (1 << attempt.min(DOUBLINGS));
    ceiling * u32::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Lost(bool);

    impl Race for Lost {
        fn is_race(&self) -> bool {
            self.0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_race_is_run_again_and_another_failure_is_not() {
        let runs = Cell::new(0);
        let change = |outcome: fn(u32) -> Result<u32, Lost>| {
            runs.set(runs.get() + 1);
            std::future::ready(outcome(runs.get()))
        };
        let third = deciding_anew(|| change(|run| if run < 3 { Err(Lost(true)) } else { Ok(run) })).await;
        assert_eq!(third, Ok(3));
        runs.set(0);
        assert_eq!(deciding_anew(|| change(|_| Err(Lost(false)))).await, Err(Lost(false)));
        assert_eq!(runs.get(), 1);
        runs.set(0);
        assert_eq!(deciding_anew(|| change(|_| Err(Lost(true)))).await, Err(Lost(true)));
        assert_eq!(runs.get(), 1 + RACE_ATTEMPTS);
    }
}
