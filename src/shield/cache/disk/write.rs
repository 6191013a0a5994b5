//! Writing an entry: under no name until it is whole.
//!
//! Nothing is synced. A file that a crash left without some of its bytes does
//! not verify, and is a miss. What fails is removed, and never tried twice.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::files::{name_of, touch};
use super::format::{
    CHUNK_BYTES, DIGEST_BYTES, Footer, KEY_BYTES_MAX, META_BYTES_MAX, Nonce, seal_chunk,
};
use super::read::{Chunks, nanoseconds};
use super::space::{on_disk, shard_name, shard_of};
use super::tier::{Dropped, Tier, UNFINISHED, VERSION, entry_path, size_of};
use crate::shield::cache::Epoch;

/// How long a body that streams waits for the disk to take a piece.
const WRITE_PATIENCE: Duration = Duration::from_secs(15);

/// Room for the meta and the footer of an entry. Few metas are longer, and the
/// files' own lengths count in the end.
const HEAD_BYTES: u64 = 4096;

/// Entries larger than this have their room reserved before they are written.
const RESERVED_MIN: u64 = 1 << 20;

/// A response as the tier takes it: whole and proven.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) key: Vec<u8>,
    pub(crate) meta: Vec<u8>,
    pub(crate) pieces: Box<[Bytes]>,
    /// The epoch in which the origin was asked for it.
    pub(crate) epoch: Epoch,
    pub(crate) stored_at: SystemTime,
}

/// An entry that is being written. Dropping it removes what was written.
#[derive(Debug)]
pub(crate) struct Writer {
    tier: Arc<Tier>,
    key: Vec<u8>,
    nonce: Nonce,
    file: Arc<File>,
    /// Its name while it has no other; `None` once it has.
    unfinished: Option<String>,
    /// Bytes that do not make a chunk yet.
    rest: Vec<u8>,
    chunks: u64,
    offset: u64,
    body_bytes: u64,
    /// Room that was taken for it.
    room: u64,
}

impl Tier {
    /// Writes an entry as a whole.
    pub(super) fn write(self: &Arc<Self>, record: &Record) -> Result<(), Dropped> {
        // Written in vain: no request would use it.
        if !self.epochs.usable(record.epoch) {
            return Ok(());
        }
        let bytes = record.pieces.iter().map(|piece| piece.len() as u64).sum();
        let mut writer = self.begin(&record.key, bytes)?;
        let written = record.pieces.iter().try_for_each(|piece| writer.add(piece));
        let written =
            written.and_then(|()| writer.finish(&record.meta, record.epoch, record.stored_at));
        self.write_ended(written.as_ref().err());
        written.map_err(|_| Dropped::Failed)
    }

    /// Begins an entry with a body of so many bytes.
    pub(super) fn begin(self: &Arc<Self>, key: &[u8], body_bytes: u64) -> Result<Writer, Dropped> {
        if !self.may_write() || key.len() as u64 > KEY_BYTES_MAX {
            return Err(Dropped::Bypassed);
        }
        let digests = body_bytes.div_ceil(CHUNK_BYTES) * DIGEST_BYTES;
        let head = key.len() as u64 + HEAD_BYTES;
        let room = on_disk(body_bytes.saturating_add(digests + head));
        if !self.space.take(room) {
            self.signal.wake();
            return Err(Dropped::Full);
        }
        let unfinished = format!("{UNFINISHED}/{:x}", self.number());
        match self.create(&unfinished, room) {
            Ok(file) => Ok(Writer {
                tier: Arc::clone(self),
                key: key.to_vec(),
                nonce: fastrand::u128(..).to_le_bytes(),
                file: Arc::new(file),
                unfinished: Some(unfinished),
                rest: Vec::new(),
                chunks: 0,
                offset: 0,
                body_bytes: 0,
                room,
            }),
            Err(error) => {
                self.space.settle(room);
                self.write_ended(Some(&error));
                Err(Dropped::Failed)
            }
        }
    }

    /// A file for an entry. A large one gets its room first: one that cannot be
    /// written to its end is better not begun.
    fn create(&self, unfinished: &str, room: u64) -> io::Result<File> {
        let file = self.directory.create(unfinished)?;
        if room > RESERVED_MIN
            && let Err(error) = reserve(&file, room)
        {
            let _ = self.directory.unlink(unfinished);
            return Err(error);
        }
        Ok(file)
    }
}

impl Writer {
    /// Adds bytes to the body, where threads may wait for the disk.
    pub(super) fn add(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.body_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let missing = CHUNK_BYTES as usize - self.rest.len();
            let (fits, after) = bytes.split_at(bytes.len().min(missing));
            if self.rest.is_empty() && fits.len() == CHUNK_BYTES as usize {
                self.chunk(fits)?;
            } else {
                self.rest.extend_from_slice(fits);
                self.full_chunk()?;
            }
            bytes = after;
        }
        Ok(())
    }

    /// Adds a piece to the body. Gives the writer back: a write that failed or
    /// took too long has none.
    pub(crate) async fn write(mut self, piece: Bytes) -> Option<Self> {
        let tier = Arc::clone(&self.tier);
        let writing = move || {
            let written = self.add(&piece);
            (written, self)
        };
        let (written, writer) = tier.blocking(WRITE_PATIENCE, writing).await?;
        if written.is_err() {
            tier.write_ended(written.as_ref().err());
            tier.counts.dropped(Dropped::Failed);
        }
        written.ok().map(|()| writer)
    }

    /// Writes what does not make a whole chunk: nothing more may be added.
    pub(crate) async fn flush(mut self) -> Option<Self> {
        let tier = Arc::clone(&self.tier);
        let writing = move || {
            let written = self.last_chunk();
            (written, self)
        };
        let (written, writer) = tier.blocking(WRITE_PATIENCE, writing).await?;
        tier.write_ended(written.as_ref().err());
        written.ok().map(|()| writer)
    }

    /// Gives the entry its name, and so to all who look for it.
    pub(crate) async fn commit(
        mut self,
        meta: Vec<u8>,
        epoch: Epoch,
        stored_at: SystemTime,
    ) -> bool {
        let tier = Arc::clone(&self.tier);
        if !tier.epochs.usable(epoch) || tier.is_left() {
            return false;
        }
        let finishing = move || self.finish(&meta, epoch, stored_at);
        let Some(finished) = tier.blocking(WRITE_PATIENCE, finishing).await else { return false };
        tier.write_ended(finished.as_ref().err());
        if finished.is_err() {
            tier.counts.dropped(Dropped::Failed);
        }
        finished.is_ok()
    }

    /// The body as its readers see it, who may begin before it is whole: those
    /// chunks can be read that [`Writer::chunks`] counts.
    pub(crate) fn body(&self, bytes: u64) -> Chunks {
        let (tier, file) = (Arc::clone(&self.tier), Arc::clone(&self.file));
        Chunks { tier, file, name: None, nonce: self.nonce, bytes }
    }

    /// Chunks that are written.
    pub(crate) fn chunks(&self) -> u64 {
        self.chunks
    }

    fn finish(&mut self, meta: &[u8], epoch: Epoch, stored_at: SystemTime) -> io::Result<()> {
        self.last_chunk()?;
        let too_long = || io::Error::from(io::ErrorKind::InvalidInput);
        if meta.len() as u64 > META_BYTES_MAX {
            return Err(too_long());
        }
        let footer = Footer {
            key_bytes: u32::try_from(self.key.len()).map_err(|_| too_long())?,
            meta_bytes: u32::try_from(meta.len()).map_err(|_| too_long())?,
            body_bytes: self.body_bytes,
            epoch: epoch.number(),
            stored_at: nanoseconds(stored_at),
            nonce: self.nonce,
        };
        let end = [&self.key, meta, &footer.seal(&self.key, meta)].concat();
        self.put(&end)?;
        touch(&self.file, footer.stored_at)?;
        self.name()
    }

    fn name(&mut self) -> io::Result<()> {
        let Some(unfinished) = &self.unfinished else { return Ok(()) };
        let (tier, name) = (&self.tier, name_of(&self.key));
        let (path, shard) = (entry_path(&name), shard_of(&name));
        let replaced = tier.directory.stat(&path).ok().map(|stat| size_of(&stat));
        match tier.directory.rename(unfinished, &path) {
            // The first of its shard; or somebody emptied the directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tier.directory.make_directory(VERSION)?;
                tier.directory.make_directory(&format!("{VERSION}/{}", shard_name(shard)))?;
                tier.directory.rename(unfinished, &path)?;
            }
            renamed => renamed?,
        }
        self.unfinished = None;
        tier.space.added(shard, on_disk(self.offset), replaced);
        Ok(())
    }

    fn full_chunk(&mut self) -> io::Result<()> {
        if self.rest.len() < CHUNK_BYTES as usize { Ok(()) } else { self.last_chunk() }
    }

    fn last_chunk(&mut self) -> io::Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let rest = std::mem::take(&mut self.rest);
        self.chunk(&rest)
    }

    fn chunk(&mut self, chunk: &[u8]) -> io::Result<()> {
        let digest = seal_chunk(&self.nonce, self.chunks, chunk);
        self.put(&[digest.as_bytes(), chunk].concat())?;
        self.chunks += 1;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tier.directory.write(&self.file, bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(name) = self.unfinished.take() {
            // What cannot be removed goes with the next start.
            let _ = self.tier.directory.unlink(&name);
        }
        self.tier.space.settle(self.room);
    }
}

#[cfg(target_os = "linux")]
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}
