//! Epochs: which purges a stored response has seen.
//!
//! Every purge gets the next epoch, and every fill carries the epoch that was
//! current when its origin request was sent. What was asked for before a purge
//! is not used after it, however late it arrives. Where responses outlive the
//! process, so do the epochs.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::disk::Ledger;

/// A point in the order of purges. The first is 0: before any purge.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Epoch(u64);

/// The order of purges of one shield.
#[derive(Debug, Default)]
pub struct Epochs {
    current: AtomicU64,
    ledger: OnceLock<Arc<Ledger>>,
    /// Whether responses may outlive the process before there is a ledger.
    late: AtomicBool,
}

/// An epoch could not be made to outlive the process, so it did not begin.
#[derive(Debug, thiserror::Error)]
#[error("the epoch of a purge cannot be kept")]
pub struct EpochNotKept(#[from] io::Error);

impl Epoch {
    /// Its place in the order.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    pub(crate) fn from_number(number: u64) -> Self {
        Self(number)
    }
}

impl Epochs {
    /// The epoch of the newest purge.
    pub fn current(&self) -> Epoch {
        Epoch(self.current.load(Ordering::Acquire))
    }

    /// Begins a new epoch: whatever was asked of an origin before is no longer
    /// used for requests that start from now on, in this process. A purge that
    /// is to be acknowledged takes [`Epochs::begin`].
    pub fn advance(&self) -> Epoch {
        match self.begin() {
            Ok(epoch) => epoch,
            Err(error) => {
                let why = &error as &dyn std::error::Error;
                tracing::error!(error = why, "this purge may not outlive the process");
                Epoch(self.current.fetch_add(1, Ordering::AcqRel) + 1)
            }
        }
    }

    /// Begins a new epoch that outlives the process where responses do. With a
    /// disk tier this waits for the disk: not on a thread that serves requests.
    pub fn begin(&self) -> Result<Epoch, EpochNotKept> {
        let Some(ledger) = self.ledger.get() else {
            if self.late.load(Ordering::Acquire) {
                return Err(io::Error::from(io::ErrorKind::NotConnected).into());
            }
            return Ok(Epoch(self.current.fetch_add(1, Ordering::AcqRel) + 1));
        };
        let next = ledger.next(self.current.load(Ordering::Acquire))?;
        // Durable first, then visible.
        self.raise_to(next);
        Ok(Epoch(next))
    }

    /// Whether a response that was asked for in `fill` may be used now.
    pub fn usable(&self, fill: Epoch) -> bool {
        fill >= self.current()
    }

    /// Whether a response that another process may have stored may be used:
    /// only if its epoch is known here.
    pub(crate) fn usable_from_disk(&self, fill: Epoch) -> bool {
        fill == self.current()
    }

    /// There will be a ledger, as soon as the disk gives it. What is begun until
    /// then is not kept.
    pub(crate) fn keep_later(&self) {
        self.late.store(true, Ordering::Release);
    }

    /// Keeps all epochs in a ledger from now on, which stands at `number`.
    pub(crate) fn keep_in(&self, ledger: Arc<Ledger>, number: u64) {
        // Only a tier that is opened twice would find another one there.
        let _ = self.ledger.set(ledger);
        self.raise_to(number);
    }

    /// Takes note of epochs that another process began.
    pub(crate) fn raise_to(&self, number: u64) {
        self.current.fetch_max(number, Ordering::AcqRel);
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
