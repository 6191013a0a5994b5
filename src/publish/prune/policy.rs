//! What a collector keeps, how long it waits, and what it refuses to do.

use std::time::Duration;

use super::error::PruneError;
use crate::publish::CONCURRENCY_DEFAULT;

/// The shortest grace: twice the [`DEADLINE`](crate::publish::DEADLINE) of a publish.
pub const GRACE_MIN: Duration = hours(24);

/// The grace, unless told otherwise.
pub const GRACE_DEFAULT: Duration = hours(72);

/// Releases of each channel that are kept, unless told otherwise.
pub const KEEP_DEFAULT: usize = 10;

/// How long a release is kept after another took its place, unless told otherwise.
pub const KEEP_FOR_DEFAULT: Duration = hours(30 * 24);

/// Percentage of the objects that may be condemned or deleted, unless told otherwise.
pub const DELETE_PERCENT_DEFAULT: u8 = 30;

/// What is kept, and how careful a collector is.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Different releases of each channel that are kept, the newest first.
    /// The records of the two greatest numbers are kept whatever this says.
    pub keep: usize,
    /// How long a release is kept after another took its place in a channel.
    /// Pages that were made with it may be in caches so long.
    pub keep_for: Duration,
    /// How old an object must be to be condemned, and how long it then is
    /// left alone: at least [`GRACE_MIN`].
    pub grace: Duration,
    /// Where more than this percentage of all objects would be condemned or
    /// deleted, nothing is: more likely something was misread.
    pub delete_percent_max: u8,
    /// Calls at the same time; 0 counts as 1.
    pub concurrency: usize,
    /// Only tells what would be done. Writes and deletes nothing.
    pub dry_run: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            keep: KEEP_DEFAULT,
            keep_for: KEEP_FOR_DEFAULT,
            grace: GRACE_DEFAULT,
            delete_percent_max: DELETE_PERCENT_DEFAULT,
            concurrency: CONCURRENCY_DEFAULT,
            dry_run: false,
        }
    }
}

impl Policy {
    /// Refuses a grace in which a publish may be under way.
    pub(super) fn check(&self) -> Result<(), PruneError> {
        if self.grace < GRACE_MIN { Err(PruneError::Grace { grace: self.grace }) } else { Ok(()) }
    }

    /// How long a release is kept after another took its place.
    pub(super) fn kept_after(&self) -> Duration {
        self.keep_for.max(self.grace)
    }
}

const fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 60 * 60)
}
