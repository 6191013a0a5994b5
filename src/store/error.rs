//! What can go wrong between awning and a bucket, grouped by what it means.

use std::error::Error;
use std::fmt;

/// A call to the store that did not do what it should.
///
/// Its text names the operation and the key; the cause is its `source()`.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} `{key}`: {kind}")]
pub struct StoreError {
    operation: Operation,
    key: String,
    kind: StoreErrorKind,
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
}

/// What a failed call means to the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// There is no such object.
    NotFound,
    /// Credentials are wrong, or lack a capability, or a cap is reached.
    Denied,
    /// The store asks to be left alone for a while.
    Throttled,
    /// The store cannot be reached, broke off, or failed inside.
    Unavailable,
    /// What arrived is not what was sent.
    Corrupt,
    /// The object is no longer the one named by `if_match`.
    Precondition,
    /// The store understood the call and refuses it.
    Rejected,
    /// The store has no versions to list.
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
        Self { operation, key: key.to_owned(), kind, source: source.into() }
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
        })
    }
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreErrorKind::NotFound => "there is no such object",
            StoreErrorKind::Denied => "the store denied it",
            StoreErrorKind::Throttled => "the store asks to slow down",
            StoreErrorKind::Unavailable => "the store is unavailable",
            StoreErrorKind::Corrupt => "the bytes are damaged",
            StoreErrorKind::Precondition => "the object has changed",
            StoreErrorKind::Rejected => "the store refused it",
            StoreErrorKind::Unsupported => "the store has no versions",
        })
    }
}
