//! Names that the bucket was just found not to have.
//!
//! They are remembered for a second at most, because an asset may be published
//! right after somebody asked for it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::{CacheKey, Epoch, Epochs};

/// How long an absence is believed.
const LIFETIME: Duration = Duration::from_secs(1);

/// Absences remembered at a time; more are not remembered.
const NAMES_MAX: usize = 4096;

/// Names that the bucket does not have.
#[derive(Debug, Default)]
pub(crate) struct Absent {
    names: Mutex<HashMap<CacheKey, Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: SystemTime,
    epoch: Epoch,
    listed: bool,
}

impl Absent {
    /// Remembers that the bucket, asked in `epoch`, did not have `key`, and
    /// whether a release listed it then.
    pub(crate) fn note(&self, key: CacheKey, epoch: Epoch, now: SystemTime, listed: bool) {
        let mut names = self.names();
        if names.len() >= NAMES_MAX {
            names.retain(|_, seen| seen.is_fresh(now));
        }
        if names.len() < NAMES_MAX {
            names.insert(key, Seen { at: now, epoch, listed });
        }
    }

    /// Whether `key` was listed when the bucket was found not to have it, a
    /// moment ago and after the newest purge; `None` if it was not so found.
    pub(crate) fn knows(&self, key: &CacheKey, epochs: &Epochs, now: SystemTime) -> Option<bool> {
        let seen = self.names().get(key).copied();
        let seen = seen.filter(|seen| seen.is_fresh(now) && epochs.usable(seen.epoch));
        seen.map(|seen| seen.listed)
    }

    fn names(&self) -> MutexGuard<'_, HashMap<CacheKey, Seen>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// A clock that went back makes an absence stale, never eternal.
    fn is_fresh(&self, now: SystemTime) -> bool {
        now.duration_since(self.at).is_ok_and(|age| age < LIFETIME)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::asset::ObjectKey;

    fn key(number: usize) -> CacheKey {
        CacheKey::Object(ObjectKey::parse(&format!("a/{number}")).unwrap())
    }

    #[test]
    fn an_absence_is_believed_for_a_second_and_until_the_next_purge() {
        let (absent, epochs, now) = (Absent::default(), Epochs::default(), UNIX_EPOCH + LIFETIME);
        absent.note(key(1), epochs.current(), now, false);
        assert_eq!(absent.knows(&key(1), &epochs, now), Some(false));
        assert_eq!(absent.knows(&key(2), &epochs, now), None);
        assert_eq!(absent.knows(&key(1), &epochs, now + LIFETIME), None);
        assert_eq!(absent.knows(&key(1), &epochs, UNIX_EPOCH), None);
        epochs.advance();
        assert_eq!(absent.knows(&key(1), &epochs, now), None);
    }

    #[test]
    fn no_more_than_4096_absences_are_remembered() {
        let (absent, epochs, now) = (Absent::default(), Epochs::default(), UNIX_EPOCH);
        for number in 0..=NAMES_MAX {
            absent.note(key(number), epochs.current(), now, false);
        }
        assert_eq!(absent.names().len(), NAMES_MAX);
        assert_eq!(absent.knows(&key(NAMES_MAX), &epochs, now), None);

        absent.note(key(NAMES_MAX), epochs.current(), now + LIFETIME, true);
        assert_eq!(absent.names().len(), 1);
    }
}
