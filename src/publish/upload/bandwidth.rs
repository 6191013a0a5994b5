//! A limit on bytes a second, as a token bucket. Pure: the time is an argument.

use std::num::NonZeroU64;
use std::time::Duration;

/// What may be saved up while nothing is sent.
const SAVED: Duration = Duration::from_secs(1);

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A bucket of bytes that fills at a constant rate and holds those of a second.
///
/// A body is sent in one go once all bytes before it are paid for, so the
/// limit holds on average, and not within a body.
#[derive(Debug)]
pub(super) struct Bandwidth {
    per_second: NonZeroU64,
    /// When all bytes that were taken so far are paid for, on the clock of the
    /// caller. Being the only state, it cannot disagree with itself.
    paid: Duration,
}

impl Bandwidth {
    pub(super) fn new(per_second: NonZeroU64) -> Self {
        Self { per_second, paid: Duration::ZERO }
    }

    /// Takes bytes out of the bucket, and tells how long to wait before they
    /// are sent. `now` never goes back.
    pub(super) fn take(&mut self, bytes: u64, now: Duration) -> Duration {
        let paid = self.paid.max(now.saturating_sub(SAVED));
        self.paid = paid.saturating_add(self.time_of(bytes));
        paid.saturating_sub(now)
    }

    fn time_of(&self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * NANOS_PER_SECOND / u128::from(self.per_second.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn bandwidth(per_second: u64) -> Bandwidth {
        Bandwidth::new(NonZeroU64::new(per_second).unwrap())
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_body_waits_until_those_before_it_are_paid_for() {
        let mut bandwidth = bandwidth(MIB);
        let waits = [2 * MIB, MIB, MIB].map(|bytes| bandwidth.take(bytes, seconds(0)));
        assert_eq!(waits, [seconds(0), seconds(2), seconds(3)]);
        assert_eq!(bandwidth.take(MIB, seconds(3)), seconds(1));
    }

    #[test]
    fn no_more_than_a_second_is_saved_up() {
        let mut bandwidth = bandwidth(MIB);
        let later = seconds(3600);
        let waits = [MIB, MIB, MIB].map(|bytes| bandwidth.take(bytes, later));
        assert_eq!(waits, [seconds(0), seconds(0), seconds(1)]);
    }

    #[test]
    fn the_average_is_the_limit_whatever_the_sizes() {
        let mut bandwidth = bandwidth(1000);
        let (mut now, mut sent) = (seconds(0), 0);
        for bytes in [1, 999, 50, 7000, 0, 3, 1947].repeat(10) {
            now += bandwidth.take(bytes, now);
            sent += bytes;
        }
        let average = sent as f64 / now.as_secs_f64();
        assert!((1000.0..1050.0).contains(&average), "{average}");
    }

    #[test]
    fn nothing_overflows() {
        let mut bandwidth = bandwidth(1);
        bandwidth.take(u64::MAX, seconds(0));
        assert!(bandwidth.take(u64::MAX, seconds(1)) > seconds(u64::MAX / 2_000_000_000));
    }
}
