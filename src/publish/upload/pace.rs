//! How many calls may be under way at once: one more for every round that the
//! store took, a third fewer when it asks to slow down. Pure.

/// The limit on calls under way, between 1 and a maximum.
#[derive(Debug)]
pub(super) struct Pace {
    max: usize,
    allowed: usize,
    /// Calls that succeeded since the limit last changed.
    taken: usize,
    /// Calls begun so far.
    begun: u64,
    /// Calls begun when the limit was last cut: what they meet was there
    /// before the cut, and says nothing about the new limit.
    cut_at: u64,
}

impl Pace {
    /// Begins with all that is allowed.
    pub(super) fn new(max: usize) -> Self {
        let max = max.max(1);
        Self { max, allowed: max, taken: 0, begun: 0, cut_at: 0 }
    }

    /// Calls that may be under way at once.
    pub(super) fn allowed(&self) -> usize {
        self.allowed
    }

    /// A call begins; its number tells it from others.
    pub(super) fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    /// A call was taken. After as many as may be under way at once, one more may.
    pub(super) fn succeed(&mut self) {
        self.taken += 1;
        if self.taken >= self.allowed && self.allowed < self.max {
            self.allowed += 1;
            self.taken = 0;
        }
    }

    /// The store asked a call to slow down. Counts once a round trip: not
    /// for calls that began before the last cut.
    pub(super) fn slow_down(&mut self, call: u64) {
        if call <= self.cut_at {
            return;
        }
        self.cut_at = self.begun;
        self.allowed = (self.allowed * 7 / 10).max(1);
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A round of calls that begin together, all of which end alike.
    fn round(pace: &mut Pace, slowed: bool) -> usize {
        let calls: Vec<u64> = (0..pace.allowed()).map(|_| pace.begin()).collect();
        for call in calls {
            if slowed { pace.slow_down(call) } else { pace.succeed() }
        }
        pace.allowed()
    }

    #[test]
    fn a_round_that_is_slowed_down_cuts_once() {
        let mut pace = Pace::new(32);
        let limits: Vec<usize> = (0..10).map(|_| round(&mut pace, true)).collect();
        assert_eq!(limits, [22, 15, 10, 7, 4, 2, 1, 1, 1, 1]);
    }

    #[test]
    fn a_round_that_is_taken_allows_one_more_up_to_the_maximum() {
        let mut pace = Pace::new(4);
        (0..5).for_each(|_| _ = round(&mut pace, true));
        assert_eq!(pace.allowed(), 1);
        let limits: Vec<usize> = (0..5).map(|_| round(&mut pace, false)).collect();
        assert_eq!(limits, [2, 3, 4, 4, 4]);
    }

    #[test]
    fn a_call_from_before_the_cut_does_not_cut_again() {
        let mut pace = Pace::new(10);
        let (early, late) = (pace.begin(), pace.begin());
        pace.slow_down(early);
        pace.slow_down(late);
        assert_eq!(pace.allowed(), 7);
        let next = pace.begin();
        pace.slow_down(next);
        assert_eq!(pace.allowed(), 4);
    }

    #[test]
    fn there_is_always_room_for_one() {
        let mut pace = Pace::new(0);
        assert_eq!(pace.allowed(), 1);
        assert_eq!(round(&mut pace, true), 1);
        assert_eq!(round(&mut pace, false), 1);
    }

    #[test]
    fn a_store_that_takes_so_many_at_once_is_met_there() {
        // It slows down whatever is beyond ten calls at once.
        let mut pace = Pace::new(64);
        let mut limits = Vec::new();
        for _ in 0..200 {
            let calls: Vec<u64> = (0..pace.allowed()).map(|_| pace.begin()).collect();
            for (at, call) in calls.into_iter().enumerate() {
                if at < 10 { pace.succeed() } else { pace.slow_down(call) }
            }
            limits.push(pace.allowed());
        }
        assert!(limits[20..].iter().all(|limit| (7..=11).contains(limit)), "{limits:?}");
    }
}
