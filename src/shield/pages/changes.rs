//! When what is stored for a URI was made unusable last.
//!
//! What was asked for before is not stored. It is kept apart from what is
//! stored, which is evicted, and it is exact as long as it matters: no fill
//! takes so long that thousands of URIs change meanwhile.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::asset::Digest;

/// URIs whose turn is known. When there are more, what is asked for before the
/// newest of them is not stored, whatever its URI.
const CHANGES_MAX: usize = 4096;

/// When something was changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Changed {
    /// The turn of the request that did so.
    pub(crate) turn: u64,
    /// The time, for what has no turn because it is older than the process.
    pub(crate) at: SystemTime,
}

/// The turns of the newest requests that changed something.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    changed: HashMap<Digest, Changed>,
    /// No URI was changed later than that, of those that are forgotten.
    floor: Changed,
}

impl Default for Changed {
    fn default() -> Self {
        Self { turn: 0, at: UNIX_EPOCH }
    }
}

impl Changed {
    fn or_later(self, other: Self) -> Self {
        Self { turn: self.turn.max(other.turn), at: self.at.max(other.at) }
    }
}

impl Changes {
    /// Remembers that a request changed what is at a URI.
    pub(crate) fn note(&self, uri: Digest, changed: Changed) {
        let mut recent = self.recent();
        if recent.changed.len() >= CHANGES_MAX {
            let forgotten: Vec<_> = recent.changed.drain().map(|(_, changed)| changed).collect();
            recent.floor = forgotten.into_iter().fold(recent.floor, Changed::or_later);
        }
        let newest = recent.changed.entry(uri).or_default();
        *newest = newest.or_later(changed);
    }

    /// When what is at a URI may have been changed last.
    pub(crate) fn newest(&self, uri: &Digest) -> Changed {
        let recent = self.recent();
        recent.changed.get(uri).copied().unwrap_or_default().or_later(recent.floor)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(number: usize) -> Digest {
        Digest::of(number.to_string().as_bytes())
    }

    fn turn(turn: usize) -> Changed {
        Changed { turn: turn as u64, at: UNIX_EPOCH }
    }

    #[test]
    fn a_change_of_one_uri_is_none_of_another() {
        let changes = Changes::default();
        for number in 1..CHANGES_MAX {
            changes.note(uri(number), turn(number));
        }
        changes.note(uri(7), turn(3));
        let known = [0, 1, 7, CHANGES_MAX - 1].map(|number| changes.newest(&uri(number)).turn);
        assert_eq!(known, [0, 1, 7, CHANGES_MAX as u64 - 1]);
    }

    #[test]
    fn what_is_forgotten_is_taken_for_changed() {
        let changes = Changes::default();
        for number in 1..=CHANGES_MAX {
            changes.note(uri(number), turn(number));
        }
        changes.note(uri(0), turn(CHANGES_MAX + 1));
        let newest = CHANGES_MAX as u64;
        let known = [0, 1, CHANGES_MAX].map(|number| changes.newest(&uri(number)).turn);
        assert_eq!(known, [newest + 1, newest, newest]);
        assert!(changes.recent().changed.len() <= CHANGES_MAX);
    }
}
