//! One file of the bucket: bytes, what is known of them, and a trailer.
//!
//! Bytes and label become visible in one step, the rename of a file that is
//! complete and synced. The label follows the bytes because the MD5 and the
//! length are known only when all bytes have arrived. Refuses files whose
//! trailer does not add up.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

const MAGIC: &[u8; 8] = b"awning01";

/// Magic, length of the bytes, length of the label, digest of all three.
const TRAILER_BYTES: usize = 8 + 8 + 4 + DIGEST_BYTES;

const DIGEST_BYTES: usize = 12;

/// A label is small: a key, a few header fields.
const LABEL_BYTES_MAX: u32 = 64 * 1024;

/// Where files are written before they are whole.
#[derive(Debug)]
pub(super) struct Workshop {
    dir: PathBuf,
    made: AtomicU64,
}

/// A record that is being written. Dropping it removes what was written.
#[derive(Debug)]
pub(super) struct Draft {
    file: File,
    path: PathBuf,
    md5: Md5,
    size: u64,
    sealed: bool,
}

impl Workshop {
    /// Empties the directory: what lies there was never acknowledged.
    pub(super) fn open(dir: PathBuf) -> io::Result<Self> {
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&dir)?,
        }
        Ok(Self { dir, made: AtomicU64::new(0) })
    }

    /// Starts a record.
    pub(super) fn draft(&self) -> io::Result<Draft> {
        let path = self.dir.join(self.made.fetch_add(1, Ordering::Relaxed).to_string());
        let file = File::create_new(&path)?;
        Ok(Draft { file, path, md5: Md5::new(), size: 0, sealed: false })
    }
}

impl Draft {
    /// Adds bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.md5.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Adds the first `size` bytes of a file, without their MD5.
    pub(super) fn append_file(&mut self, from: &mut File, size: u64) -> io::Result<()> {
        let copied = io::copy(&mut from.take(size), &mut self.file)?;
        if copied != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.size += size;
        Ok(())
    }

    /// Bytes added so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// MD5 of the bytes appended so far.
    pub(super) fn md5(&self) -> [u8; 16] {
        self.md5.clone().finalize().into()
    }

    /// Puts the label behind the bytes and the file in its place, durably.
    /// An existing file at `to` is replaced.
    pub(super) fn seal(mut self, label: &impl Serialize, to: &Path) -> io::Result<()> {
        let label = serde_json::to_vec(label)?;
        let length = u32::try_from(label.len()).ok().filter(|length| *length <= LABEL_BYTES_MAX);
        let length = length.ok_or(io::ErrorKind::InvalidInput)?;
        self.file.write_all(&label)?;
        self.file.write_all(&trailer(self.size, &label, length))?;
        self.file.sync_all()?;
        fs::rename(&self.path, to)?;
        self.sealed = true;
        sync_dir(to)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.sealed {
            // What remains is removed when the bucket is opened next.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Reads the label of a record, and the length of its bytes. The file is left
/// at its first byte.
pub(super) fn read_label<L: DeserializeOwned>(file: &mut File) -> io::Result<(L, u64)> {
    let torn = || io::Error::new(io::ErrorKind::InvalidData, "the record is torn");
    let length = file.metadata()?.len();
    let end = length.checked_sub(TRAILER_BYTES as u64).ok_or_else(torn)?;
    let mut found = [0; TRAILER_BYTES];
    file.seek(SeekFrom::Start(end))?;
    file.read_exact(&mut found)?;
    let size = u64::from_le_bytes(found[8..16].try_into().map_err(|_| torn())?);
    let label_length = u32::from_le_bytes(found[16..20].try_into().map_err(|_| torn())?);
    let adds_up = label_length <= LABEL_BYTES_MAX
        && size.checked_add(u64::from(label_length)).is_some_and(|sum| sum == end);
    if !adds_up {
        return Err(torn());
    }
    let mut label = vec![0; label_length as usize];
    file.seek(SeekFrom::Start(size))?;
    file.read_exact(&mut label)?;
    if trailer(size, &label, label_length) != found {
        return Err(torn());
    }
    file.rewind()?;
    Ok((serde_json::from_slice(&label)?, size))
}

/// Makes a change among the names of a directory durable.
pub(super) fn sync_dir(of: &Path) -> io::Result<()> {
    match of.parent() {
        // A relative path of one name lies in the working directory.
        Some(dir) if dir.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// The ETag of bytes with this MD5, without its quotes.
pub(super) fn etag_of(md5: [u8; 16]) -> String {
    HEXLOWER.encode(&md5)
}

fn trailer(size: u64, label: &[u8], label_length: u32) -> [u8; TRAILER_BYTES] {
    let mut trailer = [0; TRAILER_BYTES];
    trailer[..8].copy_from_slice(MAGIC);
    trailer[8..16].copy_from_slice(&size.to_le_bytes());
    trailer[16..20].copy_from_slice(&label_length.to_le_bytes());
    let digest = Sha256::new().chain_update(&trailer[..20]).chain_update(label).finalize();
    trailer[20..].copy_from_slice(&digest[..DIGEST_BYTES]);
    trailer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(dir: &Path) -> PathBuf {
        let workshop = Workshop::open(dir.join("drafts")).unwrap();
        let mut draft = workshop.draft().unwrap();
        draft.append(b"bytes").unwrap();
        let to = dir.join("record");
        draft.seal(&"label", &to).unwrap();
        to
    }

    #[test]
    fn a_record_gives_back_its_label_and_the_length_of_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = File::open(sealed(dir.path())).unwrap();
        assert_eq!(read_label::<String>(&mut file).unwrap(), ("label".to_owned(), 5));
        let mut first = [0; 5];
        file.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"bytes");
    }

    #[test]
    fn a_record_cut_or_changed_anywhere_in_its_label_is_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = sealed(dir.path());
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(
                read_label::<String>(&mut File::open(&path).unwrap()).is_err(),
                "cut at {length}"
            );
        }
        for at in 5..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(
                read_label::<String>(&mut File::open(&path).unwrap()).is_err(),
                "changed at {at}"
            );
        }
    }

    #[test]
    fn a_dropped_draft_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let workshop = Workshop::open(dir.path().join("drafts")).unwrap();
        let mut draft = workshop.draft().unwrap();
        draft.append(b"never acknowledged").unwrap();
        drop(draft);
        assert_eq!(fs::read_dir(dir.path().join("drafts")).unwrap().count(), 0);
    }

    #[test]
    fn a_label_over_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let workshop = Workshop::open(dir.path().join("drafts")).unwrap();
        let draft = workshop.draft().unwrap();
        let label = "l".repeat(LABEL_BYTES_MAX as usize);
        assert!(draft.seal(&label, &dir.path().join("record")).is_err());
        assert!(!dir.path().join("record").exists());
    }
}
