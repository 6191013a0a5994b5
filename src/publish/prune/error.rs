//! Why a collector stopped. It deletes nothing that it is not sure of, so most
//! of these leave the bucket as it was.

use std::time::Duration;

use super::policy::GRACE_MIN;
use crate::manifest::ReleaseId;
use crate::publish::PublishError;
use crate::store::StoreError;

/// A collection that went no further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PruneError {
    /// A call to the store failed. What was deleted until then was condemned;
    /// the next run goes on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A head, a record, a manifest or a list cannot be read, so what is needed
    /// cannot be told. Nothing was deleted.
    #[error(transparent)]
    Unreadable(#[from] PublishError),
    /// The head of a channel names a release whose manifest is not there.
    /// Nothing was deleted.
    #[error("channel `{channel}` is at release {release}, whose manifest is missing")]
    NoManifest {
        /// The channel.
        channel: String,
        /// The release.
        release: ReleaseId,
    },
    /// A key or an intent that ought to be readable is not. Nothing was deleted.
    #[error("`{key}` cannot be read")]
    Malformed {
        /// The full key.
        key: String,
        /// Why, as far as it is known.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// The store does not say when an object was stored. Nothing was deleted.
    #[error("the store does not say when `{key}` was stored")]
    Undated {
        /// The full key.
        key: String,
    },
    /// A suspiciously large part of the bucket would go. Nothing was deleted.
    #[error(
        "{unneeded} of {objects} objects seem to be needed by nothing, more than {percent_max} %: \
         allow it if that is so"
    )]
    TooMany {
        /// Objects that nothing seems to need.
        unneeded: usize,
        /// All objects.
        objects: usize,
        /// The bound of the policy.
        percent_max: u8,
    },
    /// Publishes may be under way for longer than the grace.
    #[error("a grace of {} s is too short: at least {} hours",
        grace.as_secs(), GRACE_MIN.as_secs() / 3600)]
    Grace {
        /// The grace of the policy.
        grace: Duration,
    },
    /// The bucket holds more versions than are listed. Nothing was deleted.
    #[error("there are more than {versions_max} versions below `{prefix}`")]
    TooLarge {
        /// What was listed.
        prefix: String,
        /// The bound.
        versions_max: usize,
    },
    /// A list could not be written down.
    #[error("a list of condemned objects cannot be written down")]
    Unwritable(#[source] serde_json::Error),
}
