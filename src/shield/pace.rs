//! When something that is watched is looked at again: never quite in step with
//! the other shields of a fleet, and soon while it cannot be looked at.

use std::time::Duration;

use fastrand::Rng;

/// The pause while looking fails. What returns is seen in a moment, and a
/// store that has just come back is not overrun.
const FAILING: Duration = Duration::from_secs(1);

/// By how much of itself a pause is shortened at most.
const SHORTENED_MAX: f64 = 0.2;

/// The pauses of one watcher.
#[derive(Debug)]
pub(crate) struct Pace {
    every: Duration,
    random: Rng,
}

impl Pace {
    /// Pauses of at most `every`, which differ from those of another `seed`.
    pub(crate) fn new(every: Duration, seed: u64) -> Self {
        Self { every, random: Rng::with_seed(seed) }
    }

    /// How long to pause after a look that was `failing` or not.
    pub(crate) fn pause(&mut self, failing: bool) -> Duration {
        let whole = if failing { FAILING.min(self.every) } else { self.every };
        whole.mul_f64(1.0 - SHORTENED_MAX * self.random.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shields_that_start_together_soon_look_at_different_times() {
        let every = Duration::from_secs(5);
        let after_a_minute = |seed| {
            let mut pace = Pace::new(every, seed);
            (0..12).map(|_| pace.pause(false)).sum::<Duration>()
        };
        let mut times: Vec<_> = (0..20).map(after_a_minute).collect();
        assert_eq!(times, (0..20).map(after_a_minute).collect::<Vec<_>>(), "only the seed counts");
        times.sort();
        assert!(times[19] - times[0] > Duration::from_secs(1), "{times:?}");
        times.dedup();
        assert_eq!(times.len(), 20);
    }

    #[test]
    fn a_pause_is_never_longer_than_told_and_short_while_looking_fails() {
        let mut pace = Pace::new(Duration::from_secs(5), 7);
        for _ in 0..1000 {
            let (well, failing) = (pace.pause(false), pace.pause(true));
            assert!(well <= Duration::from_secs(5) && well >= Duration::from_secs(4), "{well:?}");
            assert!(failing <= FAILING && failing >= FAILING.mul_f64(0.8), "{failing:?}");
        }
        let mut hasty = Pace::new(Duration::from_millis(10), 7);
        assert!(hasty.pause(true) <= Duration::from_millis(10));
    }
}
