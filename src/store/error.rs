//! What can go wrong between awning and a bucket, grouped by what it means.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// A call to the store that did not do what it should.
///
/// Its text names the operation and the key; the cause is its `source()`.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} `{key}`: {kind}")]
pub struct StoreError {
    operation: Operation,
    key: String,
    kind: StoreErrorKind,
    retry_after: Option<Duration>,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

/// A call to the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Reading an object.
    Get,
    /// Reading what is known of an object.
    Head,
    /// Storing an object.
    Put,
    /// Listing keys.
    List,
    /// Deleting an object.
    Delete,
    /// Beginning an object that arrives in parts.
    Begin,
    /// Storing a part.
    PutPart,
    /// Listing the parts of an upload.
    ListParts,
    /// Making parts one object.
    Complete,
    /// Ending an upload without an object.
    Abort,
    /// Listing unfinished uploads.
    ListUploads,
}

/// What a failed call means to the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// There is no such object.
    NotFound,
    /// Credentials are wrong, or lack a capability.
    Denied,
    /// The account has used up what its owner allows: nothing more is done
    /// until the cap is raised or the day is over.
    Capped,
    /// The store asks to be left alone for a while.
    Throttled,
    /// The store cannot be reached, broke off, or failed inside.
    Unavailable,
    /// What arrived is not what was sent.
    Corrupt,
    /// The object is no longer the one named by `if_match`, or the condition
    /// of a write does not hold.
    Precondition,
    /// A part of an upload is not there, or is another than was sent.
    PartMissing,
    /// The store understood the call and refuses it.
    Rejected,
    /// The store does not know the call: it has no versions to list, or does
    /// not list unfinished uploads.
    Unsupported,
}

impl StoreError {
    /// An error of `operation` on `key`.
    pub fn new(
        operation: Operation,
        key: &str,
        kind: StoreErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let (key, source) = (key.to_owned(), source.into());
        Self { operation, key, kind, retry_after: None, source }
    }

    /// The same error of a store that says when to try again.
    pub fn with_retry_after(self, wait: Option<Duration>) -> Self {
        Self { retry_after: wait, ..self }
    }

    /// How long the store asks to be left alone, if it says so. As the store
    /// sent it: whoever waits has to limit it.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The same failure, known to mean something else.
    pub(crate) fn of_kind(self, kind: StoreErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// What the failure means.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Throttled | StoreErrorKind::Unavailable)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Get => "read",
            Operation::Head => "look up",
            Operation::Put => "store",
            Operation::List => "list",
            Operation::Delete => "delete",
            Operation::Begin => "begin the upload of",
            Operation::PutPart => "store a part of",
            Operation::ListParts => "list the parts of",
            Operation::Complete => "complete the upload of",
            Operation::Abort => "abort the upload of",
            Operation::ListUploads => "list the uploads under",
        })
    }
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreErrorKind::NotFound => "there is no such object",
            StoreErrorKind::Denied => "the store denied it",
            StoreErrorKind::Capped => "a cap of the account is reached",
            StoreErrorKind::Throttled => "the store asks to slow down",
            StoreErrorKind::Unavailable => "the store is unavailable",
            StoreErrorKind::Corrupt => "the bytes are damaged",
            StoreErrorKind::Precondition => "the object has changed",
            StoreErrorKind::PartMissing => "a part is missing",
            StoreErrorKind::Rejected => "the store refused it",
            StoreErrorKind::Unsupported => "the store does not support it",
        })
    }
}
