//! Whether a call that failed is made again, and when. Pure.
//!
//! The store tries a call several times by itself; this is what happens after.

use std::time::Duration;

use crate::store::StoreErrorKind;

/// How often in a row a call is made while the store fails and nothing else
/// is stored either.
const FRUITLESS_MAX: u32 = 4;

/// How long a store may ask to slow down without taking anything, where no
/// deadline says so: maintenance of B2's vaults lasts half an hour at most.
const SLOW_MAX: Duration = Duration::from_secs(30 * 60);

const WAIT_FIRST: Duration = Duration::from_millis(200);

const WAIT_MAX: Duration = Duration::from_secs(5);

/// Longest `Retry-After` that is obeyed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(20);

/// How often one call failed.
#[derive(Debug, Default)]
pub(super) struct Patience {
    rounds: u32,
    /// Rounds since anything was stored.
    fruitless: u32,
    /// What had been stored at the last failure.
    stored: Option<u64>,
}

/// What is known when a call has failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setback {
    pub(super) kind: StoreErrorKind,
    pub(super) retry_after: Option<Duration>,
    /// Calls that stored something so far, of any object.
    pub(super) stored: u64,
    /// How long ago the last of them was.
    pub(super) quiet: Duration,
    /// Whether the publish ends at a deadline.
    pub(super) has_deadline: bool,
}

impl Patience {
    /// How long to wait before the call is made again; `None` to give it up.
    ///
    /// A store that asks to slow down is given all the time there is: nothing
    /// fails for that before the deadline. One that fails is given up when
    /// all calls fail, one round after another.
    pub(super) fn judge(&mut self, setback: Setback) -> Option<Duration> {
        let goes_on = self.stored.is_some_and(|before| before < setback.stored);
        self.fruitless = if goes_on { 1 } else { self.fruitless + 1 };
        self.stored = Some(setback.stored);
        self.rounds += 1;
        let again = match setback.kind {
            StoreErrorKind::Throttled => setback.has_deadline || setback.quiet < SLOW_MAX,
            StoreErrorKind::Unavailable => self.fruitless < FRUITLESS_MAX,
            _ => false,
        };
        again.then(|| self.wait(setback.retry_after))
    }

    fn wait(&self, retry_after: Option<Duration>) -> Duration {
        let doubled = WAIT_FIRST * 2_u32.pow((self.rounds - 1).min(8));
        let backoff = doubled.min(WAIT_MAX);
        backoff.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setback(kind: StoreErrorKind) -> Setback {
        let quiet = Duration::ZERO;
        Setback { kind, retry_after: None, stored: 7, quiet, has_deadline: false }
    }

    fn millis(waits: &[u64]) -> Vec<Option<Duration>> {
        waits.iter().map(|wait| Some(Duration::from_millis(*wait))).collect()
    }

    #[test]
    fn a_store_that_only_fails_is_given_up_in_the_fourth_round() {
        let (mut patience, failed) = (Patience::default(), setback(StoreErrorKind::Unavailable));
        let waits: Vec<_> = (0..4).map(|_| patience.judge(failed)).collect();
        assert_eq!(waits[..3], millis(&[200, 400, 800]));
        assert_eq!(waits[3], None);
    }

    #[test]
    fn a_call_is_made_again_while_others_succeed() {
        let mut patience = Patience::default();
        for stored in 0..100 {
            let failed = Setback { stored, ..setback(StoreErrorKind::Unavailable) };
            assert!(patience.judge(failed).is_some(), "{stored}");
        }
    }

    #[test]
    fn a_store_that_asks_to_slow_down_is_waited_for() {
        let (mut patience, slow) = (Patience::default(), setback(StoreErrorKind::Throttled));
        let waits: Vec<_> = (0..8).map(|_| patience.judge(slow)).collect();
        assert_eq!(waits, millis(&[200, 400, 800, 1600, 3200, 5000, 5000, 5000]));

        let quiet = SLOW_MAX;
        assert_eq!(patience.judge(Setback { quiet, ..slow }), None);
        let until = Setback { quiet, has_deadline: true, ..slow };
        assert!(patience.judge(until).is_some(), "the deadline decides");
    }

    #[test]
    fn a_wait_that_the_store_names_is_obeyed_up_to_a_limit() {
        for (named, wait) in [(0, 200), (2_000, 2_000), (3_600_000, 20_000)] {
            let retry_after = Some(Duration::from_millis(named));
            let slow = Setback { retry_after, ..setback(StoreErrorKind::Throttled) };
            let expected = Some(Duration::from_millis(wait));
            assert_eq!(Patience::default().judge(slow), expected, "{named}");
        }
    }

    #[test]
    fn what_trying_again_cannot_help_is_given_up_at_once() {
        for kind in [
            StoreErrorKind::Denied,
            StoreErrorKind::Rejected,
            StoreErrorKind::NotFound,
            StoreErrorKind::Corrupt,
            StoreErrorKind::Precondition,
            StoreErrorKind::PartMissing,
        ] {
            assert_eq!(Patience::default().judge(setback(kind)), None, "{kind}");
        }
    }
}
