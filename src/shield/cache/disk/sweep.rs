//! What is done behind the requests, in slices: taking the directory over,
//! counting what is there, making room, and removing what nobody reads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::fs::{FileType, fstatvfs};
use tokio::time::Instant;

use super::files::last_used;
use super::space::{SHARDS, Shard, shard_name, shard_of};
use super::tier::{REMOVED, Tier, VERSION, entry_path, size_of};

/// How often a directory that another process has is tried again.
const OWN_EVERY: Duration = Duration::from_millis(100);

/// How often the room on the file system is looked at.
const IDLE: Duration = Duration::from_secs(1);

/// How much longer than a slice of counting the pause after it is.
const PAUSE: u32 = 9;
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// Entries among which the oldest are chosen.
const SAMPLE: usize = 4096;

/// The part of a sample that may be removed: its newest are kept, because
/// others that were not looked at may be older.
const REMOVED_PART: usize = 4;

/// Names removed at a time of what nobody reads.
const CLEAN_MAX: usize = 256;

/// The part of a file system that is left free, and its most.
const FREE_PART: u64 = 64;
const FREE_BYTES_MAX: u64 = 1 << 30;

/// Files that can still be made, at least.
const FREE_FILES_MIN: u64 = 64;

/// Most of the cache that is given up at a time for room that others took.
const YIELD_PART: u64 = 8;

/// The work behind the requests.
#[derive(Debug)]
pub(super) struct Sweeper {
    tier: Arc<Tier>,
    /// The shard that is looked at next.
    next: usize,
    told: bool,
}

/// What became of a slice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Slice {
    /// Another process has the directory.
    NotOurs,
    /// There is more to do.
    More,
    /// There is more to do, and nobody waits for it.
    Later,
    /// Nothing is left to do.
    Done,
}

/// An entry as it is listed.
struct Listed {
    name: String,
    bytes: u64,
    used: u64,
}

impl Sweeper {
    pub(super) fn new(tier: Arc<Tier>) -> Self {
        // So that it is not always the first shards that are thinned out.
        Self { tier, next: fastrand::usize(..SHARDS), told: false }
    }

    /// Works until the tier ends.
    pub(super) fn run(mut self) {
        loop {
            let began = Instant::now();
            let slice = self.slice();
            let (pause, idle) = match slice {
                Slice::NotOurs => (OWN_EVERY, false),
                Slice::More => (Duration::ZERO, true),
                Slice::Later => ((began.elapsed() * PAUSE).max(PAUSE_MIN), true),
                Slice::Done => (IDLE, true),
            };
            if !self.tier.signal.wait(pause, idle) {
                return;
            }
        }
    }

    /// Does one slice of the work.
    pub(super) fn slice(&mut self) -> Slice {
        if self.tier.is_left() {
            return Slice::Done;
        }
        if !self.tier.is_open() {
            return self.own();
        }
        if let Some(excess) = self.excess() {
            return self.make_room(excess);
        }
        if let Some(shard) = self.tier.space.uncounted() {
            self.list(shard);
            return Slice::Later;
        }
        if self.clean() {
            return Slice::Later;
        }
        self.tier.heed_purges();
        Slice::Done
    }

    fn own(&mut self) -> Slice {
        match self.tier.try_own() {
            Ok(true) => {
                if self.told {
                    tracing::info!("the disk cache is written to from now on");
                }
                Slice::More
            }
            owned => {
                if !std::mem::replace(&mut self.told, true) {
                    let why = owned.err().map(|error| error.to_string());
                    let why = why.as_deref().unwrap_or("another process has it");
                    tracing::warn!(why, "the disk cache is not written to until it can be had");
                }
                Slice::NotOurs
            }
        }
    }

    /// Bytes to remove: beyond the bound, or what the file system lacks.
    fn excess(&self) -> Option<u64> {
        let lacking = self.lacking();
        self.tier.tight.store(lacking.is_some(), Ordering::Relaxed);
        let yielded = lacking.map(|bytes| bytes.min(self.tier.space.bytes() / YIELD_PART));
        let excess = self.tier.space.excess().max(yielded);
        excess.filter(|_| self.tier.space.bytes() > 0)
    }

    fn lacking(&self) -> Option<u64> {
        let stat = fstatvfs(self.tier.directory.fd()).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        let floor = (bytes(stat.f_blocks) / FREE_PART).min(FREE_BYTES_MAX);
        let lacking = floor.saturating_sub(bytes(stat.f_bavail));
        let few_files = stat.f_files > 0 && stat.f_favail < FREE_FILES_MIN;
        match lacking {
            0 if few_files => Some(1 << 20),
            0 => None,
            lacking => Some(lacking),
        }
    }

    /// Removes the oldest of a sample, until enough was removed or the rest of
    /// the sample may be newer than what was not looked at.
    fn make_room(&mut self, excess: u64) -> Slice {
        let mut sample = Vec::new();
        let mut seen = 0;
        while seen < SHARDS && sample.len() < SAMPLE {
            sample.extend(self.list(self.next));
            self.next = (self.next + 1) % SHARDS;
            seen += 1;
        }
        let removable =
            if seen == SHARDS { sample.len() } else { sample.len().div_ceil(REMOVED_PART) };
        sample.sort_unstable_by_key(|listed| listed.used);
        let mut freed = 0;
        for listed in sample.iter().take(removable) {
            if freed >= excess {
                break;
            }
            if self.tier.directory.unlink(&entry_path(&listed.name)).is_ok() {
                self.tier.space.removed(shard_of(&listed.name), listed.bytes);
                self.tier.counts.evicted.increment(1);
                freed += listed.bytes;
            }
        }
        // What cannot be removed is not tried again at once.
        if freed == 0 { Slice::Done } else { Slice::More }
    }

    /// Lists the entries of a shard, and counts them.
    fn list(&self, shard: usize) -> Vec<Listed> {
        let directory = &self.tier.directory;
        let place = format!("{VERSION}/{}", shard_name(shard));
        let names = directory.names(&place, usize::MAX).unwrap_or_default();
        let listed = names.into_iter().filter_map(|file| {
            let name = format!("{}/{file}", shard_name(shard));
            let stat = directory.stat(&entry_path(&name)).ok()?;
            let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            is_file.then(|| Listed { name, bytes: size_of(&stat), used: last_used(&stat) })
        });
        let listed: Vec<_> = listed.collect();
        let bytes = listed.iter().map(|listed| listed.bytes).sum();
        self.tier.space.counted(shard, Shard { bytes, entries: listed.len() as u64 });
        listed
    }

    /// Removes some of what no version reads. Whether more may be left.
    fn clean(&self) -> bool {
        let directory = &self.tier.directory;
        let was_ours = self.tier.was_ours.load(Ordering::Acquire);
        let dead = |name: &String| {
            let version = name.strip_prefix('v').is_some_and(|digits| {
                !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
            });
            name.starts_with(REMOVED) || (was_ours && version && name != VERSION)
        };
        let Ok(names) = directory.names(".", CLEAN_MAX) else { return false };
        let Some(name) = names.into_iter().find(dead) else { return false };
        let mut left = CLEAN_MAX;
        self.remove(&name, &mut left).is_ok()
    }

    /// Removes a name and what is below it, as far as `left` reaches.
    fn remove(&self, name: &str, left: &mut usize) -> io::Result<()> {
        let directory = &self.tier.directory;
        if directory.unlink(name).is_ok() {
            *left = left.saturating_sub(1);
            return Ok(());
        }
        for below in directory.names(name, *left)? {
            if *left == 0 {
                return Ok(());
            }
            self.remove(&format!("{name}/{below}"), left)?;
        }
        match directory.remove_directory(name) {
            Err(_) if *left == 0 => Ok(()),
            removed => removed,
        }
    }
}
