//! The tier against damage, crashes, full disks, other processes and time.

mod damage;
mod life;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tempfile::TempDir;

use super::files::{Directory, name_of};
use super::read::Entry;
use super::sweep::{Slice, Sweeper};
use super::tier::Tier;
use super::write::Record;
use crate::shield::cache::{Epoch, Epochs};
use crate::shield::metrics::Metrics;

const MIB: u64 = 1 << 20;
const KEY: &[u8] = b"object a/css/app.css";
const NOW: SystemTime = UNIX_EPOCH;

/// A directory, and a tier that owns it.
struct Place {
    directory: TempDir,
    metrics: Arc<Metrics>,
    tier: Arc<Tier>,
}

impl Place {
    fn new() -> Self {
        Self::of_bytes(16 * MIB)
    }

    fn of_bytes(bytes_max: u64) -> Self {
        let place = Self::beside(tempfile::tempdir().unwrap(), bytes_max);
        assert!(place.tier.try_own().unwrap());
        place
    }

    /// A tier that does not own its directory yet.
    fn beside(directory: TempDir, bytes_max: u64) -> Self {
        let metrics = Arc::<Metrics>::default();
        let tier = tier_in(&directory, bytes_max, &metrics);
        Self { directory, metrics, tier }
    }

    /// The same directory after the process ended, however it did.
    fn again(self) -> Self {
        let Self { directory, tier, .. } = self;
        tier.directory.faults.end_after(0);
        drop(tier);
        let place = Self::beside(directory, 16 * MIB);
        assert!(place.tier.try_own().unwrap());
        place
    }

    fn put(&self, key: &[u8], body: &[u8]) {
        self.put_at(key, body, NOW);
    }

    fn put_at(&self, key: &[u8], body: &[u8], at: SystemTime) {
        let epoch = self.tier.epochs.current();
        self.tier.write(&record(key, body, epoch, at)).unwrap();
    }

    async fn find(&self, key: &[u8]) -> Option<Entry> {
        let epochs = Arc::clone(&self.tier.epochs);
        self.tier.find(key, NOW, |epoch| epochs.usable_from_disk(epoch)).await
    }

    async fn body(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.find(key).await?.into_bytes().await.ok()
    }

    fn path(&self, key: &[u8]) -> PathBuf {
        self.directory.path().join("v1").join(name_of(key))
    }

    fn bad(&self) -> u64 {
        self.metric("awning_disk_bad_entries_total")
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }

    fn names(&self, below: &str) -> Vec<String> {
        self.tier.directory.names(below, usize::MAX).unwrap()
    }

    fn sweep(&self) {
        let mut sweeper = Sweeper::new(Arc::clone(&self.tier));
        let slices = (0..2000).map(|_| sweeper.slice()).take_while(|slice| *slice != Slice::Done);
        assert!(slices.count() < 2000, "the sweeper comes to no end");
    }
}

fn tier_in(directory: &TempDir, bytes_max: u64, metrics: &Arc<Metrics>) -> Arc<Tier> {
    let opened = Directory::open(directory.path()).unwrap();
    Arc::new(Tier::new(opened, bytes_max, Arc::<Epochs>::default(), metrics).unwrap())
}

fn record(key: &[u8], body: &[u8], epoch: Epoch, stored_at: SystemTime) -> Record {
    let pieces: Vec<Bytes> = body.chunks(50_000).map(Bytes::copy_from_slice).collect();
    Record { key: key.into(), meta: b"meta".to_vec(), pieces: pieces.into(), epoch, stored_at }
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}
