//! What a publish tells while it runs, for progress bars and event streams.

use serde::Serialize;

/// A step forward. Counts are totals so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The source tree has been listed.
    Scanned {
        /// Files that are published.
        files: usize,
        /// Their bytes.
        bytes: u64,
    },
    /// A file was read and, unless it refers to others, hashed.
    Hashed {
        /// Files so far.
        files: usize,
        /// Their bytes.
        bytes: u64,
    },
    /// Coding begins; counts are the files that no release or cache has coded.
    Encoding {
        /// Files to code.
        files: usize,
        /// Their bytes.
        bytes: u64,
    },
    /// A file was coded in every way.
    Encoded {
        /// Files so far.
        files: usize,
        /// Their bytes, uncoded.
        bytes: u64,
    },
    /// The upload begins; counts are what it will send.
    Uploading {
        /// Objects to store.
        objects: usize,
        /// Their bytes.
        bytes: u64,
    },
    /// An object was stored.
    Uploaded {
        /// Objects so far.
        objects: usize,
        /// Their bytes.
        bytes: u64,
    },
}
