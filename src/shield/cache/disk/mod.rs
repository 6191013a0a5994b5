//! The disk tier: responses that outlive the process, each in a file of its
//! own, and none believed until its bytes are verified.
//!
//! It knows nothing of what it keeps: a key, a meta and a body. The path is
//! the index, so a start reads nothing. Requests never wait for a write. The
//! tier may fail at any time: then it is as if nothing were in it. It may be
//! another process's, in a restart: then it is read, and nothing is changed.

mod breaker;
mod files;
mod format;
mod ledger;
mod read;
mod saved;
mod space;
mod sweep;
#[cfg(test)]
mod tests;
mod tier;
mod write;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, SystemTime};

use super::epochs::{Epoch, Epochs};
use crate::shield::metrics::Metrics;
use files::Directory;
use sweep::Sweeper;
use tier::{Dropped, Tier};

pub(crate) use format::CHUNK_BYTES;
#[cfg(fuzzing)]
pub(crate) use format::encode;
pub use format::{CheckedEntry, Damage, check_entry};
pub(crate) use ledger::Ledger;
pub(crate) use read::{Chunks, Entry};
pub(crate) use write::{Record, Writer};

/// Writes that may wait. Their bodies are part of the memory budget.
const QUEUE_MAX: usize = 256;

/// Reads of small entries at a time: of each key, one.
const TURNS: usize = 64;

/// How long one waits for its turn, and for the room that a write needs.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// Least bytes a tier works with.
const BYTES_MIN: u64 = 1 << 20;

/// Where the tier is, and how large it may get.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DiskConfig {
    /// A directory of its own. It is made where there is none.
    pub directory: PathBuf,
    /// Bound on the bytes of its files.
    pub bytes_max: u64,
}

/// Why a directory cannot be used for the tier.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// It cannot be made, is no directory, or cannot be written to.
    #[error("the disk cache cannot use `{}`: {}", .path.display(), .kind)]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// It is on a disk that fails, or that is full.
    #[error("the disk of the disk cache, `{}`, fails: {}", .path.display(), .kind)]
    Failing {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// It may hold too little.
    #[error("{0} bytes of disk are less than {BYTES_MIN}")]
    TooSmall(u64),
    /// The system has no thread for it.
    #[error("the disk cache cannot start: {0}")]
    Thread(io::ErrorKind),
}

/// Responses on disk.
#[derive(Debug)]
pub(crate) struct Disk {
    tier: Arc<Tier>,
    queue: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
    turns: Vec<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
enum Job {
    Write(Box<Record>),
    /// Told back when the entry of this key is gone.
    Forget(Vec<u8>, tokio::sync::oneshot::Sender<bool>),
    /// Told back when all before it are written.
    Flush(tokio::sync::oneshot::Sender<()>),
}

impl Disk {
    /// Opens the tier. `epochs` is kept in its directory from now on. While
    /// another process has the directory, the tier is only read.
    pub(crate) fn open(
        config: &DiskConfig,
        epochs: Arc<Epochs>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, DiskError> {
        if config.bytes_max < BYTES_MIN {
            return Err(DiskError::TooSmall(config.bytes_max));
        }
        let refused = |error: io::Error| DiskError::of(&config.directory, &error);
        let directory = Directory::open(&config.directory).map_err(refused)?;
        let tier = Tier::new(directory, config.bytes_max, epochs, metrics).map_err(refused)?;
        let tier = Arc::new(tier);
        let mut sweeper = Sweeper::new(Arc::clone(&tier));
        sweeper.slice();
        let (queue, jobs) = sync_channel(QUEUE_MAX);
        let writing = Arc::clone(&tier);
        let threads = [
            Builder::new().name("disk-write".into()).spawn(move || write_behind(&writing, &jobs)),
            Builder::new().name("disk-sweep".into()).spawn(move || sweeper.run()),
        ];
        let threads: Result<Vec<_>, _> = threads.into_iter().collect();
        let threads = threads.map_err(|error| DiskError::Thread(error.kind()))?;
        let turns = (0..TURNS).map(|_| tokio::sync::Mutex::default()).collect();
        Ok(Self { tier, queue: Some(queue), threads, turns })
    }

    /// The entry of a key, if its epoch is `usable`.
    pub(crate) async fn find(
        &self,
        key: &[u8],
        now: SystemTime,
        usable: impl FnOnce(Epoch) -> bool,
    ) -> Option<Entry> {
        self.tier.find(key, now, usable).await
    }

    /// Waits for a turn: while it is held, nobody else has one for this key.
    pub(crate) async fn turn(&self, key: &[u8]) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let digest = crate::asset::Digest::of(key);
        let turn = self.turns.get(usize::from(digest.as_bytes()[0]) % TURNS)?;
        tokio::time::timeout(TURN_PATIENCE, turn.lock()).await.ok()
    }

    /// Writes a record when its turn comes. When too many wait it is dropped:
    /// nobody waits for a write.
    pub(crate) fn put_behind(&self, record: Record) {
        let Some(queue) = &self.queue else { return };
        if !self.tier.is_open() {
            return self.tier.counts.dropped(Dropped::Bypassed);
        }
        match queue.try_send(Job::Write(Box::new(record))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.tier.counts.dropped(Dropped::Queue);
            }
        }
    }

    /// Removes the entry of a key, and what was put under it before. Tells
    /// whether it is gone: not if the disk fails or takes too long.
    pub(crate) async fn forget(&self, key: Vec<u8>) -> bool {
        let (told, gone) = tokio::sync::oneshot::channel();
        let Some(queue) = self.queue.clone() else { return false };
        // A full queue makes this wait, which is why it is not done here.
        let sending = tokio::task::spawn_blocking(move || queue.send(Job::Forget(key, told)));
        let forgetting =
            async { sending.await.is_ok_and(|sent| sent.is_ok()) && gone.await == Ok(true) };
        tokio::time::timeout(TURN_PATIENCE, forgetting).await.unwrap_or(false)
    }

    /// The same when its turn comes, with nobody waiting for it.
    pub(crate) fn forget_behind(&self, key: Vec<u8>) {
        let (told, _) = tokio::sync::oneshot::channel();
        let queued = self.queue.as_ref().map(|queue| queue.try_send(Job::Forget(key, told)));
        if !matches!(queued, Some(Ok(()))) {
            self.tier.counts.dropped(Dropped::Queue);
        }
    }

    /// Begins an entry whose body of so many bytes still has to come; `None`
    /// when it cannot be taken.
    pub(crate) async fn begin(&self, key: &[u8], body_bytes: u64) -> Option<Writer> {
        let (tier, key) = (Arc::clone(&self.tier), key.to_vec());
        let beginning = move || tier.begin(&key, body_bytes);
        let begun = self.tier.blocking(TURN_PATIENCE, beginning).await?;
        begun.map_err(|why| self.tier.counts.dropped(why)).ok()
    }

    /// Leaves the directory to the next process: nothing is written from now
    /// on. What still waits to be is, as far as it takes no longer than this.
    pub(crate) async fn leave(&self, at_most: Duration) {
        // What is not written by then is a miss of the next process.
        let _ = tokio::time::timeout(at_most, self.flush()).await;
        let tier = Arc::clone(&self.tier);
        // Sweeping in slices of its own, it may hold the lock for a moment.
        let _ = tokio::task::spawn_blocking(move || tier.leave()).await;
    }

    /// Waits until what was put is written.
    pub(crate) async fn flush(&self) {
        let (told, flushed) = tokio::sync::oneshot::channel();
        let Some(queue) = self.queue.clone() else { return };
        // A full queue makes this wait, which is why it is not done here.
        let sending = tokio::task::spawn_blocking(move || queue.send(Job::Flush(told)));
        if matches!(sending.await, Ok(Ok(()))) {
            let _ = flushed.await;
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.queue = None;
        self.tier.signal.end();
        for thread in self.threads.drain(..) {
            // A panic in it was told when it happened.
            let _ = thread.join();
        }
        self.tier.close();
    }
}

impl DiskError {
    fn of(path: &Path, error: &io::Error) -> Self {
        let (path, kind) = (path.to_owned(), error.kind());
        if breaker::may_pass(error) {
            Self::Failing { path, kind }
        } else {
            Self::Directory { path, kind }
        }
    }
}

fn write_behind(tier: &Arc<Tier>, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Write(record) => {
                if let Err(why) = tier.write(&record) {
                    tier.counts.dropped(why);
                }
            }
            Job::Forget(key, told) => {
                let _ = told.send(tier.remove(&files::name_of(&key)).is_ok());
            }
            Job::Flush(told) => {
                let _ = told.send(());
            }
        }
    }
}
