//! What a plan will cost in calls, by B2's transaction classes.

use serde::Serialize;

use super::{Plan, Step};
use crate::publish::occupied;

/// Calls to the store by B2 class. Only B and C are billed, and capped.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct PlannedCalls {
    /// Writing.
    pub a: u64,
    /// Reading an object, or what is known of it.
    pub b: u64,
    /// Listing.
    pub c: u64,
}

/// Looking at the head again, which others may have written meanwhile.
const RENEWED: u64 = 1;

/// Intent, manifest, record and head.
const OWN_WRITES: u64 = 4;

/// The intent's date, the manifest, and the own record twice.
const OWN_READS: u64 = 4;

/// The condemned, and the log before and behind the record and the head.
const LISTS: u64 = 4;

impl Plan {
    /// The calls that publishing from here costs, reading the base included,
    /// when every call is answered at once, nothing is condemned and nobody
    /// else switches the channel.
    pub fn calls(&self) -> PlannedCalls {
        let base = if self.base.is_some() { 2 } else { 1 };
        if self.current {
            return PlannedCalls { b: base, ..PlannedCalls::default() };
        }
        let (objects, _) = self.uploads();
        let newest_record = u64::from(self.base.is_some());
        PlannedCalls {
            a: objects as u64 + OWN_WRITES,
            b: base + RENEWED + newest_record + OWN_READS + self.looked_up(),
            c: LISTS,
        }
    }

    /// Objects that are looked up before they are sent.
    fn looked_up(&self) -> u64 {
        let looked_up = |step: &&Step| match step {
            Step::Put { path, key, .. } => occupied::is_looked_up(path, key),
            Step::Keep { .. } => false,
        };
        self.steps.iter().filter(looked_up).count() as u64
    }
}
