//! Epochs: which purges a stored response has seen.
//!
//! Every purge gets the next epoch, and every fill carries the epoch that was
//! current when its origin request was sent. What was asked for before a purge
//! is not used after it, however late it arrives.

use std::sync::atomic::{AtomicU64, Ordering};

/// A point in the order of purges. The first is 0: before any purge.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Epoch(u64);

/// The order of purges of one shield.
#[derive(Debug, Default)]
pub struct Epochs {
    current: AtomicU64,
}

impl Epochs {
    /// The epoch of the newest purge.
    pub fn current(&self) -> Epoch {
        Epoch(self.current.load(Ordering::Acquire))
    }

    /// Begins a new epoch: whatever was asked of an origin before is no longer
    /// used for requests that start from now on.
    pub fn advance(&self) -> Epoch {
        Epoch(self.current.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// Whether a response that was asked for in `fill` may be used now.
    pub fn usable(&self, fill: Epoch) -> bool {
        fill >= self.current()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_before_a_purge_is_not_usable_after_it() {
        let epochs = Epochs::default();
        let before = epochs.current();
        assert!(epochs.usable(before));
        let purge = epochs.advance();
        assert!(!epochs.usable(before));
        assert!(epochs.usable(purge));
    }
}
