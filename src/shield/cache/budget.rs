//! The bound on memory: every body that the shield holds takes its bytes here
//! first, whether it is in flight, stored, or evicted and still being sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::Gauge;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::shield::metrics::Metrics;

/// Bytes that one permit of the semaphore stands for.
pub(super) const UNIT_BYTES: u64 = 1024;

/// Most bytes that a body which is passed on, not stored, keeps in memory: the
/// read buffer of a connection to the bucket, and the chunk held back.
const WINDOW_BYTES_MAX: u64 = 512 * 1024;

/// Parts of the budget that the cache may fill, and their whole.
const CACHED_PARTS: u64 = 3;
const PARTS: u64 = 4;

/// A bound on the bytes of all bodies together.
#[derive(Debug)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    units_total: u32,
    freed: Arc<Notify>,
    held: Gauge,
}

/// Bytes taken from a [`Budget`]; dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Reservation {
    permit: OwnedSemaphorePermit,
    freed: Arc<Notify>,
    held: Gauge,
}

/// The owner of a piece of a body: its bytes, and the share of the budget
/// that stays taken until the last clone of the piece is dropped.
struct Piece {
    bytes: Vec<u8>,
    _share: Arc<Reservation>,
}

impl Budget {
    /// A budget of `bytes_max`, at most 4 TiB.
    pub(crate) fn new(bytes_max: u64, metrics: &Metrics) -> Self {
        let units_total = u32::try_from(bytes_max / UNIT_BYTES).unwrap_or(u32::MAX);
        let gauge = |part| metrics.gauge("awning_memory_budget_bytes", &[("use", part)]);
        gauge("limit").set(as_gauge(u64::from(units_total) * UNIT_BYTES));
        let held = gauge("held");
        held.set(0.0);
        let units = Arc::new(Semaphore::new(units_total as usize));
        Self { units, units_total, freed: Arc::default(), held }
    }

    /// Takes `bytes`, waiting at most `patience` for others to give back
    /// theirs. `None` when that was not long enough.
    pub(crate) async fn reserve(&self, bytes: u64, patience: Duration) -> Option<Reservation> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).ok()?;
        if units > self.units_total {
            return None;
        }
        let permit = timeout(patience, self.acquire(units)).await.ok()?;
        self.held.increment(as_gauge(u64::from(units) * UNIT_BYTES));
        Some(Reservation { permit, freed: Arc::clone(&self.freed), held: self.held.clone() })
    }

    /// Not the semaphore's own queue: there a large body that waits would keep
    /// small ones from the memory that is left.
    async fn acquire(&self, units: u32) -> OwnedSemaphorePermit {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Ok(permit) = Arc::clone(&self.units).try_acquire_many_owned(units) {
                return permit;
            }
            freed.await;
        }
    }

    /// Bytes that are taken.
    pub(crate) fn bytes_held(&self) -> u64 {
        let free = self.units.available_permits() as u64;
        u64::from(self.units_total).saturating_sub(free) * UNIT_BYTES
    }

    /// Bytes that the cache may hold: what remains is for fills.
    pub(crate) fn cached_bytes_max(&self) -> u64 {
        u64::from(self.units_total) * UNIT_BYTES / PARTS * CACHED_PARTS
    }

    /// The largest body that is held whole. Larger ones are passed on.
    pub(crate) fn body_bytes_max(&self) -> u64 {
        u64::from(self.units_total) * UNIT_BYTES / PARTS
    }

    /// What a body that is passed on takes of the budget.
    pub(crate) fn window_bytes(&self) -> u64 {
        WINDOW_BYTES_MAX.min(self.body_bytes_max())
    }
}

impl Reservation {
    /// Gives back what goes beyond `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        let keep = usize::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(usize::MAX);
        let spare = self.permit.num_permits().saturating_sub(keep);
        if let Some(permit) = self.permit.split(spare) {
            self.held.decrement(as_gauge(permit.num_permits() as u64 * UNIT_BYTES));
            drop(permit);
            self.freed.notify_waiters();
        }
    }

    /// Bytes that are taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.permit.num_permits() as u64 * UNIT_BYTES
    }

    /// Ties `bytes` to their share of the budget.
    pub(crate) fn keep(self: &Arc<Self>, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Piece { bytes, _share: Arc::clone(self) })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats, exact up to 8 PiB")]
fn as_gauge(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTLY: Duration = Duration::from_millis(1);

    fn budget() -> Budget {
        Budget::new(8 * UNIT_BYTES, &Metrics::default())
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_taken_than_there_is() {
        let budget = budget();
        let first = budget.reserve(6 * UNIT_BYTES + 1, SHORTLY).await.unwrap();
        assert_eq!(budget.bytes_held(), 7 * UNIT_BYTES);
        assert!(budget.reserve(2 * UNIT_BYTES, SHORTLY).await.is_none());
        assert!(budget.reserve(u64::MAX, SHORTLY).await.is_none());
        drop(first);
        assert!(budget.reserve(8 * UNIT_BYTES, SHORTLY).await.is_some());
        assert_eq!(budget.bytes_held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_that_waits_does_not_hold_up_a_small_one() {
        let budget = budget();
        let most = budget.reserve(6 * UNIT_BYTES, SHORTLY).await.unwrap();
        let large = budget.reserve(4 * UNIT_BYTES, Duration::from_secs(1));
        let small = async {
            let taken = budget.reserve(UNIT_BYTES, Duration::ZERO).await;
            drop(most);
            taken
        };
        let (large, small) = tokio::join!(large, small);
        assert!(large.is_some() && small.is_some());
        assert_eq!(budget.bytes_held(), 5 * UNIT_BYTES);
    }

    #[tokio::test]
    async fn bytes_stay_taken_until_their_last_reader_is_done() {
        let budget = budget();
        let mut share = budget.reserve(4 * UNIT_BYTES, SHORTLY).await.unwrap();
        share.shrink_to(2 * UNIT_BYTES);
        let share = Arc::new(share);
        let piece = share.keep(vec![0; 2048]);
        drop(share);
        let reader = piece.slice(5..6);
        drop(piece);
        assert_eq!(budget.bytes_held(), 2 * UNIT_BYTES);
        drop(reader);
        assert_eq!(budget.bytes_held(), 0);
    }
}
