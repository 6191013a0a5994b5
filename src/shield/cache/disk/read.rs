//! Reading an entry: nothing of it is given out that was not verified.
//!
//! What lies in the page cache is read where the request runs; what has to
//! come from the disk, on a thread that may wait for it.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::files::{Patience, last_used, name_of, touch};
use super::format::{
    CHUNK_BYTES, DIGEST_BYTES, Damage, FOOTER_BYTES, Footer, KEY_BYTES_MAX, META_BYTES_MAX, Nonce,
    Tail, chunk_at, footer_of, open_chunk,
};
use super::tier::{Tier, entry_path};
use crate::shield::cache::Epoch;

/// How long finding an entry may take; the origin is asked instead.
const FIND_PATIENCE: Duration = Duration::from_secs(5);

/// How long a chunk may take, when its reader has already begun.
const CHUNK_PATIENCE: Duration = Duration::from_secs(15);

/// Files of at most this length are read at once.
const WHOLE_BYTES_MAX: u64 = CHUNK_BYTES + 4096;

/// What is read of the end of longer ones: enough for most keys and heads.
const END_BYTES: u64 = 4096;

/// How much later than noted an entry may have been used.
const TOUCH_EVERY: u64 = 3600 * 1_000_000_000;

/// An entry, but for its body.
#[derive(Debug)]
pub(crate) struct Entry {
    /// What its owner wrote beside the body.
    pub(crate) meta: Vec<u8>,
    /// The epoch in which the origin was asked for it.
    pub(crate) epoch: Epoch,
    pub(crate) stored_at: SystemTime,
    pub(crate) body: Chunks,
    /// The whole body, where it came with the rest.
    small: Option<Vec<u8>>,
}

/// A body on disk, read in chunks that are verified one by one. It can be
/// read to its end even if its entry is replaced or removed meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Chunks {
    pub(super) tier: Arc<Tier>,
    pub(super) file: Arc<File>,
    /// The entry that is removed when it turns out to be damaged.
    pub(super) name: Option<Arc<str>>,
    pub(super) nonce: Nonce,
    pub(super) bytes: u64,
}

/// Why bytes cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ReadError {
    /// They are not those that were written.
    #[error("the entry is damaged")]
    Damaged(#[source] Damage),
    /// The disk did not give them.
    #[error("the entry cannot be read")]
    Failed(#[source] io::Error),
    /// The disk took too long.
    #[error("the disk took too long")]
    Late,
}

impl Tier {
    /// The entry of a key, if it may be used: `usable` judges its epoch.
    pub(super) async fn find(
        self: &Arc<Self>,
        key: &[u8],
        now: SystemTime,
        usable: impl FnOnce(Epoch) -> bool,
    ) -> Option<Entry> {
        if !self.may_read() {
            return None;
        }
        if !self.is_open() {
            let tier = Arc::clone(self);
            self.blocking(FIND_PATIENCE, move || tier.heed_purges()).await?;
        }
        let name = name_of(key);
        let found = match self.load(&name, key, Patience::Cached, now) {
            Err(ReadError::Failed(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                let (tier, name, key) = (Arc::clone(self), name.clone(), key.to_vec());
                let loading = move || tier.load(&name, &key, Patience::Disk, now);
                self.blocking(FIND_PATIENCE, loading).await.unwrap_or(Err(ReadError::Late))
            }
            found => found,
        };
        self.judge(&name, found, usable)
    }

    fn judge(
        &self,
        name: &str,
        found: Result<Entry, ReadError>,
        usable: impl FnOnce(Epoch) -> bool,
    ) -> Option<Entry> {
        match found {
            Ok(entry) => {
                self.read_ended(None);
                if usable(entry.epoch) {
                    return Some(entry);
                }
                // One from before a purge only takes room; one from another
                // ledger, too.
                let _ = self.discard(name);
            }
            // The disk answered.
            Err(ReadError::Damaged(damage)) => {
                self.read_ended(None);
                self.discard_bad(name, damage);
            }
            Err(ReadError::Failed(error)) if error.kind() == io::ErrorKind::NotFound => {
                self.read_ended(None);
            }
            Err(ReadError::Failed(error)) => self.read_ended(Some(&error)),
            Err(ReadError::Late) => self.read_was_late(),
        }
        None
    }

    fn load(
        self: &Arc<Self>,
        name: &str,
        key: &[u8],
        patience: Patience,
        now: SystemTime,
    ) -> Result<Entry, ReadError> {
        let (file, stat) = self.directory.open_file(&entry_path(name), patience).map_err(failed)?;
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        let mut end = self.end(&file, length, patience)?;
        let tail = Tail::of(&end, length).map_err(ReadError::Damaged)?;
        if tail.key != key {
            return Err(ReadError::Damaged(Damage::Key));
        }
        let (footer, meta) = (tail.footer, tail.meta.to_vec());
        let whole = end.len() as u64 == length && footer.chunks() <= 1;
        let small = if whole { Some(only_chunk(&footer, &mut end)?) } else { None };
        if nanoseconds(now) > last_used(&stat).saturating_add(TOUCH_EVERY) {
            // Only the order of eviction depends on it.
            let _ = touch(&file, nanoseconds(now));
        }
        let name = Some(Arc::from(name));
        let (tier, file) = (Arc::clone(self), Arc::new(file));
        Ok(Entry {
            meta,
            epoch: Epoch::from_number(footer.epoch),
            stored_at: UNIX_EPOCH + Duration::from_nanos(footer.stored_at),
            body: Chunks { tier, file, name, nonce: footer.nonce, bytes: footer.body_bytes },
            small,
        })
    }

    /// The last bytes of a file: all of its key and meta, or all there is.
    fn end(&self, file: &File, length: u64, patience: Patience) -> Result<Vec<u8>, ReadError> {
        let wanted = if length <= WHOLE_BYTES_MAX { length } else { END_BYTES };
        let end = self.last(file, length, wanted, patience)?;
        let footer = footer_of(&end, length).map_err(ReadError::Damaged)?;
        if footer.tail_bytes() <= end.len() as u64 {
            return Ok(end);
        }
        let longest = KEY_BYTES_MAX + META_BYTES_MAX + FOOTER_BYTES;
        self.last(file, length, footer.tail_bytes().min(longest), patience)
    }

    fn last(
        &self,
        file: &File,
        length: u64,
        wanted: u64,
        patience: Patience,
    ) -> Result<Vec<u8>, ReadError> {
        let wanted = wanted.min(length);
        // Bounded by the callers: a chunk and a head at most.
        let mut bytes = vec![0; usize::try_from(wanted).unwrap_or(0)];
        self.directory.read(file, &mut bytes, length - wanted, patience).map_err(failed)?;
        Ok(bytes)
    }
}

impl Entry {
    /// The whole body, verified. Ask for the memory first: it has
    /// [`Chunks::len`] bytes.
    pub(crate) async fn into_bytes(self) -> Result<Vec<u8>, ReadError> {
        match self.small {
            Some(body) => Ok(body),
            None => self.body.all().await,
        }
    }
}

impl Chunks {
    /// Bytes of the body.
    pub(crate) fn len(&self) -> u64 {
        self.bytes
    }

    /// How many chunks there are.
    pub(crate) fn count(&self) -> u64 {
        self.bytes.div_ceil(CHUNK_BYTES)
    }

    /// A chunk of the body, verified.
    pub(crate) async fn read(&self, index: u64) -> Result<Bytes, ReadError> {
        let read = match self.load(index, Patience::Cached) {
            Err(ReadError::Failed(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                let chunks = self.clone();
                let loading = move || chunks.load(index, Patience::Disk);
                let loaded = self.tier.blocking(CHUNK_PATIENCE, loading).await;
                loaded.unwrap_or(Err(ReadError::Late))
            }
            read => read,
        };
        match (&read, &self.name) {
            (Err(ReadError::Damaged(damage)), Some(name)) => self.tier.discard_bad(name, *damage),
            (Err(ReadError::Failed(error)), _) => self.tier.read_ended(Some(error)),
            _ => {}
        }
        read
    }

    async fn all(&self) -> Result<Vec<u8>, ReadError> {
        let mut body = Vec::with_capacity(usize::try_from(self.bytes).unwrap_or(0));
        for index in 0..self.count() {
            body.extend_from_slice(&self.read(index).await?);
        }
        Ok(body)
    }

    fn load(&self, index: u64, patience: Patience) -> Result<Bytes, ReadError> {
        let (start, end) = chunk_at(index, self.bytes);
        let mut sealed = vec![0; usize::try_from(end - start).unwrap_or(0)];
        let read = self.tier.directory.read(&self.file, &mut sealed, start, patience);
        read.map_err(failed)?;
        open_chunk(&self.nonce, index, &sealed).map_err(ReadError::Damaged)?;
        Ok(Bytes::from(sealed).slice(DIGEST_BYTES as usize..))
    }
}

/// The body of an entry that was read whole.
fn only_chunk(footer: &Footer, file: &mut Vec<u8>) -> Result<Vec<u8>, ReadError> {
    if footer.chunks() == 0 {
        return Ok(Vec::new());
    }
    let (_, end) = footer.chunk_at(0);
    file.truncate(usize::try_from(end).unwrap_or(0));
    footer.chunk(0, file).map_err(ReadError::Damaged)?;
    file.drain(..DIGEST_BYTES as usize);
    Ok(std::mem::take(file))
}

/// What is no file, or ended before it should, is damage.
fn failed(error: io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::NotADirectory => {
            ReadError::Damaged(Damage::NotAFile)
        }
        io::ErrorKind::UnexpectedEof => ReadError::Damaged(Damage::Length),
        _ => ReadError::Failed(error),
    }
}

/// Nanoseconds since 1970; 0 before.
pub(super) fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
