//! What can stop a publish once its tree is built, grouped by what to do about it.

use std::fmt::{self, Write as _};

use super::source::ReadError;
use crate::asset::AssetPath;
use crate::manifest::{Activation, ActivationError, ManifestError, ReleaseId};
use crate::semantics::encoding::Coding;
use crate::store::{StoreError, StoreErrorKind};

/// A publish that went no further. Visitors see what they saw before, unless
/// the variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// A call to the store failed, and nothing was activated; or, if it was
    /// one on `head.json`, a record was written that the next publish honours.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Objects are missing. Running the publish again stores the rest.
    #[error(
        "{} of {} objects were not stored", .failed.len() + .unsent,
        .failed.len() + .unsent + .stored
    )]
    Incomplete {
        /// Objects that were stored.
        stored: usize,
        /// Objects that were not tried after the first failure.
        unsent: usize,
        /// Keys that failed, and why; at least one.
        failed: Vec<(String, StoreError)>,
    },
    /// The deadline passed before the release was stored, and nothing was
    /// activated. Running the publish again goes on: parts of large objects
    /// that arrived are not sent again.
    #[error(
        "the deadline passed when {}; nothing was activated, and running it again goes on",
        Progress(*.stored, *.unsent)
    )]
    Late {
        /// Objects that were stored.
        stored: usize,
        /// Objects that were not.
        unsent: usize,
    },
    /// A source file is not what it was when the release was built.
    #[error("`{path}` changed after it was hashed")]
    Changed {
        /// The asset.
        path: AssetPath,
        /// Why it could not be read, if it could not.
        #[source]
        source: Option<ReadError>,
    },
    /// A variant cannot be made again as it was planned. Without a cause, the
    /// release before was coded by encoders that make other bytes.
    #[error("`{path}` does not make the `{coding}` variant that was planned")]
    Uncoded {
        /// The asset.
        path: AssetPath,
        /// The content coding.
        coding: Coding,
        /// Why it could not be coded, if it could not.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The store holds other bytes than were sent.
    #[error("`{key}` was stored with other bytes than were sent")]
    Damaged {
        /// The full key.
        key: String,
    },
    /// The store holds other bytes under a name that a build tool gave, from a
    /// release that is not the channel's head.
    #[error(
        "`{key}` is stored with other bytes: the build gave two contents one name. Have it name \
         files by their content, or leave its manifest out of the tree"
    )]
    Occupied {
        /// The full key.
        key: String,
    },
    /// A record with the greatest number cannot be read, so the channel's head
    /// cannot be told.
    #[error("the activation record `{key}` cannot be read")]
    Record {
        /// The full key.
        key: String,
        /// Why.
        #[source]
        source: Option<ActivationError>,
    },
    /// The channel was switched by someone else. The release is stored, and
    /// can still be promoted.
    #[error("release {} is superseded by {}", .release.short(), .by.release.short())]
    Superseded {
        /// The release that was not switched to.
        release: ReleaseId,
        /// What the channel's head is instead.
        by: Box<Activation>,
    },
    /// Someone rolled the channel back, and publishes are refused until someone
    /// lets them. The release is stored, and can still be promoted.
    #[error("{}", Lock(.by))]
    Locked {
        /// The record that locks the channel.
        by: Box<Activation>,
    },
    /// No such release is in the bucket.
    #[error("there is no release {release} in the bucket")]
    NoRelease {
        /// The release.
        release: ReleaseId,
    },
    /// The manifest of a release is stored, and not what its name says.
    #[error("release {} cannot be read", .release.short())]
    Unreadable {
        /// The release.
        release: ReleaseId,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// Objects that a release needs are not as its manifest says. The channel
    /// was not switched.
    #[error("release {} is not whole: {} object(s) are missing or damaged",
        .release.short(), .objects.len())]
    Broken {
        /// The release.
        release: ReleaseId,
        /// The objects, in the order of their keys; at least one.
        objects: Vec<Broken>,
    },
    /// A list of condemned objects cannot be read, so what may be built on
    /// cannot be told. Without it, a collector writes the list anew.
    #[error("the list of condemned objects `{key}` cannot be read: look at it, then delete it")]
    Condemned {
        /// The full key.
        key: String,
        /// Why.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// A collector is deleting what this release needs, in a store without
    /// versions. Nothing was activated; a later run succeeds.
    #[error("a collector is deleting `{key}`, which this release needs: run it again in an hour")]
    Collecting {
        /// The full key.
        key: String,
    },
    /// More than [`DEADLINE`](super::DEADLINE) passed, so a collector might
    /// take what was stored for abandoned. Nothing was activated; running it
    /// again finishes the job.
    #[error("it took more than {} hours: run it again", super::DEADLINE.as_secs() / 3600)]
    TooLate,
    /// Other publishers kept switching the channel while its head was written.
    #[error("the head of the channel did not settle: too many publishers at once")]
    Unsettled,
    /// The channel's log holds more records than are read.
    #[error("the log of the channel holds more records than are read")]
    LogTooLong,
    /// The manifest or a record could not be written down.
    #[error("the release cannot be written down")]
    Unwritable(#[source] ManifestError),
    /// As [`PublishError::Unwritable`], for the intent.
    #[error("the intent cannot be written down")]
    UnwritableIntent(#[source] serde_json::Error),
    /// As [`PublishError::Unwritable`], for the activation record.
    #[error("the activation cannot be written down")]
    UnwritableRecord(#[source] ActivationError),
}

/// An object that is not as a manifest says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broken {
    /// The full key.
    pub key: String,
    /// Its length in bytes by the manifest.
    pub size: u64,
    /// Its length in the bucket; `None` where there is no such object.
    pub found: Option<u64>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, size, found } = self;
        match found {
            None => write!(f, "`{key}` is missing"),
            Some(found) => write!(f, "`{key}` has {found} bytes instead of {size}"),
        }
    }
}

/// How many objects were stored, and how many not.
struct Progress(usize, usize);

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self(0, 0) => f.write_str("nothing was sent yet"),
            Self(stored, 0) => write!(f, "all {stored} objects were stored"),
            Self(stored, unsent) => {
                write!(f, "{stored} of {} objects were stored", stored + unsent)
            }
        }
    }
}

/// The sentence that tells of a lock.
pub(super) struct Lock<'a>(pub(super) &'a Activation);

impl fmt::Display for Lock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Activation { activated, by, channel, release, .. } = self.0;
        write!(f, "channel `{channel}` is locked at {} since ", release.short())?;
        write_plain(f, activated)?;
        f.write_str(" by the rollback of ")?;
        write_plain(f, by.as_deref().unwrap_or("someone unnamed"))
    }
}

/// A bucket may hold any text, also one that moves a terminal's cursor.
fn write_plain(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.chars().filter(|c| !c.is_control()).try_for_each(|c| f.write_char(c))
}

impl PublishError {
    /// `release` did not become the head, because `head` is.
    pub(super) fn outranked(release: ReleaseId, head: Activation) -> Self {
        let by = Box::new(head);
        if by.locked { Self::Locked { by } } else { Self::Superseded { release, by } }
    }

    /// Whether trying again cannot help: credentials were rejected, or lack a
    /// capability, before anything was stored; or a cap is reached.
    pub fn is_denied(&self) -> bool {
        let capped = |error: &StoreError| error.kind() == StoreErrorKind::Capped;
        let denied = |error: &StoreError| error.kind() == StoreErrorKind::Denied || capped(error);
        match self {
            Self::Store(error) => denied(error),
            Self::Incomplete { failed, .. } if failed.iter().any(|(_, error)| capped(error)) => {
                true
            }
            Self::Incomplete { stored: 0, failed, .. } => {
                failed.iter().all(|(_, error)| denied(error))
            }
            _ => false,
        }
    }
}
