//! Waits that grow and are jittered: pure, the randomness is an argument.
//!
//! Nothing waits here; whoever waits asks how long.

use std::time::Duration;

/// How waits grow from one failure to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    /// The wait behind the first failure, before its jitter.
    pub(crate) first: Duration,
    /// No wait is longer.
    pub(crate) most: Duration,
}

impl Backoff {
    /// The wait behind the last of `failures` in a row: doubled by each of
    /// them, and between half of that and all of it by `chance` (0 to 1), so
    /// that those who failed together do not come back together.
    pub(crate) fn pause(self, failures: u32, chance: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let full = self.first.saturating_mul(1 << doublings).min(self.most);
        full.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait_up_to_the_longest() {
        let backoff = Backoff { first: Duration::from_millis(50), most: Duration::from_secs(1) };
        let table = [
            (0, 1.0, 50),
            (1, 1.0, 50),
            (1, 0.0, 25),
            (1, 0.5, 37),
            (2, 1.0, 100),
            (5, 1.0, 800),
            (6, 1.0, 1000),
            (6, 0.0, 500),
            (u32::MAX, 1.0, 1000),
            (1, 7.0, 50),
            (1, -7.0, 25),
        ];
        for (failures, chance, expected) in table {
            let pause = backoff.pause(failures, chance);
            assert_eq!(pause.as_millis(), expected, "{failures} failures, chance {chance}");
        }
    }
}
