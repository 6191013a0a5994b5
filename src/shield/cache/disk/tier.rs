//! The directory of the tier while a process owns it: its lock, its layout,
//! and what is counted and given up when the disk fails.
//!
//! ```text
//! lock          held by the one process that changes what is here
//! epoch         the ledger
//! v1/xx/<hash>  entries, by the BLAKE3 digest of their key
//! tmp/          entries that are being written
//! old-*/        what is being removed
//! ```

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use metrics::Counter;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::breaker::{Breaker, is_of_the_disk, may_pass};
use super::files::Directory;
use super::format::Damage;
use super::ledger::Ledger;
use super::space::{Space, on_disk, shard_of};
use crate::shield::cache::Epochs;
use crate::shield::metrics::Metrics;

/// The directory of this version of the format.
pub(super) const VERSION: &str = "v1";

/// Where entries are written before they have their names.
pub(super) const UNFINISHED: &str = "tmp";

/// What directories are called that are being removed.
pub(super) const REMOVED: &str = "old-";

/// Says that the directory is a cache: backups leave it out, and other
/// versions' directories in it are ours to remove. See bford.info/cachedir.
pub(super) const TAG: &str = "CACHEDIR.TAG";
const TAG_TEXT: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n# A cache of awning.\n";

/// Reads and writes that wait for the disk at a time.
const BLOCKING_MAX: usize = 32;

/// What the two threads and all requests share.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) directory: Directory,
    pub(super) space: Space,
    pub(super) epochs: Arc<Epochs>,
    pub(super) signal: Signal,
    pub(super) counts: Counts,
    /// Absent as long as the disk does not give it: then nothing is read, for
    /// what was purged cannot be told from the rest.
    ledger: OnceLock<Arc<Ledger>>,
    /// Whether other versions' directories are ours to remove.
    pub(super) was_ours: AtomicBool,
    lock: Mutex<Option<File>>,
    open: AtomicBool,
    /// Whether another process may have the directory by now.
    left: AtomicBool,
    /// Whether the file system has less room than it should.
    pub(super) tight: AtomicBool,
    reading: Mutex<Breaker>,
    writing: Mutex<Breaker>,
    blocking: Arc<Semaphore>,
    numbers: AtomicU64,
}

/// What is counted.
#[derive(Debug)]
pub(super) struct Counts {
    bad: Counter,
    pub(super) evicted: Counter,
    metrics: Arc<Metrics>,
}

/// Why a write was not made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Dropped {
    /// Too many are waiting.
    Queue,
    /// There is no room for it.
    Full,
    /// The disk is left alone, or another process has the tier.
    Bypassed,
    /// It failed.
    Failed,
}

/// Wakes the sweeper.
#[derive(Debug, Default)]
pub(super) struct Signal {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Tier {
    /// A tier in a directory. A disk that fails, or is full, is none of its
    /// errors: the tier is empty until the disk is well.
    pub(super) fn new(
        directory: Directory,
        bytes_max: u64,
        epochs: Arc<Epochs>,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Self> {
        let opened = Ledger::open(&directory).and_then(|ledger| Ok((ledger.current()?, ledger)));
        let ledger = OnceLock::new();
        match opened {
            Ok((epoch, opened)) => {
                let opened = ledger.get_or_init(|| Arc::new(opened));
                epochs.keep_in(Arc::clone(opened), epoch);
            }
            Err(error) if may_pass(&error) => epochs.keep_later(),
            Err(error) => return Err(error),
        }
        Ok(Self {
            directory,
            space: Space::new(bytes_max, metrics),
            epochs,
            signal: Signal::default(),
            counts: Counts::new(metrics),
            ledger,
            was_ours: AtomicBool::new(false),
            lock: Mutex::default(),
            open: AtomicBool::new(false),
            left: AtomicBool::new(false),
            tight: AtomicBool::new(false),
            reading: Mutex::default(),
            writing: Mutex::default(),
            blocking: Arc::new(Semaphore::new(BLOCKING_MAX)),
            numbers: AtomicU64::new(fastrand::u64(..1 << 48)),
        })
    }

    /// Takes the directory over, if no other process has it.
    pub(super) fn try_own(&self) -> io::Result<bool> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_left() {
            return Ok(false);
        }
        let file = self.directory.open_to_write("lock")?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
        self.lay_out()?;
        match self.ledger.get() {
            // Purges that the process before this one acknowledged.
            Some(ledger) => self.epochs.raise_to(ledger.current()?),
            None => self.open_ledger()?,
        }
        *lock = Some(file);
        self.open.store(true, Ordering::Release);
        Ok(true)
    }

    /// Opens a ledger that could not be opened before. Its present is over:
    /// purges may have been asked for that it does not know.
    fn open_ledger(&self) -> io::Result<()> {
        let ledger = Arc::new(Ledger::open(&self.directory)?);
        let epoch = ledger.next(self.epochs.current().number())?;
        self.epochs.keep_in(Arc::clone(self.ledger.get_or_init(|| ledger)), epoch);
        Ok(())
    }

    fn lay_out(&self) -> io::Result<()> {
        let directory = &self.directory;
        match directory.rename(UNFINISHED, &self.dead_name()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        directory.make_directory(UNFINISHED)?;
        let was_ours = directory.stat(TAG).is_ok();
        self.was_ours.store(was_ours, Ordering::Release);
        if !was_ours {
            directory.write(&directory.open_to_write(TAG)?, TAG_TEXT, 0)?;
        }
        match directory.stat(VERSION) {
            Err(_) => {
                directory.make_directory(VERSION)?;
                // There is nothing to count.
                while let Some(shard) = self.space.uncounted() {
                    self.space.counted(shard, super::space::Shard::default());
                }
            }
            Ok(_) => directory.make_directory(VERSION)?,
        }
        Ok(())
    }

    /// Takes note of purges that another process acknowledged: the one before
    /// this one while it ends, or the owner.
    pub(super) fn heed_purges(&self) {
        if let Some(Ok(epoch)) = self.ledger.get().map(|ledger| ledger.current()) {
            self.epochs.raise_to(epoch);
        }
    }

    /// Whether this process owns the directory, and may change what is in it.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) && !self.is_left()
    }

    /// Whether the directory was left to the next process.
    pub(super) fn is_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    /// Whether reads are to be tried. They need no ownership: what has a name
    /// is whole, and is verified.
    pub(super) fn may_read(&self) -> bool {
        self.ledger.get().is_some() && breaker(&self.reading).admits(Instant::now())
    }

    /// Whether writes are to be tried.
    pub(super) fn may_write(&self) -> bool {
        self.is_open()
            && !self.tight.load(Ordering::Relaxed)
            && breaker(&self.writing).admits(Instant::now())
    }

    /// Notes how a read went.
    pub(super) fn read_ended(&self, error: Option<&io::Error>) {
        ended(&self.reading, error, "reads from the disk cache fail; it is left alone for a while");
    }

    /// Notes that a read took too long. One may; when all that may wait for the
    /// disk do, it hangs.
    pub(super) fn read_was_late(&self) {
        if self.blocking.available_permits() == 0 {
            self.read_ended(Some(&Errno::IO.into()));
        }
    }

    /// Notes how a write went. A full disk is given room.
    pub(super) fn write_ended(&self, error: Option<&io::Error>) {
        ended(&self.writing, error, "writes to the disk cache fail; they are left for a while");
        if error.is_some_and(|error| error.kind() == io::ErrorKind::StorageFull) {
            self.tight.store(true, Ordering::Relaxed);
            self.signal.wake();
        }
    }

    /// Removes what is not the entry it should be, and counts it.
    pub(super) fn discard_bad(&self, name: &str, damage: Damage) {
        self.counts.bad(name, damage);
        if let Err(error) = self.discard(name) {
            tracing::debug!(entry = name, %error, "it cannot be removed");
        }
    }

    /// Removes an entry, or whatever has its name.
    pub(super) fn discard(&self, name: &str) -> io::Result<()> {
        if !self.is_open() {
            // It is another process's, perhaps of an epoch that is not known here.
            return Ok(());
        }
        self.remove(name)
    }

    /// Removes an entry, whoever owns the directory: nobody is to find it again.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        let path = entry_path(name);
        let bytes = self.directory.stat(&path).map_or(0, |stat| size_of(&stat));
        match self.directory.unlink(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // A directory: out of the way first, emptied later.
            Err(_) => self.directory.rename(&path, &self.dead_name())?,
        }
        self.space.removed(shard_of(name), bytes);
        Ok(())
    }

    /// A name that nothing in the directory has.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn dead_name(&self) -> String {
        format!("{REMOVED}{:x}", self.number())
    }

    /// Does work that may wait for the disk, when its turn comes in time.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let turn = Arc::clone(&self.blocking).acquire_owned();
        let turn = timeout(patience, turn).await.ok()?.ok()?;
        let working = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        timeout(patience, working).await.ok()?.ok()
    }

    /// Leaves the directory to the next process. It is still read from: what
    /// has a name in it is whole.
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Release);
        self.signal.end();
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Gives the directory back.
    pub(super) fn close(&self) {
        self.open.store(false, Ordering::Release);
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Counts {
    fn new(metrics: &Arc<Metrics>) -> Self {
        let counter = |name| {
            let counter = metrics.counter(name, &[]);
            counter.increment(0);
            counter
        };
        Self {
            bad: counter("awning_disk_bad_entries_total"),
            evicted: counter("awning_disk_evicted_total"),
            metrics: Arc::clone(metrics),
        }
    }

    pub(super) fn bad(&self, name: &str, damage: Damage) {
        self.bad.increment(1);
        tracing::warn!(entry = name, %damage, "a damaged entry of the disk cache is not used");
    }

    pub(super) fn dropped(&self, why: Dropped) {
        let reason = match why {
            Dropped::Queue => "queue",
            Dropped::Full => "full",
            Dropped::Bypassed => "bypassed",
            Dropped::Failed => "failed",
        };
        let labels = [("reason", reason)];
        self.metrics.counter("awning_disk_writes_dropped_total", &labels).increment(1);
    }
}

impl Signal {
    /// Something may be to do.
    pub(super) fn wake(&self) {
        self.state().1 = true;
        self.changed.notify_all();
    }

    /// Everything is to end.
    pub(super) fn end(&self) {
        self.state().0 = true;
        self.changed.notify_all();
    }

    /// Waits, until it is woken if `idle`. Whether to go on.
    pub(super) fn wait(&self, at_most: Duration, idle: bool) -> bool {
        let waiting = |(ended, woken): &mut (bool, bool)| !(*ended || (idle && *woken));
        let waited = self.changed.wait_timeout_while(self.state(), at_most, waiting);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if idle {
            state.1 = false;
        }
        !state.0
    }

    fn state(&self) -> MutexGuard<'_, (bool, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The path of an entry by its name.
pub(super) fn entry_path(name: &str) -> String {
    format!("{VERSION}/{name}")
}

/// What a file takes of the space.
#[expect(clippy::cast_sign_loss, reason = "a length is not negative")]
pub(super) fn size_of(stat: &rustix::fs::Stat) -> u64 {
    on_disk(stat.st_size as u64)
}

fn breaker(of: &Mutex<Breaker>) -> MutexGuard<'_, Breaker> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ended(of: &Mutex<Breaker>, error: Option<&io::Error>, told: &'static str) {
    match error {
        None => breaker(of).succeeded(),
        Some(error) if is_of_the_disk(error) => {
            if breaker(of).failed(Instant::now()) {
                tracing::warn!(error = error as &dyn std::error::Error, "{told}");
            }
        }
        Some(_) => {}
    }
}
