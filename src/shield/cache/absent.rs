//! Names that the bucket was just found not to have, or failed to give.
//!
//! They are remembered for a second: no longer, because an asset may be
//! published right after somebody asked for it; and no shorter, because a
//! bucket that fails is asked for a name once a second, whoever wants it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::{CacheKey, Epoch, Epochs};
use crate::shield::origin::Fault;

/// How long an absence is believed, and a name left alone after a failure.
const LIFETIME: Duration = Duration::from_secs(1);

/// Names remembered at a time; more are not remembered.
const NAMES_MAX: usize = 4096;

/// Names that the bucket does not have, or cannot give.
#[derive(Debug, Default)]
pub(crate) struct Absent {
    names: Mutex<HashMap<CacheKey, Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: SystemTime,
    epoch: Epoch,
    why: Why,
}

/// Why there is nothing to be had under a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Why {
    /// The bucket does not have it.
    Absent {
        /// Whether a release listed it when the bucket was asked.
        listed: bool,
    },
    /// The bucket failed to give it.
    Failed(Fault),
}

impl Absent {
    /// Remembers that the bucket, asked in `epoch`, did not give `key`.
    pub(crate) fn note(&self, key: CacheKey, epoch: Epoch, now: SystemTime, why: Why) {
        let mut names = self.names();
        if names.len() >= NAMES_MAX {
            names.retain(|_, seen| seen.is_fresh(now));
        }
        if names.len() < NAMES_MAX {
            names.insert(key, Seen { at: now, epoch, why });
        }
    }

    /// Why the bucket did not give `key`, when it was asked a moment ago and
    /// after the newest purge; `None` if it was not.
    pub(crate) fn knows(&self, key: &CacheKey, epochs: &Epochs, now: SystemTime) -> Option<Why> {
        let seen = self.names().get(key).copied();
        let seen = seen.filter(|seen| seen.is_fresh(now) && epochs.usable(seen.epoch));
        seen.map(|seen| seen.why)
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

    const UNLISTED: Why = Why::Absent { listed: false };

    fn key(number: usize) -> CacheKey {
        CacheKey::Object(ObjectKey::parse(&format!("a/{number}")).unwrap())
    }

    #[test]
    fn an_absence_or_a_failure_is_believed_for_a_second_and_until_the_next_purge() {
        let (absent, epochs, now) = (Absent::default(), Epochs::default(), UNIX_EPOCH + LIFETIME);
        let failed = Why::Failed(Fault::Timeout);
        absent.note(key(1), epochs.current(), now, UNLISTED);
        absent.note(key(3), epochs.current(), now, failed);
        assert_eq!(absent.knows(&key(1), &epochs, now), Some(UNLISTED));
        assert_eq!(absent.knows(&key(3), &epochs, now), Some(failed));
        assert_eq!(absent.knows(&key(2), &epochs, now), None);
        assert_eq!(absent.knows(&key(1), &epochs, now + LIFETIME), None);
        assert_eq!(absent.knows(&key(1), &epochs, UNIX_EPOCH), None);
        epochs.advance();
        assert_eq!(absent.knows(&key(1), &epochs, now), None);
    }

    #[test]
    fn no_more_than_4096_names_are_remembered() {
        let (absent, epochs, now) = (Absent::default(), Epochs::default(), UNIX_EPOCH);
        for number in 0..=NAMES_MAX {
            absent.note(key(number), epochs.current(), now, UNLISTED);
        }
        assert_eq!(absent.names().len(), NAMES_MAX);
        assert_eq!(absent.knows(&key(NAMES_MAX), &epochs, now), None);

        absent.note(key(NAMES_MAX), epochs.current(), now + LIFETIME, UNLISTED);
        assert_eq!(absent.names().len(), 1);
    }
}
