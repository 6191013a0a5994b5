//! When what is stored for a URI was made unusable last.
//!
//! What was asked for before is not stored. It is kept apart from what is
//! stored, which is evicted, and it is exact as long as it matters: no fill
//! takes so long that thousands of URIs change meanwhile.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::asset::Digest;

/// URIs whose turn is known. When there are more, what is asked for before the
/// newest of them is not stored, whatever its URI.
const CHANGES_MAX: usize = 4096;

/// The turns of the newest requests that changed something.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    turns: HashMap<Digest, u64>,
    /// No URI was changed later than that, of those that are forgotten.
    floor: u64,
}

impl Changes {
    /// Remembers that the request of this turn changed what is at a URI.
    pub(crate) fn note(&self, uri: Digest, turn: u64) {
        let mut recent = self.recent();
        if recent.turns.len() >= CHANGES_MAX {
            let newest = recent.turns.drain().map(|(_, turn)| turn).max();
            recent.floor = recent.floor.max(newest.unwrap_or_default());
        }
        let newest = recent.turns.entry(uri).or_default();
        *newest = turn.max(*newest);
    }

    /// The turn of the newest request that may have changed what is at a URI.
    pub(crate) fn newest(&self, uri: &Digest) -> u64 {
        let recent = self.recent();
        recent.turns.get(uri).copied().unwrap_or_default().max(recent.floor)
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

    #[test]
    fn a_change_of_one_uri_is_none_of_another() {
        let changes = Changes::default();
        for number in 1..CHANGES_MAX {
            changes.note(uri(number), number as u64);
        }
        changes.note(uri(7), 3);
        let known = [0, 1, 7, CHANGES_MAX - 1].map(|number| changes.newest(&uri(number)));
        assert_eq!(known, [0, 1, 7, CHANGES_MAX as u64 - 1]);
    }

    #[test]
    fn what_is_forgotten_is_taken_for_changed() {
        let changes = Changes::default();
        for number in 1..=CHANGES_MAX {
            changes.note(uri(number), number as u64);
        }
        changes.note(uri(0), u64::MAX);
        let newest = CHANGES_MAX as u64;
        let known = [0, 1, CHANGES_MAX].map(|number| changes.newest(&uri(number)));
        assert_eq!(known, [u64::MAX, newest, newest]);
        assert!(changes.recent().turns.len() <= CHANGES_MAX);
    }
}
