//! Processes that die.

use std::{future::Future, pin::pin, task::Poll};

/// Runs a process to its end, or to its `steps`th step, at which it is killed: `None`.
pub async fn killed_after<T>(steps: usize, process: impl Future<Output = T>) -> Option<T> {
    let mut process = pin!(process);
    let mut left = steps;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        process.as_mut().poll(context).map(Some)
    })
    .await
}
