//! The form of an entry in its file: pure, and strict about every byte.
//!
//! ```text
//! (digest[32] chunk[≤ 64 KiB])*  key  meta  footer[96]
//! ```
//!
//! The footer comes last, so a file that broke off has none, and the length
//! of a body need not be known when its first chunk is written. Every chunk's
//! digest covers its place and the entry's own nonce: chunks of two entries,
//! or of two versions of one, cannot be mixed.

use crate::asset::{Blake3, Digest};

/// Bytes of a body that are verified at a time.
pub(crate) const CHUNK_BYTES: u64 = 64 * 1024;

/// Bytes of the digest before each chunk.
pub(super) const DIGEST_BYTES: u64 = 32;

/// Bytes of the end of an entry.
pub(super) const FOOTER_BYTES: u64 = 96;

/// Longest key. Keys of the bucket have 1 KiB at most, URLs 8 KiB.
pub(super) const KEY_BYTES_MAX: u64 = 16 * 1024;

/// Longest meta: a response's head.
pub(super) const META_BYTES_MAX: u64 = 64 * 1024;

const MAGIC: [u8; 8] = *b"\x89awning\n";

/// The version of all of this; also the name of the directory.
const VERSION: u32 = 1;

/// What makes the chunks of an entry its own.
pub(super) type Nonce = [u8; 16];

/// What is known of an entry besides its key, its meta and its body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Footer {
    pub(super) key_bytes: u32,
    pub(super) meta_bytes: u32,
    pub(super) body_bytes: u64,
    pub(super) epoch: u64,
    /// Nanoseconds since 1970.
    pub(super) stored_at: u64,
    pub(super) nonce: Nonce,
}

/// The end of an entry, verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Tail<'a> {
    pub(super) footer: Footer,
    pub(super) key: &'a [u8],
    pub(super) meta: &'a [u8],
}

/// Why a file is not the entry that it should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// It does not end like an entry.
    #[error("the file does not end like an entry")]
    NoFooter,
    /// Another version of the format.
    #[error("the entry has format version {0}")]
    Version(u32),
    /// Its length is not what its parts come to.
    #[error("the file has another length than its parts")]
    Length,
    /// Its key, meta or footer was changed.
    #[error("the head of the entry was changed")]
    Head,
    /// It is an entry for another key.
    #[error("the entry belongs to another key")]
    Key,
    /// A chunk of its body was changed.
    #[error("chunk {0} of the body was changed")]
    Chunk(u64),
    /// It is a directory, a link, a pipe: anything but a file.
    #[error("there is something else than a file")]
    NotAFile,
}

/// An entry whose every byte was verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CheckedEntry {
    /// Whose entry it is.
    pub key: Vec<u8>,
    /// What its owner wrote beside the body.
    pub meta: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
    /// The epoch in which the origin was asked for it.
    pub epoch: u64,
}

/// Reads an entry of the disk tier from the bytes of its file: the same rules
/// as when it is served, for whoever has the bytes at hand.
pub fn check_entry(bytes: &[u8]) -> Result<CheckedEntry, Damage> {
    let length = bytes.len() as u64;
    let tail = Tail::of(bytes, length)?;
    let mut body = Vec::new();
    for index in 0..tail.footer.chunks() {
        let (start, end) = tail.footer.chunk_at(index);
        let sealed = slice(bytes, start, end).ok_or(Damage::Length)?;
        body.extend_from_slice(tail.footer.chunk(index, sealed)?);
    }
    let (key, meta) = (tail.key.to_vec(), tail.meta.to_vec());
    Ok(CheckedEntry { key, meta, body, epoch: tail.footer.epoch })
}

impl Footer {
    /// The footer of an entry with this key and meta.
    pub(super) fn seal(&self, key: &[u8], meta: &[u8]) -> [u8; FOOTER_BYTES as usize] {
        let mut bytes = [0; FOOTER_BYTES as usize];
        let mut at = 0;
        let mut put = |part: &[u8]| {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        };
        put(&MAGIC);
        put(&VERSION.to_le_bytes());
        put(&self.key_bytes.to_le_bytes());
        put(&self.meta_bytes.to_le_bytes());
        put(&[0; 4]);
        put(&self.body_bytes.to_le_bytes());
        put(&self.epoch.to_le_bytes());
        put(&self.stored_at.to_le_bytes());
        put(&self.nonce);
        let digest = head_digest(key, meta, &bytes[..SEALED]);
        bytes[SEALED..].copy_from_slice(digest.as_bytes());
        bytes
    }

    /// Reads a footer; its digest is not looked at.
    fn read(bytes: &[u8]) -> Result<Self, Damage> {
        let mut rest = bytes;
        if take::<8>(&mut rest)? != MAGIC {
            return Err(Damage::NoFooter);
        }
        let version = u32::from_le_bytes(take(&mut rest)?);
        if version != VERSION {
            return Err(Damage::Version(version));
        }
        let key_bytes = u32::from_le_bytes(take(&mut rest)?);
        let meta_bytes = u32::from_le_bytes(take(&mut rest)?);
        take::<4>(&mut rest)?;
        let body_bytes = u64::from_le_bytes(take(&mut rest)?);
        let epoch = u64::from_le_bytes(take(&mut rest)?);
        let stored_at = u64::from_le_bytes(take(&mut rest)?);
        let nonce = take(&mut rest)?;
        Ok(Self { key_bytes, meta_bytes, body_bytes, epoch, stored_at, nonce })
    }

    /// How many chunks the body has.
    pub(super) fn chunks(&self) -> u64 {
        self.body_bytes.div_ceil(CHUNK_BYTES)
    }

    /// Where a chunk lies in the file, its digest included.
    pub(super) fn chunk_at(&self, index: u64) -> (u64, u64) {
        chunk_at(index, self.body_bytes)
    }

    /// The bytes of a chunk that lies behind its digest in `sealed`.
    pub(super) fn chunk<'a>(&self, index: u64, sealed: &'a [u8]) -> Result<&'a [u8], Damage> {
        open_chunk(&self.nonce, index, sealed)
    }

    /// Bytes of key, meta and footer.
    pub(super) fn tail_bytes(&self) -> u64 {
        u64::from(self.key_bytes) + u64::from(self.meta_bytes) + FOOTER_BYTES
    }

    /// The length of the whole file; `None` for one that no file can have.
    fn file_bytes(&self) -> Option<u64> {
        let digests = self.chunks().checked_mul(DIGEST_BYTES)?;
        self.body_bytes.checked_add(digests)?.checked_add(self.tail_bytes())
    }
}

impl<'a> Tail<'a> {
    /// What the last bytes of a file of this length say, when they hold all of
    /// its key and meta.
    pub(super) fn of(end: &'a [u8], file_bytes: u64) -> Result<Self, Damage> {
        let footer = footer_of(end, file_bytes)?;
        let tail_bytes = usize::try_from(footer.tail_bytes()).map_err(|_| Damage::Length)?;
        let start = end.len().checked_sub(tail_bytes).ok_or(Damage::Length)?;
        let (key, rest) = end[start..].split_at(footer.key_bytes as usize);
        let (meta, sealed) = rest.split_at(footer.meta_bytes as usize);
        let (fields, digest) = sealed.split_at(SEALED);
        if head_digest(key, meta, fields).as_bytes() != digest {
            return Err(Damage::Head);
        }
        Ok(Self { footer, key, meta })
    }
}

/// The footer at the end of these last bytes of a file, as far as it can be
/// believed before its key and meta are at hand.
pub(super) fn footer_of(end: &[u8], file_bytes: u64) -> Result<Footer, Damage> {
    let start = end.len().checked_sub(FOOTER_BYTES as usize).ok_or(Damage::NoFooter)?;
    let footer = Footer::read(&end[start..])?;
    let small = u64::from(footer.key_bytes) <= KEY_BYTES_MAX
        && u64::from(footer.meta_bytes) <= META_BYTES_MAX;
    if !small || footer.file_bytes() != Some(file_bytes) {
        return Err(Damage::Length);
    }
    Ok(footer)
}

/// Where a chunk of a body of this length lies in the file, digest included.
pub(super) fn chunk_at(index: u64, body_bytes: u64) -> (u64, u64) {
    let start = index * (CHUNK_BYTES + DIGEST_BYTES);
    let length = CHUNK_BYTES.min(body_bytes - index * CHUNK_BYTES);
    (start, start + DIGEST_BYTES + length)
}

/// The digest that goes before a chunk.
pub(super) fn seal_chunk(nonce: &Nonce, index: u64, chunk: &[u8]) -> Digest {
    let mut hasher = Blake3::default();
    hasher.update(nonce);
    hasher.update(&index.to_le_bytes());
    hasher.update(chunk);
    hasher.digest()
}

/// The chunk behind its digest, if it is the one.
pub(super) fn open_chunk<'a>(
    nonce: &Nonce,
    index: u64,
    sealed: &'a [u8],
) -> Result<&'a [u8], Damage> {
    let damaged = Damage::Chunk(index);
    let (digest, chunk) = sealed.split_at_checked(DIGEST_BYTES as usize).ok_or(damaged)?;
    if seal_chunk(nonce, index, chunk).as_bytes() == digest { Ok(chunk) } else { Err(damaged) }
}

/// Bytes of the footer that its digest covers.
const SEALED: usize = (FOOTER_BYTES - DIGEST_BYTES) as usize;

fn head_digest(key: &[u8], meta: &[u8], fields: &[u8]) -> Digest {
    let mut hasher = Blake3::default();
    // The lengths of both are among the fields, so they cannot be divided otherwise.
    hasher.update(fields);
    hasher.update(key);
    hasher.update(meta);
    hasher.digest()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Damage> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(Damage::NoFooter)?;
    *rest = after;
    Ok(*taken)
}

fn slice(bytes: &[u8], start: u64, end: u64) -> Option<&[u8]> {
    bytes.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

/// An entry as a whole, for those who change its bytes.
#[cfg(any(test, fuzzing))]
pub(crate) fn encode(key: &[u8], meta: &[u8], body: &[u8], nonce: Nonce, epoch: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, chunk) in body.chunks(CHUNK_BYTES as usize).enumerate() {
        bytes.extend_from_slice(seal_chunk(&nonce, index as u64, chunk).as_bytes());
        bytes.extend_from_slice(chunk);
    }
    let footer = Footer {
        key_bytes: u32::try_from(key.len()).unwrap_or(u32::MAX),
        meta_bytes: u32::try_from(meta.len()).unwrap_or(u32::MAX),
        body_bytes: body.len() as u64,
        epoch,
        stored_at: 0,
        nonce,
    };
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(meta);
    bytes.extend_from_slice(&footer.seal(key, meta));
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_reads_back_as_it_was_written() {
        for length in [0, 1, 100, 65_535, 65_536, 65_537, 200_000] {
            let body: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let bytes = encode(b"key", b"meta", &body, [7; 16], 3);
            let found = check_entry(&bytes).unwrap();
            assert_eq!((found.key, found.meta), (b"key".to_vec(), b"meta".to_vec()));
            assert!(found.body == body && found.epoch == 3, "{length}");
        }
    }

    #[test]
    fn no_flipped_bit_cut_or_added_byte_goes_unseen() {
        let whole = encode(b"key", b"meta", b"body of some bytes", [7; 16], 3);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                assert!(check_entry(&bytes).is_err(), "bit {bit} of byte {at}");
            }
            assert!(check_entry(&whole[..at]).is_err(), "cut at {at}");
            assert!(check_entry(&whole[at + 1..]).is_err(), "without the first {}", at + 1);
        }
        for extra in [&b"\0"[..], &[0; 4096], &whole[..]] {
            assert!(check_entry(&[&whole, extra].concat()).is_err());
            assert!(check_entry(&[extra, &whole].concat()).is_err());
        }
    }

    #[test]
    fn chunks_cannot_change_places_or_come_from_another_entry() {
        let body = vec![1; 2 * CHUNK_BYTES as usize];
        let sealed = (CHUNK_BYTES + DIGEST_BYTES) as usize;
        let one = encode(b"key", b"meta", &body, [1; 16], 3);
        let mut swapped = one.clone();
        swapped[..2 * sealed].rotate_left(sealed);
        assert_eq!(check_entry(&swapped), Err(Damage::Chunk(0)));
        let mut mixed = one;
        mixed[..sealed].copy_from_slice(&encode(b"key", b"meta", &body, [2; 16], 3)[..sealed]);
        assert_eq!(check_entry(&mixed), Err(Damage::Chunk(0)));
    }

    #[test]
    fn another_version_is_told_and_not_read() {
        let mut bytes = encode(b"key", b"meta", b"body", [7; 16], 3);
        let at = bytes.len() - FOOTER_BYTES as usize + MAGIC.len();
        bytes[at] = 2;
        assert_eq!(check_entry(&bytes), Err(Damage::Version(2)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let framed = [&bytes[..], &MAGIC, &VERSION.to_le_bytes(), &bytes].concat();
            prop_assert!(check_entry(&bytes).is_err() && check_entry(&framed).is_err());
        }
    }
}
