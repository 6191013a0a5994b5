//! What the shield keeps: stored responses, absences, and the memory they take.
//!
//! Whether something kept may be used follows from epochs; nothing is ever
//! removed to make it unusable.

mod absent;
mod budget;
mod epochs;
mod key;
mod memory;
mod stored;

use std::sync::Arc;
use std::time::SystemTime;

use super::metrics::Metrics;
use absent::Absent;
use memory::Memory;

pub(crate) use absent::Why;
pub(crate) use budget::{Budget, Reservation};
pub use epochs::{Epoch, Epochs};
pub(crate) use key::CacheKey;
pub(crate) use stored::{ENTRY_BYTES, Head, StoredResponse};

/// The cache of one shield.
#[derive(Debug)]
pub(crate) struct Cache {
    memory: Memory,
    absent: Absent,
    pub(crate) epochs: Epochs,
    pub(crate) budget: Budget,
}

/// What the cache knows under a key, as far as it may be used.
#[derive(Clone, Debug)]
pub(crate) enum Known {
    /// A response.
    Stored(Arc<StoredResponse>),
    /// That the origin, asked a moment ago, gave none.
    Refused(Why),
    /// Nothing.
    Nothing,
}

impl Cache {
    /// A cache that keeps bodies in flight and stored within `bytes_max`.
    pub(crate) fn new(bytes_max: u64, metrics: &Metrics) -> Self {
        let budget = Budget::new(bytes_max, metrics);
        let memory = Memory::new(budget.cached_bytes_max(), metrics);
        Self { memory, absent: Absent::default(), epochs: Epochs::default(), budget }
    }

    /// What is known under `key` and not purged since.
    pub(crate) fn lookup(&self, key: &CacheKey, now: SystemTime) -> Known {
        match self.memory.get(key) {
            Some(stored) if self.epochs.usable(stored.fill_epoch) => Known::Stored(stored),
            _ => match self.absent.knows(key, &self.epochs, now) {
                Some(why) => Known::Refused(why),
                None => Known::Nothing,
            },
        }
    }

    /// Stores what a fill brought.
    pub(crate) fn put(&self, key: CacheKey, stored: Arc<StoredResponse>) {
        self.memory.put(key, stored);
    }

    /// Remembers for a moment that the origin, asked in `epoch`, gave nothing.
    pub(crate) fn put_refusal(&self, key: CacheKey, epoch: Epoch, now: SystemTime, why: Why) {
        self.absent.note(key, epoch, now, why);
    }
}
