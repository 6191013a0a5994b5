//! Every operation on files of the disk tier: one place that can be told to
//! fail, and that never follows a link or waits for a pipe.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use crate::asset::Digest;

/// How long a read may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Patience {
    /// As long as the page cache takes; else it fails with `WouldBlock`.
    Cached,
    /// As long as the disk takes.
    Disk,
}

/// An operation that may fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Create,
    Write,
    Rename,
    Open,
    Read,
    Unlink,
}

/// A directory whose files are named relative to it.
#[derive(Debug)]
pub(super) struct Directory {
    root: OwnedFd,
    #[cfg(test)]
    pub(super) faults: Faults,
}

const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
const PRIVATE_DIRECTORY: Mode = Mode::RWXU;

impl Directory {
    /// Opens a directory, and makes it where there is none.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Err(error) = std::fs::create_dir_all(path)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = fs::open(path, flags, Mode::empty())?;
        Ok(Self {
            root,
            #[cfg(test)]
            faults: Faults::default(),
        })
    }

    pub(super) fn fd(&self) -> impl AsFd + '_ {
        self.root.as_fd()
    }

    /// A new file that nobody else has.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        self.step(Step::Create)?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(fs::openat(&self.root, name, flags, PRIVATE)?))
    }

    /// A file to be written in place, made where there is none.
    pub(super) fn open_to_write(&self, name: &str) -> io::Result<File> {
        self.step(Step::Open)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(fs::openat(&self.root, name, flags, PRIVATE)?))
    }

    /// A file to be read, with its length. What is no file fails with
    /// `InvalidData`, whatever it is.
    pub(super) fn open_file(&self, name: &str, patience: Patience) -> io::Result<(File, Stat)> {
        self.step(Step::Open)?;
        let file = match self.open_at(name, patience) {
            Ok(file) => file,
            // What a link says when it is not followed, a socket, a device.
            Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR | Errno::NODEV) => return Err(no_file()),
            Err(errno) => return Err(errno.into()),
        };
        let stat = fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(no_file());
        }
        Ok((File::from(file), stat))
    }

    #[cfg(target_os = "linux")]
    fn open_at(&self, name: &str, patience: Patience) -> Result<OwnedFd, Errno> {
        use rustix::fs::ResolveFlags;
        let confined = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let resolve = match patience {
            Patience::Cached => confined | ResolveFlags::CACHED,
            Patience::Disk => confined,
        };
        match fs::openat2(&self.root, name, READ_FLAGS, Mode::empty(), resolve) {
            // A kernel before 5.12, or a sandbox that hides the call.
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => self.open_plainly(name, patience),
            opened => opened,
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn open_at(&self, name: &str, patience: Patience) -> Result<OwnedFd, Errno> {
        self.open_plainly(name, patience)
    }

    fn open_plainly(&self, name: &str, patience: Patience) -> Result<OwnedFd, Errno> {
        match patience {
            Patience::Cached => Err(Errno::AGAIN),
            Patience::Disk => fs::openat(&self.root, name, READ_FLAGS, Mode::empty()),
        }
    }

    pub(super) fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        use std::os::unix::fs::FileExt as _;
        self.step(Step::Write)?;
        file.write_all_at(bytes, offset)
    }

    /// Fills `bytes` from a file.
    pub(super) fn read(
        &self,
        file: &File,
        bytes: &mut [u8],
        offset: u64,
        patience: Patience,
    ) -> io::Result<()> {
        use std::os::unix::fs::FileExt as _;
        self.step(Step::Read)?;
        match patience {
            Patience::Cached => read_cached(file, bytes, offset),
            Patience::Disk => file.read_exact_at(bytes, offset),
        }
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step(Step::Rename)?;
        Ok(fs::renameat(&self.root, from, &self.root, to)?)
    }

    pub(super) fn make_directory(&self, name: &str) -> io::Result<()> {
        match fs::mkdirat(&self.root, name, PRIVATE_DIRECTORY) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    pub(super) fn unlink(&self, name: &str) -> io::Result<()> {
        self.step(Step::Unlink)?;
        Ok(fs::unlinkat(&self.root, name, AtFlags::empty())?)
    }

    pub(super) fn remove_directory(&self, name: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.root, name, AtFlags::REMOVEDIR)?)
    }

    pub(super) fn stat(&self, name: &str) -> io::Result<Stat> {
        Ok(fs::statat(&self.root, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// The first names in a directory. One that is none is empty.
    pub(super) fn names(&self, name: &str, at_most: usize) -> io::Result<Vec<String>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match fs::openat(&self.root, name, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
            opened => opened?,
        };
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(opened)? {
            let entry = entry?;
            if names.len() == at_most {
                break;
            }
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(found) => names.push(found.to_owned()),
            }
        }
        Ok(names)
    }

    /// Makes what was done to the directory itself last.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.root)?)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests make steps fail")]
    fn step(&self, _: Step) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn step(&self, step: Step) -> io::Result<()> {
        self.faults.meet(step)
    }
}

/// The name of the file of a key below the directory of a version.
pub(super) fn name_of(key: &[u8]) -> String {
    let digest = Digest::of(key).to_string();
    format!("{}/{digest}", &digest[..2])
}

/// When a file was last used, in nanoseconds since 1970: its modification
/// time, because access times are kept by few systems.
#[expect(clippy::cast_sign_loss, reason = "clamped to what is not negative")]
pub(super) fn last_used(stat: &Stat) -> u64 {
    let seconds = stat.st_mtime.max(0) as u64;
    #[expect(clippy::useless_conversion, reason = "its type differs between systems")]
    let nanoseconds = u64::try_from(stat.st_mtime_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// Notes that a file was used at this time.
pub(super) fn touch(file: &File, nanoseconds: u64) -> io::Result<()> {
    let time = Timespec {
        tv_sec: i64::try_from(nanoseconds / 1_000_000_000).unwrap_or(i64::MAX),
        #[expect(clippy::cast_possible_wrap, reason = "less than a second")]
        tv_nsec: (nanoseconds % 1_000_000_000) as _,
    };
    Ok(fs::futimens(file, &Timestamps { last_access: time, last_modification: time })?)
}

const READ_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

#[cfg(target_os = "linux")]
fn read_cached(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    use rustix::io::ReadWriteFlags;
    let mut done = 0;
    while done < bytes.len() {
        let rest = &mut [io::IoSliceMut::new(&mut bytes[done..])];
        let at = offset + done as u64;
        match rustix::io::preadv2(file, rest, at, ReadWriteFlags::NOWAIT) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => done += read,
            Err(Errno::INTR) => {}
            // File systems that cannot tell are asked on a thread that may wait.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn read_cached(_: &File, _: &mut [u8], _: u64) -> io::Result<()> {
    Err(io::ErrorKind::WouldBlock.into())
}

fn no_file() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// Failures that a test asked for.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct Faults(std::sync::Mutex<Option<Scripted>>);

#[cfg(test)]
#[derive(Clone, Copy, Debug)]
enum Scripted {
    /// This step fails from now on.
    Fails(Step, Errno),
    /// The process ends before its so manieth step.
    Ends(usize),
}

#[cfg(test)]
impl Faults {
    pub(super) fn fail(&self, step: Step, errno: Errno) {
        *self.0.lock().unwrap() = Some(Scripted::Fails(step, errno));
    }

    /// After so many steps nothing is done any more, clearing up included.
    pub(super) fn end_after(&self, steps: usize) {
        *self.0.lock().unwrap() = Some(Scripted::Ends(steps));
    }

    pub(super) fn clear(&self) {
        *self.0.lock().unwrap() = None;
    }

    fn meet(&self, step: Step) -> io::Result<()> {
        match &mut *self.0.lock().unwrap() {
            Some(Scripted::Fails(failing, errno)) if *failing == step => Err((*errno).into()),
            Some(Scripted::Ends(0)) => Err(io::ErrorKind::Other.into()),
            Some(Scripted::Ends(left)) => {
                *left -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
