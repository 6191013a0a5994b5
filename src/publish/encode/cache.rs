//! Coded bytes that were made before, in a directory of this machine.
//!
//! A convenience only: what is damaged, missing or not writable is made again.
//! The directory may be shared by publishers and deleted at any time.

use std::fs::{self, DirEntry, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::coder::VERSION;
use crate::asset::Digest;
use crate::semantics::encoding::Coding;

/// Bytes that a cache holds, unless told otherwise.
pub const CACHE_BYTES_DEFAULT: u64 = 512 * 1024 * 1024;

/// What every file begins with; the number is that of the format.
const MAGIC: &[u8; 8] = b"AWNCODE1";

/// Magic, length and digest.
const HEADER_BYTES: usize = 8 + 8 + 32;

/// A file takes at least this much of a disk, which also bounds their number.
const BLOCK_BYTES: u64 = 4096;

/// A directory of coded bytes, by the identity's digest, the coding, and the
/// version of the encoders.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    bytes_max: u64,
    temporaries: AtomicU64,
    grown: AtomicBool,
    /// The first failure to write; one tells enough.
    remark: Mutex<Option<String>>,
}

impl Cache {
    /// A cache below `directory`, which is made when something is first kept.
    ///
    /// It holds `bytes_max` and what one publish adds; [`Cache::trim`] deletes
    /// the oldest beyond.
    pub fn at(directory: &Path, bytes_max: u64) -> Self {
        Self {
            directory: directory.to_owned(),
            bytes_max,
            temporaries: AtomicU64::new(0),
            grown: AtomicBool::new(false),
            remark: Mutex::default(),
        }
    }

    /// What kept the cache from being written, if anything did.
    pub fn remark(&self) -> Option<String> {
        self.remark.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The coded bytes of an identity, if they are there and whole.
    pub(super) fn get(&self, identity: &Digest, coding: Coding) -> Option<Vec<u8>> {
        let mut file = File::open(self.file(identity, coding)).ok()?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header).ok()?;
        let (magic, rest) = header.split_at(8);
        let (length, digest) = rest.split_at(8);
        let length = u64::from_le_bytes(length.try_into().ok()?);
        // A damaged length must not allocate: the file tells its own.
        let announced = file.metadata().ok()?.len().checked_sub(HEADER_BYTES as u64)?;
        if magic != MAGIC || length != announced {
            return None;
        }
        let mut coded = Vec::with_capacity(usize::try_from(length).ok()?);
        file.take(length + 1).read_to_end(&mut coded).ok()?;
        let whole = coded.len() as u64 == length && Digest::of(&coded).as_bytes() == digest;
        whole.then_some(coded)
    }

    /// Keeps coded bytes. A failure is remembered, and is none of the caller.
    pub(super) fn keep(&self, identity: &Digest, coding: Coding, coded: &[u8]) {
        match self.write(&self.file(identity, coding), coded) {
            Ok(()) => self.grown.store(true, Ordering::Relaxed),
            Err(error) => {
                let mut remark = self.remark.lock().unwrap_or_else(PoisonError::into_inner);
                let directory = self.directory.display();
                remark.get_or_insert_with(|| {
                    format!("coded files are not kept in `{directory}`: {error}")
                });
            }
        }
    }

    /// Deletes the oldest files when there are more bytes than allowed. Does
    /// nothing where nothing was kept since.
    pub fn trim(&self) {
        if !self.grown.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut files = Vec::new();
        for part in entries(&self.directory) {
            files.extend(entries(&part.path()).filter_map(|file| weighed(&file)));
        }
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        if total <= self.bytes_max {
            return;
        }
        files.sort();
        for (_, bytes, path) in files {
            // A tenth more than needed, so that not every publish has to.
            if total <= self.bytes_max - self.bytes_max / 10 {
                return;
            }
            // Someone else may have deleted it first.
            let _ = fs::remove_file(path);
            total = total.saturating_sub(bytes);
        }
    }

    /// `<directory>/<two digits>/<digest>.<version><suffix>`.
    fn file(&self, identity: &Digest, coding: Coding) -> PathBuf {
        let name = identity.to_string();
        let part = name.get(..2).unwrap_or_default();
        self.directory.join(part).join(format!("{name}.{VERSION}{}", coding.suffix()))
    }

    /// Writes a file under another name first, so that it appears whole.
    fn write(&self, path: &Path, coded: &[u8]) -> io::Result<()> {
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_added_extension(format!("{}-{number}", std::process::id()));
        fs::create_dir_all(path.parent().unwrap_or(&self.directory))?;
        let written = write_new(&temporary, coded).and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

fn write_new(path: &Path, coded: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(MAGIC)?;
    file.write_all(&(coded.len() as u64).to_le_bytes())?;
    file.write_all(Digest::of(coded).as_bytes())?;
    file.write_all(coded)
}

/// What a directory holds, as far as it can be read.
fn entries(directory: &Path) -> impl Iterator<Item = DirEntry> {
    fs::read_dir(directory).into_iter().flatten().flatten()
}

/// Age, bytes on the disk, and path of a file, if it is one of a cache: the
/// directory may have been chosen by mistake.
fn weighed(file: &DirEntry) -> Option<(SystemTime, u64, PathBuf)> {
    let name = file.file_name();
    Digest::parse(name.to_str()?.split('.').next()?).ok()?;
    let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
    let bytes = metadata.len().next_multiple_of(BLOCK_BYTES);
    Some((metadata.modified().ok()?, bytes, file.path()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn digest(number: u8) -> Digest {
        Digest::of(&[number])
    }

    fn cache(bytes_max: u64) -> (tempfile::TempDir, Cache) {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(&directory.path().join("made/when/needed"), bytes_max);
        (directory, cache)
    }

    #[test]
    fn what_was_kept_is_found_again_by_digest_and_coding() {
        let (_directory, cache) = cache(1 << 20);
        assert_eq!(cache.get(&digest(1), Coding::Br), None);
        cache.keep(&digest(1), Coding::Br, b"coded");
        cache.keep(&digest(2), Coding::Gzip, b"");
        assert_eq!(cache.get(&digest(1), Coding::Br).as_deref(), Some(&b"coded"[..]));
        assert_eq!(cache.get(&digest(2), Coding::Gzip).as_deref(), Some(&b""[..]));
        assert_eq!(cache.get(&digest(1), Coding::Gzip), None);
        assert_eq!(cache.get(&digest(2), Coding::Br), None);
        assert_eq!(cache.remark(), None);
    }

    #[test]
    fn damage_of_any_byte_is_no_answer_and_is_made_good() {
        let (_directory, cache) = cache(1 << 20);
        cache.keep(&digest(1), Coding::Br, b"coded");
        let file = cache.file(&digest(1), Coding::Br);
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&file, damaged).unwrap();
            assert_eq!(cache.get(&digest(1), Coding::Br), None, "byte {at}");
        }
        for length in [0, HEADER_BYTES - 1, HEADER_BYTES, whole.len() - 1] {
            fs::write(&file, &whole[..length]).unwrap();
            assert_eq!(cache.get(&digest(1), Coding::Br), None, "{length} bytes");
        }
        fs::write(&file, [&whole[..], b"x"].concat()).unwrap();
        assert_eq!(cache.get(&digest(1), Coding::Br), None);
        cache.keep(&digest(1), Coding::Br, b"coded");
        assert!(cache.get(&digest(1), Coding::Br).is_some());
    }

    #[test]
    fn the_oldest_are_deleted_beyond_the_bound() {
        let (_directory, cache) = cache(10 * BLOCK_BYTES);
        for number in 0..11 {
            cache.keep(&digest(number), Coding::Br, b"coded");
            let file = File::options().write(true).open(cache.file(&digest(number), Coding::Br));
            let age = SystemTime::UNIX_EPOCH + Duration::from_secs(number.into());
            file.unwrap().set_modified(age).unwrap();
        }
        let foreign = cache.directory.join("ab/old-and-large");
        fs::create_dir_all(foreign.parent().unwrap()).unwrap();
        fs::write(&foreign, "x".repeat(100_000)).unwrap();
        cache.trim();
        assert!(foreign.exists(), "only what a cache wrote is deleted");
        let left: Vec<u8> =
            (0..11).filter(|number| cache.get(&digest(*number), Coding::Br).is_some()).collect();
        assert_eq!(left, [2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let cache = Cache::at(&file, 1 << 20);
        cache.keep(&digest(1), Coding::Br, b"coded");
        cache.keep(&digest(2), Coding::Br, b"coded");
        assert_eq!(cache.get(&digest(1), Coding::Br), None);
        let remark = cache.remark().unwrap();
        assert!(remark.starts_with("coded files are not kept in `"), "{remark}");
        cache.trim();
    }
}
