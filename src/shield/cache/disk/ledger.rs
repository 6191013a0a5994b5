//! The epoch beside the entries: durable before a purge is acknowledged.
//!
//! Two slots are written in turn, each with its own digest, so a write that
//! broke off leaves the other. A ledger that begins anew begins at a random
//! number: entries that another one knew are neither of its present nor of
//! its future, and no entry is used that is not of the present.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, fdatasync, flock};

use super::files::{Directory, Patience};
use crate::asset::Blake3;

const NAME: &str = "epoch";
const NEW_NAME: &str = "epoch.new";

/// Where the slots are: in sectors of their own.
const SLOTS: [u64; 2] = [0, 4096];

const SLOT_BYTES: usize = 40;

/// Where a new ledger begins.
const BEGINNINGS: Range<u64> = 1 << 32..1 << 48;

/// The epoch on disk. It may be shared by two processes: each change is made
/// under a lock on the file.
#[derive(Debug)]
pub(crate) struct Ledger(Mutex<File>);

impl Ledger {
    /// Opens the ledger of a directory, or begins one. On a file system that is
    /// only read one that is there tells its epoch, and begins no other.
    pub(super) fn open(directory: &Directory) -> io::Result<Self> {
        let file = match directory.open_to_write(NAME) {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                directory.open_file(NAME, Patience::Disk)?.0
            }
            opened => opened?,
        };
        let ledger = Self(Mutex::new(file));
        if ledger.locked(|file| Ok(read(file)?.is_some()))? {
            return Ok(ledger);
        }
        let file = directory.open_to_write(NEW_NAME)?;
        let epoch = fastrand::u64(BEGINNINGS);
        for slot in SLOTS {
            write(&file, slot, epoch)?;
        }
        file.sync_all()?;
        directory.rename(NEW_NAME, NAME)?;
        directory.sync()?;
        Ok(Self(Mutex::new(file)))
    }

    /// The epoch that was begun last.
    pub(super) fn current(&self) -> io::Result<u64> {
        self.locked(|file| read(file)?.ok_or_else(|| io::ErrorKind::InvalidData.into()))
    }

    /// Begins the epoch after `at_least` and after all that are known here.
    /// When this returns, the epoch outlives the process and the machine.
    pub(crate) fn next(&self, at_least: u64) -> io::Result<u64> {
        self.locked(|file| {
            let known = read(file)?.ok_or(io::ErrorKind::InvalidData)?;
            let next = known.max(at_least) + 1;
            write(file, SLOTS[(next % 2) as usize], next)?;
            fdatasync(file)?;
            Ok(next)
        })
    }

    fn locked<T>(&self, work: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flock(&*file, FlockOperation::LockExclusive)?;
        let worked = work(&file);
        flock(&*file, FlockOperation::Unlock)?;
        worked
    }
}

/// The newest epoch that may have been begun; `None` when nothing can be read.
fn read(file: &File) -> io::Result<Option<u64>> {
    let slots = [slot(file, SLOTS[0])?, slot(file, SLOTS[1])?];
    Ok(match slots {
        [Some(one), Some(two)] => Some(one.max(two)),
        // The other one may have held the next.
        [Some(epoch), None] | [None, Some(epoch)] => Some(epoch + 1),
        [None, None] => None,
    })
}

fn slot(file: &File, at: u64) -> io::Result<Option<u64>> {
    use std::os::unix::fs::FileExt as _;
    let mut bytes = [0; SLOT_BYTES];
    match file.read_exact_at(&mut bytes, at) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let Some((number, _)) = bytes.split_first_chunk::<8>() else { return Ok(None) };
    let epoch = u64::from_le_bytes(*number);
    Ok((bytes == sealed(epoch)).then_some(epoch))
}

fn write(file: &File, at: u64, epoch: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    file.write_all_at(&sealed(epoch), at)
}

fn sealed(epoch: u64) -> [u8; SLOT_BYTES] {
    let mut hasher = Blake3::default();
    hasher.update(b"awning epoch");
    hasher.update(&epoch.to_le_bytes());
    let mut bytes = [0; SLOT_BYTES];
    bytes[..8].copy_from_slice(&epoch.to_le_bytes());
    bytes[8..].copy_from_slice(hasher.digest().as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> (tempfile::TempDir, Directory) {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path()).unwrap();
        (place, directory)
    }

    #[test]
    fn an_epoch_that_was_begun_is_there_when_the_ledger_is_opened_again() {
        let (_place, directory) = directory();
        let one = Ledger::open(&directory).unwrap();
        let other = Ledger::open(&directory).unwrap();
        let begin = one.current().unwrap();
        assert!(BEGINNINGS.contains(&begin));
        assert_eq!(one.next(0).unwrap(), begin + 1);
        assert_eq!(other.next(0).unwrap(), begin + 2, "two processes share the order");
        assert_eq!(one.next(begin + 10).unwrap(), begin + 11);
        assert_eq!(Ledger::open(&directory).unwrap().current().unwrap(), begin + 11);
    }

    #[test]
    fn a_damaged_slot_counts_as_the_next_epoch_and_two_as_another_ledger() {
        let (place, directory) = directory();
        let ledger = Ledger::open(&directory).unwrap();
        let epoch = (0..4).map(|_| ledger.next(0).unwrap()).last().unwrap();
        let path = place.path().join(NAME);
        let whole = std::fs::read(&path).unwrap();
        for (number, slot) in SLOTS.into_iter().enumerate() {
            for at in 0..SLOT_BYTES {
                let mut bytes = whole.clone();
                bytes[slot as usize + at] ^= 1;
                std::fs::write(&path, &bytes).unwrap();
                let found = Ledger::open(&directory).unwrap().current().unwrap();
                let newest = epoch % 2 == number as u64;
                assert_eq!(found, if newest { epoch } else { epoch + 1 }, "slot {slot} at {at}");
            }
        }
        for bytes in [&b""[..], &whole[..SLOT_BYTES - 1], &vec![0; whole.len()]] {
            std::fs::write(&path, bytes).unwrap();
            let found = Ledger::open(&directory).unwrap().current().unwrap();
            assert!(BEGINNINGS.contains(&found));
        }
    }

    #[test]
    fn an_epoch_that_cannot_be_written_is_not_begun() {
        let (place, directory) = directory();
        let ledger = Ledger::open(&directory).unwrap();
        std::fs::write(place.path().join(NAME), b"").unwrap();
        assert!(ledger.next(0).is_err());
    }
}
