//! A bound on the bytes of bodies that are in memory at once.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Bytes that one permit stands for: a semaphore takes at most `u32::MAX` at once.
const UNIT_BYTES: u64 = 4096;

/// Room for bodies.
pub(super) struct Budget {
    room: Semaphore,
    units: u32,
}

impl Budget {
    pub(super) fn of(bytes: usize) -> Self {
        let units = units(bytes as u64);
        Self { room: Semaphore::new(units as usize), units }
    }

    /// Waits for room. A body of more than the whole budget waits for all of it.
    pub(super) async fn take(&self, bytes: u64) -> Option<SemaphorePermit<'_>> {
        // `None` only from a closed semaphore, and this one is never closed.
        self.room.acquire_many(units(bytes).min(self.units)).await.ok()
    }
}

fn units(bytes: u64) -> u32 {
    let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).clamp(1, most)
}
