//! Reading files of the source tree, and noticing when they change meanwhile.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::time::SystemTime;

use crate::asset::AssetPath;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 128 * 1024;

/// A file as the scan found it.
#[derive(Clone, Debug)]
pub(super) struct SourceFile {
    /// The name it is published under.
    pub(super) asset: AssetPath,
    /// Where it lies.
    pub(super) file: PathBuf,
    /// What tells that it is still the same.
    pub(super) stamp: Stamp,
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stamp {
    pub(super) bytes: u64,
    modified: Option<SystemTime>,
    identity: (u64, u64),
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is not the file that was scanned any more.
    #[error("the file changed while it was being read")]
    Changed,
    /// The operating system says no.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
}

impl SourceFile {
    /// Reads the file piece by piece, and fails unless it is from beginning to
    /// end the file that was scanned.
    pub(super) fn read(&self, mut each: impl FnMut(&[u8])) -> Result<(), ReadError> {
        let mut file = self.open()?;
        if Stamp::of(&file.metadata()?) != self.stamp {
            return Err(ReadError::Changed);
        }
        let mut chunk = vec![0; CHUNK_BYTES.min(to_usize(self.stamp.bytes) + 1)];
        let mut read = 0;
        loop {
            let count = file.read(&mut chunk)?;
            if count == 0 {
                break;
            }
            read += count as u64;
            each(&chunk[..count]);
        }
        if read != self.stamp.bytes || Stamp::of(&file.metadata()?) != self.stamp {
            return Err(ReadError::Changed);
        }
        Ok(())
    }

    /// Reads the whole file, under the same condition.
    pub(super) fn read_whole(&self) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::with_capacity(to_usize(self.stamp.bytes));
        self.read(|chunk| bytes.extend_from_slice(chunk))?;
        Ok(bytes)
    }

    /// Reads what the file holds now, if it is as long as it was. Whoever
    /// calls this compares the bytes with a digest.
    pub(super) fn read_again(&self) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::with_capacity(to_usize(self.stamp.bytes));
        self.open()?.take(self.stamp.bytes + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != self.stamp.bytes {
            return Err(ReadError::Changed);
        }
        Ok(bytes)
    }

    /// Opens the file to read what it holds now piece by piece. As with
    /// [`read_again`](Self::read_again), the bytes have to be compared.
    pub(super) fn pieces(&self) -> Result<Pieces, ReadError> {
        Ok(Pieces { file: self.open()? })
    }

    /// Opens the file unless a pipe took its place, which would block forever.
    fn open(&self) -> Result<File, ReadError> {
        if !fs::metadata(&self.file)?.is_file() {
            return Err(ReadError::Changed);
        }
        Ok(File::open(&self.file)?)
    }
}

/// A file that is read from its beginning, a piece at a time.
#[derive(Debug)]
pub(super) struct Pieces {
    file: File,
}

impl Pieces {
    /// The next `bytes` bytes; an error if there are fewer.
    pub(super) fn next(&mut self, bytes: u64) -> Result<Vec<u8>, ReadError> {
        let mut piece = Vec::with_capacity(to_usize(bytes));
        (&mut self.file).take(bytes).read_to_end(&mut piece)?;
        if piece.len() as u64 == bytes { Ok(piece) } else { Err(ReadError::Changed) }
    }
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            identity: identity(metadata),
        }
    }
}

/// Device and inode: a file that was replaced by another has others.
#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(bytes: &[u8]) -> (tempfile::TempDir, SourceFile) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.txt");
        fs::write(&file, bytes).unwrap();
        let stamp = Stamp::of(&fs::metadata(&file).unwrap());
        (dir, SourceFile { asset: AssetPath::parse("a.txt").unwrap(), file, stamp })
    }

    #[test]
    fn a_file_is_read_whole() {
        let long = vec![7; CHUNK_BYTES * 2 + 1];
        for bytes in [&b""[..], b"a", &long] {
            let (_dir, source) = scanned(bytes);
            assert_eq!(source.read_whole().unwrap(), bytes);
            assert_eq!(source.read_again().unwrap(), bytes);
        }
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_refused() {
        let (_dir, source) = scanned(b"abc");
        let outcome = source.read(|_| fs::write(&source.file, b"abcdef").unwrap());
        assert!(matches!(outcome, Err(ReadError::Changed)), "{outcome:?}");
        let outcome = source.read_again();
        assert!(matches!(outcome, Err(ReadError::Changed)), "{outcome:?}");
    }

    #[test]
    fn a_file_is_read_in_pieces_and_not_beyond_its_end() {
        let (_dir, source) = scanned(b"abcde");
        let mut pieces = source.pieces().unwrap();
        assert_eq!(pieces.next(3).unwrap(), b"abc");
        assert_eq!(pieces.next(2).unwrap(), b"de");
        assert!(matches!(pieces.next(1), Err(ReadError::Changed)));
    }

    #[test]
    #[cfg(unix)]
    fn a_file_that_was_replaced_after_the_scan_is_refused() {
        let (dir, source) = scanned(b"abc");
        let other = dir.path().join("other");
        fs::write(&other, b"xyz").unwrap();
        fs::rename(&other, &source.file).unwrap();
        let outcome = source.read_whole();
        assert!(matches!(outcome, Err(ReadError::Changed)), "{outcome:?}");
    }
}
