//! How much of the disk is taken, and what is removed when it is too much.
//!
//! Nothing is remembered of an entry. Its name spreads evenly over 256 shards
//! (directories), its file's modification time says when it was last used, at
//! most an hour ago. Eviction lists some shards, one after the other over time,
//! and removes the oldest of what it saw: an approximate LRU whose order is in
//! the file system, so it needs no memory an entry, and no scan before a start.
//! What a shard holds is counted in the background, a shard at a time; until
//! then all are taken to be full, so the bound holds while they are counted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics::Gauge;

use crate::shield::metrics::Metrics;

/// Directories that entries are spread over.
pub(super) const SHARDS: usize = 256;

/// What a file takes at least, and in steps of what.
const BLOCK_BYTES: u64 = 4096;

/// Eviction begins above this part of the bound, and ends below the other.
const HIGH: (u64, u64) = (15, 16);
const LOW: (u64, u64) = (7, 8);

/// The largest entry that others make room for.
const ENTRY: (u64, u64) = (1, 4);

/// The bytes of all shards.
#[derive(Debug)]
pub(super) struct Space {
    bytes_max: u64,
    held: Mutex<Held>,
    bytes: Gauge,
    responses: Gauge,
}

#[derive(Debug)]
struct Held {
    shards: Vec<Option<Shard>>,
    /// Bytes that writes in progress may come to.
    pending: u64,
    /// The largest write that found no room since room was made last.
    refused: u64,
    bytes: u64,
    entries: u64,
    uncounted: u64,
}

/// What one shard holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Shard {
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

impl Space {
    /// A space whose shards are not counted yet.
    pub(super) fn new(bytes_max: u64, metrics: &Metrics) -> Self {
        let held = Held {
            shards: vec![None; SHARDS],
            pending: 0,
            refused: 0,
            bytes: 0,
            entries: 0,
            uncounted: SHARDS as u64,
        };
        let tier = [("tier", "disk")];
        let gauge = |name| {
            let gauge = metrics.gauge(name, &tier);
            gauge.set(0.0);
            gauge
        };
        Self {
            bytes_max,
            held: Mutex::new(held),
            bytes: gauge("awning_cache_bytes"),
            responses: gauge("awning_cache_responses"),
        }
    }

    /// Takes room for a write; [`Space::settle`] gives it back.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let mut held = self.held();
        let fits = self.taken(&held).saturating_add(bytes) <= self.bytes_max;
        if fits {
            held.pending += bytes;
        } else if bytes <= part(self.bytes_max, ENTRY) {
            held.refused = held.refused.max(bytes);
        }
        fits
    }

    /// Ends a write that room was taken for.
    pub(super) fn settle(&self, bytes: u64) {
        let mut held = self.held();
        held.pending = held.pending.saturating_sub(bytes);
    }

    /// An entry was added, in the place of one of `replaced` bytes.
    pub(super) fn added(&self, shard: usize, bytes: u64, replaced: Option<u64>) {
        self.change(shard, |held| {
            held.bytes = (held.bytes + bytes).saturating_sub(replaced.unwrap_or(0));
            held.entries += u64::from(replaced.is_none());
        });
    }

    /// An entry was removed.
    pub(super) fn removed(&self, shard: usize, bytes: u64) {
        self.change(shard, |held| {
            held.bytes = held.bytes.saturating_sub(bytes);
            held.entries = held.entries.saturating_sub(1);
        });
    }

    /// A shard was counted.
    pub(super) fn counted(&self, shard: usize, found: Shard) {
        let mut held = self.held();
        let before = held.shards[shard].replace(found);
        held.uncounted -= u64::from(before.is_none());
        let before = before.unwrap_or_default();
        held.bytes = (held.bytes + found.bytes).saturating_sub(before.bytes);
        held.entries = (held.entries + found.entries).saturating_sub(before.entries);
        self.show(&held);
    }

    /// A shard that was not counted yet.
    pub(super) fn uncounted(&self) -> Option<usize> {
        self.held().shards.iter().position(Option::is_none)
    }

    /// Bytes to remove, when there are too many.
    pub(super) fn excess(&self) -> Option<u64> {
        let mut held = self.held();
        let taken = held.bytes + held.pending + std::mem::take(&mut held.refused);
        let (high, low) = (part(self.bytes_max, HIGH), part(self.bytes_max, LOW));
        let all_counted = held.uncounted == 0;
        (all_counted && taken > high).then(|| taken - low)
    }

    /// Bytes of the entries that were counted.
    pub(super) fn bytes(&self) -> u64 {
        self.held().bytes
    }

    /// Entries that were counted.
    #[cfg(test)]
    pub(super) fn entries(&self) -> u64 {
        self.held().entries
    }

    fn change(&self, shard: usize, change: impl FnOnce(&mut Shard)) {
        let mut held = self.held();
        // What changes in a shard before it is counted is counted with it.
        let Some(before) = held.shards[shard] else { return };
        let mut after = before;
        change(&mut after);
        held.shards[shard] = Some(after);
        held.bytes = (held.bytes + after.bytes).saturating_sub(before.bytes);
        held.entries = (held.entries + after.entries).saturating_sub(before.entries);
        self.show(&held);
    }

    fn taken(&self, held: &Held) -> u64 {
        let share = part(self.bytes_max, HIGH) / SHARDS as u64;
        held.bytes + held.pending + held.uncounted * share
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floats, exact up to 8 PiB")]
    fn show(&self, held: &Held) {
        self.bytes.set(held.bytes as f64);
        self.responses.set(held.entries as f64);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a file of this length takes.
pub(super) fn on_disk(file_bytes: u64) -> u64 {
    file_bytes.max(1).next_multiple_of(BLOCK_BYTES)
}

/// The shard of an entry, by the name of its file.
pub(super) fn shard_of(name: &str) -> usize {
    name.get(..2).and_then(|digits| usize::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// The directory of a shard.
pub(super) fn shard_name(shard: usize) -> String {
    format!("{shard:02x}")
}

fn part(bytes: u64, (parts, whole): (u64, u64)) -> u64 {
    bytes / whole * parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn space() -> Space {
        Space::new(16 * MIB, &Metrics::default())
    }

    fn count_all(space: &Space) {
        while let Some(shard) = space.uncounted() {
            space.counted(shard, Shard::default());
        }
    }

    #[test]
    fn the_bound_holds_before_anything_is_counted() {
        let space = space();
        assert!(space.take(MIB));
        assert!(!space.take(MIB), "the rest may be full");
        count_all(&space);
        assert!(space.take(15 * MIB));
        assert!(!space.take(1));
        space.settle(16 * MIB);
        assert!(space.take(16 * MIB));
    }

    #[test]
    fn there_is_too_much_between_the_high_and_the_low_mark() {
        let space = space();
        count_all(&space);
        space.added(0, 15 * MIB, None);
        assert_eq!(space.excess(), None);
        space.added(1, MIB, None);
        assert_eq!(space.excess(), Some(2 * MIB));
        space.removed(0, 15 * MIB);
        assert_eq!((space.excess(), space.bytes(), space.entries()), (None, MIB, 1));
        space.added(1, 2 * MIB, Some(MIB));
        assert_eq!((space.bytes(), space.entries()), (2 * MIB, 1), "one took another's place");
    }

    #[test]
    fn a_name_has_its_shard() {
        for (name, shard) in [("00/0012", 0), ("ff/ff", 255), ("zz/", 0), ("", 0)] {
            assert_eq!(shard_of(name), shard, "{name}");
        }
    }
}
