//! The durable directory behind the bucket, and the index over it.
//!
//! ```text
//! lock                         held while the directory is open
//! drafts/                      what is being written; emptied at open
//! buckets/<bucket>/<number>    one version: bytes, label, trailer
//! uploads/<number>/            a multipart upload: `upload`, and a file a part
//! damaged/                     records whose trailer does not add up
//! ```
//!
//! Keys are no file names: any key of 1,024 bytes fits, and so do `a` and
//! `a/b` together. All methods that touch files block.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::BucketError;
use super::index::{Index, Page, Version};
use super::record::{self, Draft, Workshop};
use super::uploads::Uploads;
use crate::clock::Clock;

/// An open directory. Only one process has it at a time.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    workshop: Workshop,
    buckets: RwLock<BTreeMap<String, Shelf>>,
    uploads: Uploads,
    numbers: Numbers,
    clock: Clock,
    /// Unlocks when it is closed.
    _lock: File,
}

/// What is known of a version besides its bytes and its number.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Label {
    pub(super) key: String,
    pub(super) etag: String,
    /// Milliseconds since 1970.
    pub(super) modified: u64,
    #[serde(default)]
    pub(super) marker: bool,
    #[serde(default)]
    pub(super) headers: Headers,
}

/// Header fields that are kept with an object.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(super) struct Headers {
    pub(super) content_type: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_language: Option<String>,
    /// An HTTP date.
    pub(super) expires: Option<String>,
    /// `x-amz-meta-*` without that prefix.
    pub(super) meta: BTreeMap<String, String>,
}

/// Numbers that grow, also over restarts and after the newest was deleted: a
/// version number that came back could make a late delete hit other bytes.
#[derive(Debug, Default)]
pub(super) struct Numbers(AtomicU64);

#[derive(Debug)]
struct Shelf {
    index: Index,
    created: SystemTime,
}

impl Directory {
    /// Creates the directory if it is not there, locks it, and reads what it holds.
    pub(super) fn open(root: &Path, clock: Clock) -> Result<Self, BucketError> {
        let failed = |source| BucketError::Directory { path: root.to_owned(), source };
        let buckets = root.join("buckets");
        fs::create_dir_all(&buckets).map_err(failed)?;
        record::sync_dir(&buckets).and_then(|()| record::sync_dir(root)).map_err(failed)?;
        let lock = File::create(root.join("lock")).map_err(failed)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => BucketError::Locked { path: root.to_owned() },
            TryLockError::Error(source) => failed(source),
        })?;
        let numbers = Numbers::default();
        let directory = Self {
            workshop: Workshop::open(root.join("drafts")).map_err(failed)?,
            buckets: RwLock::default(),
            uploads: Uploads::open(root.join("uploads"), &numbers).map_err(failed)?,
            numbers,
            clock,
            _lock: lock,
            root: root.to_owned(),
        };
        directory.recover().map_err(failed)?;
        Ok(directory)
    }

    /// Starts a record.
    pub(super) fn draft(&self) -> io::Result<Draft> {
        self.workshop.draft()
    }

    /// Multipart uploads that are under way.
    pub(super) fn uploads(&self) -> &Uploads {
        &self.uploads
    }

    /// The wall clock, for what is stored.
    pub(super) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// A number above all that were given out before.
    pub(super) fn next_number(&self) -> u64 {
        self.numbers.next(self.now())
    }

    /// Makes a drafted record the newest version of its key.
    pub(super) fn put(&self, bucket: &str, draft: Draft, label: Label) -> io::Result<Version> {
        self.create_bucket(bucket)?;
        let (seq, size) = (self.next_number(), draft.size());
        let label = Label { modified: millis(self.now()), ..label };
        draft.seal(&label, &self.path(bucket, seq))?;
        let version = label.version(seq, size);
        self.write(bucket, |index| index.insert(&label.key, version.clone()));
        Ok(version)
    }

    /// Hides a key, unless nothing is visible under it.
    pub(super) fn hide(&self, bucket: &str, key: &str) -> io::Result<Option<Version>> {
        if self.find(bucket, key, None).is_none_or(|newest| newest.marker) {
            return Ok(None);
        }
        let label = Label { key: key.to_owned(), marker: true, ..Label::default() };
        self.put(bucket, self.draft()?, label).map(Some)
    }

    /// Deletes one version for good. Returns what it was.
    pub(super) fn delete(&self, bucket: &str, key: &str, seq: u64) -> io::Result<Option<Version>> {
        let Some(version) = self.write(bucket, |index| index.remove(key, seq)).flatten() else {
            return Ok(None);
        };
        let path = self.path(bucket, seq);
        match fs::remove_file(&path).and_then(|()| record::sync_dir(&path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.write(bucket, |index| index.insert(key, version));
                Err(error)
            }
            _ => Ok(Some(version)),
        }
    }

    /// A version of a key, or its newest one.
    pub(super) fn find(&self, bucket: &str, key: &str, seq: Option<u64>) -> Option<Version> {
        let buckets = self.read();
        let index = &buckets.get(bucket)?.index;
        match seq {
            Some(seq) => index.version(key, seq).cloned(),
            None => index.newest(key).cloned(),
        }
    }

    /// Opens the record of a version at its first byte.
    pub(super) fn open_version(&self, bucket: &str, seq: u64) -> io::Result<(File, Label)> {
        let mut file = File::open(self.path(bucket, seq))?;
        let (label, _) = record::read_label(&mut file)?;
        Ok((file, label))
    }

    /// A page of a listing. A bucket that nothing was stored in is empty.
    pub(super) fn list(&self, bucket: &str, list: impl FnOnce(&Index) -> Page) -> Page {
        self.read().get(bucket).map(|shelf| list(&shelf.index)).unwrap_or_default()
    }

    /// Names of the buckets, and when they were created.
    pub(super) fn buckets(&self) -> Vec<(String, SystemTime)> {
        self.read().iter().map(|(name, shelf)| (name.clone(), shelf.created)).collect()
    }

    /// Creates a bucket unless it is there.
    pub(super) fn create_bucket(&self, bucket: &str) -> io::Result<()> {
        if self.read().contains_key(bucket) {
            return Ok(());
        }
        let path = self.root.join("buckets").join(bucket);
        fs::create_dir_all(&path)?;
        record::sync_dir(&path)?;
        let created = self.now();
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        buckets.entry(bucket.to_owned()).or_insert(Shelf { index: Index::default(), created });
        Ok(())
    }

    fn recover(&self) -> io::Result<()> {
        for dir in fs::read_dir(self.root.join("buckets"))? {
            let dir = dir?;
            let Ok(bucket) = dir.file_name().into_string() else { continue };
            let mut index = Index::default();
            for file in fs::read_dir(dir.path())? {
                self.recover_version(&bucket, &file?.path(), &mut index)?;
            }
            let times = dir.metadata()?;
            let created = times.created().or_else(|_| times.modified())?;
            let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
            buckets.insert(bucket, Shelf { index, created });
        }
        Ok(())
    }

    fn recover_version(&self, bucket: &str, path: &Path, index: &mut Index) -> io::Result<()> {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(seq) = name.and_then(|name| u64::from_str_radix(name, 16).ok()) else {
            return self.set_aside(bucket, path);
        };
        self.numbers.at_least(seq);
        match File::open(path).and_then(|mut file| record::read_label::<Label>(&mut file)) {
            Ok((label, size)) => {
                index.insert(&label.key, label.version(seq, size));
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.set_aside(bucket, path)
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps a file that is no whole record, out of the way.
    fn set_aside(&self, bucket: &str, path: &Path) -> io::Result<()> {
        tracing::warn!(path = %path.display(), "set aside a damaged record of the bucket");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let damaged = self.root.join("damaged");
        fs::create_dir_all(&damaged)?;
        fs::rename(path, damaged.join(format!("{bucket}-{name}")))
    }

    fn path(&self, bucket: &str, seq: u64) -> PathBuf {
        self.root.join("buckets").join(bucket).join(format!("{seq:016x}"))
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Shelf>> {
        self.buckets.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<T>(&self, bucket: &str, change: impl FnOnce(&mut Index) -> T) -> Option<T> {
        let mut buckets: RwLockWriteGuard<'_, _> =
            self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        buckets.get_mut(bucket).map(|shelf| change(&mut shelf.index))
    }
}

impl Label {
    fn version(&self, seq: u64, size: u64) -> Version {
        Version {
            seq,
            size,
            etag: self.etag.as_str().into(),
            modified: from_millis(self.modified),
            marker: self.marker,
        }
    }
}

impl Numbers {
    /// The next number: nanoseconds since 1970, or one more than the last.
    pub(super) fn next(&self, now: SystemTime) -> u64 {
        let nanos = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let now = u64::try_from(nanos).unwrap_or(u64::MAX);
        let next = |last: u64| now.max(last.saturating_add(1));
        // The closure always gives a value, so both arms hold the last number.
        let last =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        next(last.unwrap_or_else(|last| last))
    }

    /// Numbers up to this one were given out before.
    pub(super) fn at_least(&self, number: u64) {
        self.0.fetch_max(number, Ordering::Relaxed);
    }
}

/// Milliseconds since 1970.
pub(super) fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The instant that is this many milliseconds after 1970.
pub(super) fn from_millis(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_when_the_clock_stands_still_or_goes_back() {
        let numbers = Numbers::default();
        let first = numbers.next(UNIX_EPOCH + Duration::from_secs(5));
        let second = numbers.next(UNIX_EPOCH + Duration::from_secs(5));
        let third = numbers.next(UNIX_EPOCH);
        assert!(first < second && second < third);
        numbers.at_least(third + 10);
        assert_eq!(numbers.next(UNIX_EPOCH), third + 11);
    }
}
