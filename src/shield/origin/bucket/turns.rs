//! How many reads go to the bucket at a time, and how many wait for it.
//!
//! Who finds the queue full is turned away at once: a miss that would wait
//! longer than its visitor is better refused than queued.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::shield::metrics::Metrics;
use crate::shield::origin::Fault;

/// How long a read waits for its turn.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads that wait for a turn; more are refused.
const QUEUE_MAX: usize = 2048;

/// The turns of reads for one purpose.
#[derive(Debug)]
pub(crate) struct Turns {
    turns: Arc<Semaphore>,
    turns_max: usize,
    waiting: AtomicUsize,
    shown: Gauge,
    refused: Counter,
}

/// A place in the queue, given back when it is dropped.
struct Place<'a>(&'a Turns);

impl Turns {
    /// So many at a time.
    pub(crate) fn of(turns_max: usize, purpose: &'static str, metrics: &Metrics) -> Self {
        let labels = [("origin", "bucket"), ("purpose", purpose)];
        Self {
            turns: Arc::new(Semaphore::new(turns_max)),
            turns_max,
            waiting: AtomicUsize::new(0),
            shown: metrics.gauge("awning_origin_queue", &labels),
            refused: metrics.counter("awning_origin_queue_refused_total", &labels),
        }
    }

    /// Waits for a turn, unless too many wait already or it takes too long.
    pub(crate) async fn take(&self) -> Result<OwnedSemaphorePermit, Fault> {
        if let Some(turn) = self.try_take() {
            return Ok(turn);
        }
        let waiting = timeout(QUEUE_TIMEOUT, Arc::clone(&self.turns).acquire_owned());
        let turn = match Place::in_queue(self) {
            Some(_place) => waiting.await.ok(),
            None => None,
        };
        // The semaphore is never closed, so its own error cannot come up.
        let turn = turn.and_then(Result::ok);
        if turn.is_none() {
            self.refused.increment(1);
        }
        turn.ok_or(Fault::Overloaded)
    }

    /// A turn that is free now.
    pub(crate) fn try_take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns).try_acquire_owned().ok()
    }

    /// Whether so few reads are under way that one more slows down none.
    pub(crate) fn is_quiet(&self) -> bool {
        self.turns.available_permits() > self.turns_max / 4 * 3
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floats, and the queue is short")]
    fn show(&self) {
        self.shown.set(self.waiting.load(Ordering::Relaxed) as f64);
    }
}

impl<'a> Place<'a> {
    fn in_queue(turns: &'a Turns) -> Option<Self> {
        let place = Self(turns);
        let before = turns.waiting.fetch_add(1, Ordering::Relaxed);
        turns.show();
        // Dropping it gives back what was counted.
        (before < QUEUE_MAX).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.show();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::join_all;
    use tokio::time::Instant;

    use super::*;

    fn turns() -> Turns {
        Turns::of(1, "fill", &Metrics::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_waited_for_at_most_five_seconds() {
        let (turns, begin) = (turns(), Instant::now());
        let first = turns.take().await.unwrap();
        assert_eq!(turns.take().await.unwrap_err(), Fault::Overloaded);
        assert_eq!(begin.elapsed(), QUEUE_TIMEOUT);
        drop(first);
        assert!(turns.take().await.is_ok());
        assert_eq!(turns.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_2048_reads_wait_for_a_turn() {
        let (turns, begin) = (turns(), Instant::now());
        let first = turns.take().await.unwrap();
        let mut waiting: Vec<_> = (0..QUEUE_MAX).map(|_| Box::pin(turns.take())).collect();
        assert!(waiting.iter_mut().all(|wait| wait.now_or_never().is_none()));
        assert_eq!(turns.take().await.unwrap_err(), Fault::Overloaded);
        assert_eq!(begin.elapsed(), Duration::ZERO);
        drop(first);
        // Each gives its turn to the next as soon as it is dropped.
        let served = join_all(waiting.into_iter().map(|wait| wait.map(|turn| turn.is_ok())));
        assert!(served.await.into_iter().all(|served| served));
    }
}
