//! The streams of one HTTP/2 connection, each of which can be ended by itself.
//!
//! hyper gives each stream to an executor as a future. Dropping that resets
//! the stream (RFC 9113 §5.4.2) and leaves the others alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::rt::Executor;
use tokio_util::sync::CancellationToken;

/// Runs the streams of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    /// What ends the stream that comes next: hyper asks for a response, and
    /// gives the stream that waits for it to the executor right behind.
    next: Arc<Mutex<Option<CancellationToken>>>,
}

impl Streams {
    /// What ends the stream that is executed next.
    pub(super) fn next(&self) -> CancellationToken {
        let end = CancellationToken::new();
        *self.slot() = Some(end.clone());
        end
    }

    fn slot(&self) -> MutexGuard<'_, Option<CancellationToken>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        match self.slot().take() {
            Some(end) => drop(tokio::spawn(async move {
                end.run_until_cancelled(stream).await;
            })),
            None => drop(tokio::spawn(stream)),
        }
    }
}
