//! The bucket as the rest of awning sees it: read it, write it, know what failed.
//!
//! Two traits, because the shield gets only the reading one: it cannot write to
//! the bucket, as the method is not in scope.

pub mod contract;
mod counted;
mod error;
pub mod memory;
mod multipart;
mod probe;
mod renewable;
pub mod s3;
mod uploads;
mod versions;

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt as _};

pub use counted::{Calls, Counted};
pub use error::{Operation, StoreError, StoreErrorKind};
pub use multipart::{PART_BYTES_MIN, PARTS_MAX, Part, UPLOADS_PAGE_MAX, Unfinished, UploadPage};
pub use probe::has_conditional_writes;
pub use renewable::Renewable;
pub use versions::{ListedVersion, VersionCursor, VersionPage, is_exact};

/// Most keys that one page of a listing holds (S3's own limit).
pub const LIST_PAGE_KEYS_MAX: usize = 1000;

/// Reading objects. Keys are full keys of at most 1,024 bytes.
pub trait ObjectRead: fmt::Debug + Send + Sync {
    /// Reads an object, or a part of it, unless it is the one already known.
    fn get<'a>(
        &'a self,
        key: &'a str,
        request: GetRequest,
    ) -> BoxFuture<'a, Result<GetOutcome, StoreError>>;

    /// Reads what is known of an object, without its bytes.
    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<ObjectHead, StoreError>>;
}

/// Writing objects, and listing them.
pub trait ObjectWrite: ObjectRead {
    /// Stores an object whole or not at all, and returns the validator the
    /// store gave it. The bytes are sent with their MD5, so that a store which
    /// received other bytes refuses them.
    fn put<'a>(
        &'a self,
        key: &'a str,
        body: Bytes,
        headers: &'a ObjectHeaders,
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>>;

    /// As [`put`](Self::put), but a store that asks to slow down is not waited
    /// for: the failure is [`StoreErrorKind::Throttled`] at once, and tells how
    /// long the store wants to be left alone. For callers that pace themselves.
    fn put_now<'a>(
        &'a self,
        key: &'a str,
        body: Bytes,
        headers: &'a ObjectHeaders,
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        self.put(key, body, headers)
    }

    /// As [`put`](Self::put), if the condition holds; otherwise the write is
    /// [`StoreErrorKind::Precondition`].
    ///
    /// Only for stores that were found to have conditional writes by
    /// [`has_conditional_writes`]: B2 answers 501
    /// ([`StoreErrorKind::Rejected`]), and others ignore the condition.
    fn put_if<'a>(
        &'a self,
        key: &'a str,
        body: Bytes,
        headers: &'a ObjectHeaders,
        condition: PutCondition,
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>>;

    /// Begins an object that arrives in parts, and returns the name of the
    /// upload. The object is there once the upload is completed.
    fn begin_upload<'a>(
        &'a self,
        key: &'a str,
        headers: &'a ObjectHeaders,
    ) -> BoxFuture<'a, Result<String, StoreError>>;

    /// Stores a part, in the place of an earlier one with its number: 1 to
    /// [`PARTS_MAX`]. Every part but the last has [`PART_BYTES_MIN`] or more.
    /// A store that asks to slow down is not waited for, as in
    /// [`put_now`](Self::put_now); an upload that was completed or aborted is
    /// [`StoreErrorKind::NotFound`].
    fn put_part<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
        number: u32,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Part, StoreError>>;

    /// All parts of an upload that have arrived, in the order of their numbers.
    fn list_parts<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Part>, StoreError>>;

    /// Makes the parts one object. [`StoreErrorKind::PartMissing`] if one of
    /// them is not there, or is another; the upload then stays as it is.
    fn complete_upload<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
        parts: &'a [Part],
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>>;

    /// Ends an upload and forgets its parts. Ending what is not there succeeds.
    fn abort_upload<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Lists at most [`UPLOADS_PAGE_MAX`] unfinished uploads whose keys begin
    /// with `prefix` and that follow `after`, in the order of their keys. Fails
    /// with [`StoreErrorKind::Unsupported`] where the store lists none.
    fn list_uploads<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Unfinished>,
    ) -> BoxFuture<'a, Result<UploadPage, StoreError>>;

    /// Lists at most [`LIST_PAGE_KEYS_MAX`] keys that begin with `prefix` and
    /// follow `after`, in the order of their bytes.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ListPage, StoreError>>;

    /// Lists at most [`LIST_PAGE_KEYS_MAX`] versions of keys that begin with
    /// `prefix` and follow `after`. Fails with [`StoreErrorKind::Unsupported`]
    /// where the store has no versions.
    fn list_versions<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a VersionCursor>,
    ) -> BoxFuture<'a, Result<VersionPage, StoreError>>;

    /// Deletes one version of an object for good, or hides the newest one when
    /// no version is named. Deleting what is not there succeeds.
    fn delete<'a>(
        &'a self,
        key: &'a str,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// What to read of an object, and on what condition.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GetRequest {
    /// Only these bytes.
    pub range: Option<ByteRange>,
    /// Only if the validator is still this one; otherwise the read is
    /// [`StoreErrorKind::Precondition`].
    pub if_match: Option<String>,
    /// Only if the validator is no longer this one.
    pub if_none_match: Option<String>,
}

/// A range of bytes as a client of the store asks for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ByteRange {
    /// From the first offset to the last, both included.
    Bounded(u64, u64),
    /// From an offset to the end.
    From(u64),
    /// This many bytes at the end.
    Last(u64),
}

/// The answer to a read.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is received")]
pub enum GetOutcome {
    /// The object, or the part that was asked for.
    Found(Object),
    /// The validator in [`GetRequest::if_none_match`] still holds.
    NotModified,
}

/// An object on its way from the store.
pub struct Object {
    /// What is known of it.
    pub head: ObjectHead,
    /// Its bytes, or those of the range.
    pub body: ObjectBody,
    /// The range that `body` holds, first and last included, when it is a part.
    pub part: Option<(u64, u64)>,
}

/// The bytes of an object as they arrive. Ends with an error when the store
/// broke off; a body that ends without one has the announced length.
pub type ObjectBody = Pin<Box<dyn Stream<Item = Result<Bytes, StoreError>> + Send>>;

/// What a store knows of an object besides its bytes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ObjectHead {
    /// Length of the whole object in bytes.
    pub size: u64,
    /// The validator, with its quotes.
    pub etag: Option<String>,
    /// When it was stored, to the second.
    pub last_modified: Option<SystemTime>,
    /// The version, where the store has versions.
    pub version: Option<String>,
    /// The header fields it was stored with.
    pub headers: ObjectHeaders,
}

/// Header fields that are stored with an object and come back with it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ObjectHeaders {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`. Without one, B2 answers `no-store`.
    pub cache_control: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `x-amz-meta-*`, names in lower case and without that prefix.
    pub meta: BTreeMap<String, String>,
}

/// What a store says of an object that it took.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PutReceipt {
    /// The validator, with its quotes.
    pub etag: Option<String>,
    /// The version, where the store has versions.
    pub version: Option<String>,
}

/// What has to be true of a key for a write to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PutCondition {
    /// There is no object (`If-None-Match: *`).
    Absent,
    /// The object still has this validator, with its quotes (`If-Match`).
    Unchanged(String),
}

/// A page of a listing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ListPage {
    /// The objects, in the order of their keys' bytes.
    pub objects: Vec<Listed>,
    /// Whether more follow the last key of this page.
    pub more: bool,
}

/// An object in a listing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// The full key.
    pub key: String,
    /// Length in bytes.
    pub size: u64,
    /// The validator, with its quotes.
    pub etag: Option<String>,
    /// When it was stored, to the second.
    pub last_modified: Option<SystemTime>,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("head", &self.head)
            .field("part", &self.part)
            .finish_non_exhaustive()
    }
}

impl Object {
    /// Reads the body to its end.
    ///
    /// A body of more than `bytes_max` is refused as
    /// [`StoreErrorKind::Rejected`] before more than that was kept.
    pub async fn collect(mut self, key: &str, bytes_max: usize) -> Result<Bytes, StoreError> {
        let too_large = || {
            StoreError::new(Operation::Get, key, StoreErrorKind::Rejected, "larger than allowed")
        };
        let announced = usize::try_from(self.head.size).unwrap_or(bytes_max);
        let mut collected = Vec::with_capacity(announced.min(bytes_max));
        while let Some(chunk) = self.body.next().await {
            let chunk = chunk?;
            if collected.len() + chunk.len() > bytes_max {
                return Err(too_large());
            }
            collected.extend_from_slice(&chunk);
        }
        Ok(collected.into())
    }
}
