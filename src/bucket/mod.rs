//! The embedded bucket: an S3 server over a durable directory.
//!
//! Behaves like Backblaze B2 where S3 stores differ: every write adds a
//! version, a delete hides, conditional writes are refused, and connections
//! are closed after five idle seconds. Everything but the counts of calls
//! needs a signature. Only for development, tests and single machines: it
//! speaks plain HTTP.

mod calls;
mod directory;
mod index;
mod protocol;
mod record;
mod server;
mod uploads;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use calls::Counter;
use directory::Directory;
use protocol::Protocol;

pub use calls::{Calls, Class};

/// The one key that may use the bucket.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Identifies the key.
    pub key_id: String,
    /// Signs requests.
    pub key: SecretString,
}

/// An open bucket directory, with all buckets in it.
///
/// Clones share it. It is unlocked when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Bucket {
    protocol: Protocol,
    calls: Arc<Counter>,
}

/// Why a bucket directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketError {
    /// The file system refused.
    #[error("cannot use `{}` as a bucket directory", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// Another bucket has the directory open.
    #[error("the bucket directory `{}` is in use by another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
}

impl Bucket {
    /// Opens a directory, creating it if need be, and locks it for this process.
    ///
    /// Reads the label of every version in it, so this blocks for a time that
    /// grows with their number. What an earlier process did not finish writing
    /// is removed; what it acknowledged is there.
    pub fn open(root: &Path, credentials: Credentials) -> Result<Self, BucketError> {
        Self::open_at(root, credentials, Clock::System)
    }

    /// As [`Bucket::open`], with objects stamped with the time of `clock`.
    pub fn open_at(
        root: &Path,
        credentials: Credentials,
        clock: Clock,
    ) -> Result<Self, BucketError> {
        let directory = Arc::new(Directory::open(root, clock)?);
        let calls = Arc::new(Counter::default());
        let protocol = Protocol::new(directory, credentials, Arc::clone(&calls));
        Ok(Self { protocol, calls })
    }

    /// Answers S3 requests until `shutdown`, then lets those under way end
    /// within a few seconds.
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) {
        server::serve(self.clone(), listener, shutdown).await;
    }

    /// How many calls clients made since the bucket was opened.
    pub fn calls(&self) -> Calls {
        self.calls.snapshot()
    }
}
