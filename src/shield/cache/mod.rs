//! What the shield keeps: stored responses, absences, and the memory they take.
//!
//! Whether something kept may be used follows from epochs; nothing is ever
//! removed to make it unusable.

mod absent;
mod budget;
mod disk;
mod epochs;
mod key;
mod memory;
mod saved;
mod stored;

use std::sync::Arc;
use std::time::SystemTime;

use super::metrics::Metrics;
use super::pages::Variants;
use absent::Absent;
use memory::Memory;

pub(crate) use absent::Why;
pub(crate) use budget::{Budget, Reservation};
#[cfg(fuzzing)]
pub(crate) use disk::encode;
pub(crate) use disk::{CHUNK_BYTES, Chunks, Disk, Entry, Record, Writer};
pub use disk::{CheckedEntry, Damage, DiskConfig, DiskError, check_entry};
pub use epochs::{Epoch, EpochNotKept, Epochs};
pub(crate) use key::CacheKey;
pub(crate) use saved::SavedHead;
pub(crate) use stored::{ENTRY_BYTES, Head, StoredResponse, Written};

/// The cache of one shield.
#[derive(Debug)]
pub(crate) struct Cache {
    memory: Memory,
    absent: Absent,
    pub(crate) epochs: Arc<Epochs>,
    pub(crate) budget: Budget,
    pub(crate) disk: Option<Disk>,
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
    /// A cache that keeps bodies in flight and stored within `bytes_max` of
    /// memory, and on `disk` where there is one that does not fail.
    pub(crate) fn new(
        bytes_max: u64,
        disk: Option<&DiskConfig>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, DiskError> {
        let budget = Budget::new(bytes_max, metrics);
        let memory = Memory::new(budget.cached_bytes_max(), metrics);
        let epochs = Arc::<Epochs>::default();
        let disk = match disk.map(|disk| Disk::open(disk, Arc::clone(&epochs), metrics)) {
            // A shield without it is better than none.
            Some(Err(error @ DiskError::Failing { .. })) => {
                tracing::error!(%error, "the shield does without its disk cache until it is started again");
                epochs.keep_later();
                None
            }
            opened => opened.transpose()?,
        };
        Ok(Self { memory, absent: Absent::default(), epochs, budget, disk })
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

    /// The responses of an upstream that are stored for one URI, purged or not.
    pub(crate) fn pages(&self, key: &CacheKey) -> Option<Arc<Variants>> {
        self.memory.pages(key)
    }

    /// Stores the responses of an upstream for one URI.
    pub(crate) fn put_pages(&self, key: CacheKey, variants: Arc<Variants>) {
        self.memory.put_pages(key, variants);
    }

    /// Remembers for a moment that the origin, asked in `epoch`, gave nothing.
    pub(crate) fn put_refusal(&self, key: CacheKey, epoch: Epoch, now: SystemTime, why: Why) {
        self.absent.note(key, epoch, now, why);
    }
}
