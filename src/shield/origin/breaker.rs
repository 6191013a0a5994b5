//! Whether an origin is asked at all: a circuit breaker, pure, `now` and the
//! randomness are arguments.
//!
//! It judges answers by nothing but whether there was one. That an origin has
//! no such object is an answer.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;

/// Failures in a row, with no answer between them, that open it.
const FAILURES_MAX: u32 = 5;

/// How long it stays open. Together with the lease of a probe that is less
/// than the five seconds in which an origin that is back has to be found.
const OPEN: Backoff =
    Backoff { first: Duration::from_millis(500), most: Duration::from_millis(2000) };

/// A probe that has not ended by then has nobody waiting behind it: another is
/// let through. It covers the probe that was cancelled, too.
const PROBE_LEASE: Duration = Duration::from_secs(2);

/// A circuit breaker.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// How long failures go on before they open it. A few requests that the
    /// origin cannot bear, all at once, do not keep from it what it can.
    patience: Duration,
    /// Failures since the last answer.
    failures: u32,
    /// When the first of them was.
    failing_since: Option<Instant>,
    state: State,
}

/// What a breaker does with requests.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// All go to the origin.
    #[default]
    Closed,
    /// None goes to the origin until then.
    Open { until: Instant },
    /// One is on its way to find out; none goes until then.
    Probing { until: Instant },
}

/// The state of a breaker as a metric shows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    /// The origin is asked.
    Closed,
    /// One request finds out whether the origin is back.
    HalfOpen,
    /// The origin is left alone.
    Open,
}

impl Breaker {
    /// A closed one, which opens after failures in a row for that long.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, ..Self::default() }
    }

    /// Whether a request may go to the origin now. One that may must be
    /// followed by [`answered`](Self::answered) or [`failed`](Self::failed),
    /// unless it was cancelled.
    pub(crate) fn admits(&mut self, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } | State::Probing { until } if now < until => false,
            State::Open { .. } | State::Probing { .. } => {
                self.state = State::Probing { until: now + PROBE_LEASE };
                true
            }
        }
    }

    /// The origin answered: it is there.
    pub(crate) fn answered(&mut self) {
        *self = Self::new(self.patience);
    }

    /// The origin did not answer, or answered that it cannot.
    pub(crate) fn failed(&mut self, now: Instant, chance: f64) {
        self.failures = self.failures.saturating_add(1);
        let since = *self.failing_since.get_or_insert(now);
        let brief = now.saturating_duration_since(since) < self.patience;
        match self.state {
            State::Closed if self.failures < FAILURES_MAX || brief => {}
            // What was on its way when it opened tells nothing new.
            State::Open { until } if now < until => {
                self.failures = self.failures.saturating_sub(1);
            }
            _ => {
                if self.state == State::Closed {
                    self.failures = FAILURES_MAX;
                }
                let openings = self.failures.saturating_sub(FAILURES_MAX - 1);
                self.state = State::Open { until: now + OPEN.pause(openings, chance) };
            }
        }
    }

    /// Whether the last thing that was heard of the origin is a failure.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// The state now.
    pub(crate) fn standing(&self) -> Standing {
        match self.state {
            State::Closed => Standing::Closed,
            State::Open { .. } => Standing::Open,
            State::Probing { .. } => Standing::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to a breaker, and at which millisecond.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Fails(u64),
        Answers,
        Admits(u64),
        Refuses(u64),
    }

    use Step::{Admits, Answers, Fails, Refuses};

    const FIVE: [Step; 5] = [Fails(0); 5];

    fn play(patience: Duration, steps: &[Step]) -> Breaker {
        let (mut breaker, begin) = (Breaker::new(patience), Instant::now());
        let at = |millis| begin + Duration::from_millis(millis);
        for (number, step) in steps.iter().enumerate() {
            match *step {
                Fails(when) => breaker.failed(at(when), 1.0),
                Answers => breaker.answered(),
                Admits(when) => assert!(breaker.admits(at(when)), "{number} of {steps:?}"),
                Refuses(when) => assert!(!breaker.admits(at(when)), "{number} of {steps:?}"),
            }
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_closes_it() {
        let table: [(&[Step], Standing); 10] = [
            (&[], Standing::Closed),
            (&[Fails(0), Fails(0), Fails(0), Fails(0), Admits(0)], Standing::Closed),
            (&[Fails(0), Fails(0), Fails(0), Fails(0), Answers, Fails(0)], Standing::Closed),
            (&[Refuses(0), Refuses(499)], Standing::Open),
            (&[Admits(500), Refuses(500), Refuses(2499)], Standing::HalfOpen),
            (&[Admits(500), Answers, Admits(500), Admits(500)], Standing::Closed),
            (&[Admits(500), Fails(600), Refuses(1599), Admits(1600)], Standing::HalfOpen),
            // A probe of which nothing is heard has a successor.
            (&[Admits(500), Admits(2500), Refuses(2500)], Standing::HalfOpen),
            // What failed late does not keep it open longer.
            (&[Fails(10), Fails(499), Admits(500), Fails(500), Refuses(1499)], Standing::Open),
            // It is never open for more than two seconds.
            (
                &[
                    Admits(500),
                    Fails(500),
                    Admits(1500),
                    Fails(1500),
                    Admits(3500),
                    Fails(3500),
                    Refuses(5499),
                    Admits(5500),
                ],
                Standing::HalfOpen,
            ),
        ];
        for (number, (steps, expected)) in table.into_iter().enumerate() {
            let opened = if number < 3 { Vec::new() } else { FIVE.to_vec() };
            let breaker = play(Duration::ZERO, &[&opened, steps].concat());
            assert_eq!(breaker.standing(), expected, "{steps:?}");
        }
    }
    #[test]
    fn a_patient_one_waits_whether_an_answer_comes_between() {
        let table: [(&[Step], Standing); 4] = [
            (&[Fails(0), Fails(0), Admits(0)], Standing::Closed),
            (&[Fails(499), Admits(499)], Standing::Closed),
            (&[Fails(500), Refuses(501)], Standing::Open),
            (&[Answers, Fails(500), Fails(500), Fails(900), Admits(900)], Standing::Closed),
        ];
        for (steps, expected) in table {
            let breaker = play(Duration::from_millis(500), &[&FIVE, steps].concat());
            assert_eq!(breaker.standing(), expected, "{steps:?}");
        }
    }
}
