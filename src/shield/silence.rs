//! How long nothing happened, where no single future can tell: an upload and
//! its response, the two directions of a tunnel.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Remembers when something last happened. Clones share the memory.
#[derive(Clone, Debug)]
pub(crate) struct Silence(Arc<Mutex<Instant>>);

impl Silence {
    /// A silence that begins now.
    pub(crate) fn begin() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Something happened.
    pub(crate) fn broken(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Waits until nothing has happened for as long as `limit`.
    pub(crate) async fn lasts(&self, limit: Duration) {
        loop {
            let due = *self.0.lock().unwrap_or_else(PoisonError::into_inner) + limit;
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silence_lasts_from_the_last_thing_that_happened() {
        let started = Instant::now();
        let silence = Silence::begin();
        let breaker = silence.clone();
        let broken = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(20)).await;
                breaker.broken();
            }
        };
        tokio::join!(silence.lasts(Duration::from_secs(30)), broken);
        assert_eq!(started.elapsed().as_secs(), 90);
    }
}
