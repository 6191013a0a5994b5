//! Objects that arrive in parts: what is told about uploads and their parts.

use std::time::SystemTime;

/// Highest number of a part (the limit of S3 and B2).
pub const PARTS_MAX: u32 = 10_000;

/// Fewest bytes of a part that is not the last: the 5 MiB of S3, which is a
/// little more than the 5,000,000 of B2.
pub const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;

/// Most uploads that one page of a listing holds (S3's own limit).
pub const UPLOADS_PAGE_MAX: usize = 1000;

/// A part that has arrived.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Part {
    /// Its place in the object, from 1.
    pub number: u32,
    /// Length in bytes.
    pub size: u64,
    /// The validator, with its quotes: the MD5 where the store does not encrypt
    /// with a key of its own.
    pub etag: String,
}

/// An upload that was neither completed nor aborted. Stores keep its parts,
/// and bill them, until someone does either.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unfinished {
    /// The full key of the object it would become.
    pub key: String,
    /// The name of the upload.
    pub upload: String,
    /// When it was begun, if the store says so.
    pub begun: Option<SystemTime>,
}

/// A page of a listing of uploads.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UploadPage {
    /// The uploads, in the order of their keys' bytes.
    pub uploads: Vec<Unfinished>,
    /// Whether more follow the last one of this page.
    pub more: bool,
}
