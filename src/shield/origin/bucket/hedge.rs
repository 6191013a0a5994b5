//! When a second read may race a first one that is late: pure.
//!
//! Late is what 19 of 20 answers are not, by the newest answers. What races is
//! paid for by the reads that did not, one in twenty.

use std::time::Duration;

/// Answers that are remembered, and needed before anything is called late.
pub(crate) const SAMPLES: usize = 1024;

/// Answers between two looks at all that are remembered.
const LOOK_EVERY: usize = 64;

/// Reads that pay for one hedge: at most one in twenty is hedged.
const READS_PER_HEDGE: u32 = 20;

/// Hedges that may be saved up for a bad moment.
const HEDGES_MAX: u32 = 5;

/// Nothing is late before this: two reads of a near bucket cost more than the
/// wait for one.
const LATE_MIN: Duration = Duration::from_millis(10);

/// What is known of how fast answers come, and how many hedges are paid for.
#[derive(Debug, Default)]
pub(crate) struct Hedge {
    /// The newest answers in microseconds, a ring.
    samples: Vec<u32>,
    next: usize,
    late: Option<Duration>,
    /// Reads that have not paid for a hedge yet.
    credit: u32,
}

impl Hedge {
    /// A read begins. How long to wait for its answer before it is late;
    /// `None` while too little is known.
    pub(crate) fn begin(&mut self) -> Option<Duration> {
        self.credit = (self.credit + 1).min(HEDGES_MAX * READS_PER_HEDGE);
        self.late
    }

    /// Takes one hedge, if it is paid for.
    pub(crate) fn take(&mut self) -> bool {
        let left = self.credit.checked_sub(READS_PER_HEDGE);
        self.credit = left.unwrap_or(self.credit);
        left.is_some()
    }

    /// An answer came after this long.
    pub(crate) fn answered(&mut self, after: Duration) {
        let sample = u32::try_from(after.as_micros()).unwrap_or(u32::MAX);
        match self.samples.get_mut(self.next) {
            Some(oldest) => *oldest = sample,
            None => self.samples.push(sample),
        }
        self.next = (self.next + 1) % SAMPLES;
        if self.samples.len() == SAMPLES && self.next.is_multiple_of(LOOK_EVERY) {
            self.late = Some(p95(self.samples.clone()).max(LATE_MIN));
        }
    }
}

fn p95(mut samples: Vec<u32>) -> Duration {
    let at = samples.len() * 95 / 100;
    let (_, p95, _) = samples.select_nth_unstable(at);
    Duration::from_micros(u64::from(*p95))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answers = &'static [(usize, u64)];

    /// A hedge that saw these many answers of so many milliseconds, in turn.
    fn after(answers: Answers) -> Hedge {
        let mut hedge = Hedge::default();
        for (count, millis) in answers {
            for _ in 0..*count {
                hedge.answered(Duration::from_millis(*millis));
            }
        }
        hedge
    }

    #[test]
    fn late_is_what_19_of_20_of_the_newest_answers_are_not() {
        let table: [(Answers, Option<u64>); 7] = [
            (&[], None),
            (&[(SAMPLES - 1, 20)], None),
            (&[(SAMPLES, 20)], Some(20)),
            (&[(SAMPLES, 0)], Some(10)),
            (&[(SAMPLES - 51, 20), (51, 900)], Some(20)),
            (&[(SAMPLES - 52, 20), (52, 900)], Some(900)),
            (&[(SAMPLES, 900), (SAMPLES, 20)], Some(20)),
        ];
        for (answers, expected) in table {
            let mut hedge = after(answers);
            let late = hedge.begin().map(|late| late.as_millis());
            assert_eq!(late, expected.map(u128::from), "{answers:?}");
            assert!(hedge.samples.len() <= SAMPLES);
        }
    }

    #[test]
    fn at_most_one_read_in_twenty_is_hedged() {
        let mut hedge = Hedge::default();
        assert!(!hedge.take());
        let hedged = (0..1000).filter(|_| {
            hedge.begin();
            hedge.take()
        });
        assert_eq!(hedged.count(), 50);
        // What was not used for long is not all used at once.
        for _ in 0..1000 {
            hedge.begin();
        }
        assert_eq!((0..1000).filter(|_| hedge.take()).count(), 5);
    }
}
