//! Reading a file part by part, in order, and hashing it on the way.

use std::ops::RangeInclusive;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};
use tokio::task;

use super::super::source::{Pieces, ReadError, SourceFile};
use super::cut::Cut;
use crate::asset::{Blake3, Digest};

/// A file that is read from its beginning.
pub(super) struct Reader {
    pieces: Pieces,
    blake3: Blake3,
    cut: Cut,
    numbers: RangeInclusive<u32>,
}

/// A part in memory.
pub(super) struct Piece {
    pub(super) number: u32,
    pub(super) bytes: Bytes,
    /// In hexadecimal.
    pub(super) md5: String,
}

impl Reader {
    pub(super) fn open(file: &SourceFile, cut: Cut) -> Result<Self, ReadError> {
        let numbers = cut.numbers();
        Ok(Self { pieces: file.pieces()?, blake3: Blake3::default(), cut, numbers })
    }

    /// Bytes of the part that is read next; `None` behind the last one.
    pub(super) fn next_size(&self) -> Option<u64> {
        (!self.numbers.is_empty()).then(|| self.cut.size_of(*self.numbers.start()))
    }

    /// Reads the next part, away from the uploads that are under way.
    pub(super) async fn read(mut self) -> Result<(Self, Piece), ReadError> {
        let read = task::spawn_blocking(move || {
            let number = self.numbers.next().ok_or(ReadError::Changed)?;
            let bytes = self.pieces.next(self.cut.size_of(number))?;
            self.blake3.update(&bytes);
            let md5 = HEXLOWER.encode(&Md5::digest(&bytes));
            Ok((self, Piece { number, bytes: bytes.into(), md5 }))
        });
        read.await.map_err(|error| ReadError::Io(std::io::Error::other(error))).flatten()
    }

    /// The digest of everything that was read.
    pub(super) fn digest(&self) -> Digest {
        self.blake3.digest()
    }
}
