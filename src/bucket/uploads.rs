//! Multipart uploads that are under way: their parts, on disk and in memory.
//!
//! A part is a record of its own. Completing copies the parts into one record;
//! until that is in its place, the upload stays as it was.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use data_encoding::HEXLOWER_PERMISSIVE;
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use super::directory::{Directory, Headers, Label, Numbers, from_millis, millis};
use super::index::Version;
use super::record::{self, Draft};

/// Most uploads under way at once.
pub(super) const UPLOADS_MAX: usize = 1000;

/// Highest number of a part.
pub(super) const PARTS_MAX: u16 = 10_000;

/// Fewest bytes of a part that is not the last (B2's 5 MB, in decimal).
pub(super) const PART_BYTES_MIN: u64 = 5_000_000;

/// The file that says what an upload is to become.
const PURPOSE: &str = "upload";

/// Uploads by their number.
#[derive(Debug)]
pub(super) struct Uploads {
    dir: PathBuf,
    max: usize,
    open: Mutex<BTreeMap<u64, Upload>>,
}

/// An upload under way.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    pub(super) purpose: Purpose,
    pub(super) parts: BTreeMap<u16, Part>,
}

/// What an upload is to become.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Purpose {
    pub(super) bucket: String,
    pub(super) key: String,
    /// Milliseconds since 1970.
    pub(super) initiated: u64,
    pub(super) headers: Headers,
}

/// A part that has arrived.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Part {
    /// Without quotes.
    pub(super) etag: String,
    /// Milliseconds since 1970.
    pub(super) modified: u64,
    #[serde(skip)]
    pub(super) size: u64,
}

/// Why an upload cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    #[error("the upload does not exist")]
    NoSuchUpload,
    #[error("too many uploads are under way")]
    TooMany,
    #[error("a part was not found, or its ETag is another")]
    InvalidPart,
    #[error("the parts are not in ascending order")]
    InvalidPartOrder,
    #[error("a part that is not the last has less than {PART_BYTES_MIN} bytes")]
    TooSmall,
    #[error("the directory failed")]
    Io(#[from] io::Error),
}

impl Part {
    /// When the part arrived.
    pub(super) fn modified(&self) -> SystemTime {
        from_millis(self.modified)
    }
}

impl Uploads {
    /// Finds the uploads that were under way when the bucket was closed.
    pub(super) fn open(dir: PathBuf, numbers: &Numbers) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let mut open = BTreeMap::new();
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let number =
                u64::from_str_radix(name, 16).map_err(|_| io::ErrorKind::InvalidData.into());
            match number.and_then(|number| Ok((number, recover(&path)?))) {
                Ok((number, upload)) => {
                    numbers.at_least(number);
                    open.insert(number, upload);
                }
                // Creating it was never acknowledged, or removing it was cut short.
                Err(error) if is_incomplete(&error) => fs::remove_dir_all(&path)?,
                Err(error) => return Err(error),
            }
        }
        Ok(Self { dir, max: UPLOADS_MAX, open: Mutex::new(open) })
    }

    /// Begins an upload and returns its number.
    pub(super) fn begin(
        &self,
        directory: &Directory,
        purpose: Purpose,
    ) -> Result<u64, UploadError> {
        let mut open = self.lock();
        if open.len() >= self.max {
            return Err(UploadError::TooMany);
        }
        let number = directory.next_number();
        let dir = self.path(number);
        fs::create_dir_all(&dir)?;
        record::sync_dir(&dir)?;
        directory.draft()?.seal(&purpose, &dir.join(PURPOSE))?;
        open.insert(number, Upload { purpose, parts: BTreeMap::new() });
        Ok(number)
    }

    /// Stores a part, in the place of an earlier one with its number.
    pub(super) fn put_part(
        &self,
        directory: &Directory,
        number: u64,
        part: u16,
        draft: Draft,
    ) -> Result<Part, UploadError> {
        let size = draft.size();
        let etag = record::etag_of(draft.md5());
        let stored = Part { etag, modified: millis(directory.now()), size };
        // The lock is held while the file takes its place, so that file and
        // map agree on which of two parts with one number came last.
        let mut open = self.lock();
        let upload = open.get_mut(&number).ok_or(UploadError::NoSuchUpload)?;
        draft.seal(&stored, &self.path(number).join(part_name(part)))?;
        upload.parts.insert(part, stored.clone());
        Ok(stored)
    }

    /// Makes the chosen parts one object. Each is named by number and ETag.
    pub(super) fn complete(
        &self,
        directory: &Directory,
        number: u64,
        chosen: &[(u16, String)],
    ) -> Result<Version, UploadError> {
        // Taken out, so that no part changes while the parts are copied.
        let upload = self.lock().remove(&number).ok_or(UploadError::NoSuchUpload)?;
        let completed = self.join(directory, number, &upload, chosen);
        match completed {
            // A directory that stays behind is an upload again at the next open.
            Ok(_) => _ = fs::remove_dir_all(self.path(number)),
            Err(_) => _ = self.lock().insert(number, upload),
        }
        completed
    }

    /// Ends an upload and removes its parts.
    pub(super) fn abort(&self, number: u64) -> Result<(), UploadError> {
        self.lock().remove(&number).ok_or(UploadError::NoSuchUpload)?;
        fs::remove_dir_all(self.path(number))?;
        Ok(())
    }

    /// What is known of an upload.
    pub(super) fn get(&self, number: u64) -> Option<Upload> {
        self.lock().get(&number).cloned()
    }

    /// Uploads of a bucket, in the order of their keys and then their numbers.
    pub(super) fn of_bucket(&self, bucket: &str) -> Vec<(u64, Purpose)> {
        let open = self.lock();
        let of_bucket = open.iter().filter(|(_, upload)| upload.purpose.bucket == bucket);
        let mut uploads: Vec<_> =
            of_bucket.map(|(number, upload)| (*number, upload.purpose.clone())).collect();
        uploads.sort_by(|a, b| a.1.key.cmp(&b.1.key));
        uploads
    }

    fn join(
        &self,
        directory: &Directory,
        number: u64,
        upload: &Upload,
        chosen: &[(u16, String)],
    ) -> Result<Version, UploadError> {
        check(upload, chosen)?;
        let mut draft = directory.draft()?;
        let mut md5s = Md5::new();
        for (part, etag) in chosen {
            let mut file = File::open(self.path(number).join(part_name(*part)))?;
            let (_, size) = record::read_label::<Part>(&mut file)?;
            draft.append_file(&mut file, size)?;
            let md5 = HEXLOWER_PERMISSIVE.decode(etag.as_bytes());
            md5s.update(md5.map_err(|_| UploadError::InvalidPart)?);
        }
        let md5_of_md5s = record::etag_of(md5s.finalize().into());
        let label = Label {
            key: upload.purpose.key.clone(),
            etag: format!("{md5_of_md5s}-{}", chosen.len()),
            headers: upload.purpose.headers.clone(),
            ..Label::default()
        };
        Ok(directory.put(&upload.purpose.bucket, draft, label)?)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:016x}"))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Upload>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(upload: &Upload, chosen: &[(u16, String)]) -> Result<(), UploadError> {
    if !chosen.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(UploadError::InvalidPartOrder);
    }
    let Some((last, _)) = chosen.last() else { return Err(UploadError::InvalidPart) };
    for (part, etag) in chosen {
        let found = upload.parts.get(part).filter(|found| found.etag == *etag);
        let size = found.ok_or(UploadError::InvalidPart)?.size;
        if size < PART_BYTES_MIN && part != last {
            return Err(UploadError::TooSmall);
        }
    }
    Ok(())
}

fn recover(dir: &Path) -> io::Result<Upload> {
    let (purpose, _) = record::read_label(&mut File::open(dir.join(PURPOSE))?)?;
    let mut parts = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Ok(number) = name.parse::<u16>() else { continue };
        let (part, size) = record::read_label::<Part>(&mut File::open(&path)?)?;
        parts.insert(number, Part { size, ..part });
    }
    Ok(Upload { purpose, parts })
}

fn is_incomplete(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound)
}

fn part_name(part: u16) -> String {
    format!("{part:05}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn uploads_under_way_are_limited() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path(), Clock::System).unwrap();
        let purpose = Purpose {
            bucket: "shop".to_owned(),
            key: "k".to_owned(),
            initiated: 0,
            headers: Headers::default(),
        };
        let uploads = Uploads::open(dir.path().join("few"), &Numbers::default()).unwrap();
        let uploads = Uploads { max: 2, ..uploads };
        let begin = || uploads.begin(&directory, purpose.clone());
        let first = begin().unwrap();
        begin().unwrap();
        assert!(matches!(begin(), Err(UploadError::TooMany)));
        uploads.abort(first).unwrap();
        begin().unwrap();
    }
}
