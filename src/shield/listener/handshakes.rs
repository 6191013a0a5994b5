//! TLS handshakes under way. They cost more than anything else a stranger can
//! ask for, so there are only so many; and strangers who begin one and stop
//! must not keep others waiting, so the oldest makes room for the newest.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Handshakes at the same time.
pub(super) const HANDSHAKES_MAX: usize = 256;

/// Those of one certificate.
#[derive(Debug, Default)]
pub(super) struct Handshakes(Mutex<Underway>);

#[derive(Debug, Default)]
struct Underway {
    last: u64,
    /// By numbers that grow, so the first is the oldest.
    open: BTreeMap<u64, CancellationToken>,
}

/// One of them; it is over when this is dropped.
#[derive(Debug)]
pub(super) struct Handshake<'a> {
    among: &'a Handshakes,
    number: u64,
    crowded_out: CancellationToken,
}

impl Handshakes {
    /// Begins one, at the cost of the oldest if need be.
    pub(super) fn begin(&self) -> Handshake<'_> {
        let mut underway = self.underway();
        if underway.open.len() >= HANDSHAKES_MAX
            && let Some((_, oldest)) = underway.open.pop_first()
        {
            oldest.cancel();
        }
        underway.last += 1;
        let (number, crowded_out) = (underway.last, CancellationToken::new());
        underway.open.insert(number, crowded_out.clone());
        Handshake { among: self, number, crowded_out }
    }

    fn underway(&self) -> MutexGuard<'_, Underway> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handshake<'_> {
    /// Waits for it; `None` when it had to make room.
    pub(super) async fn wait_for<T>(&self, handshake: impl Future<Output = T>) -> Option<T> {
        self.crowded_out.run_until_cancelled(handshake).await
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.among.underway().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_handshake_makes_room_for_the_newest() {
        let handshakes = Handshakes::default();
        let mut underway: Vec<_> = (0..HANDSHAKES_MAX).map(|_| handshakes.begin()).collect();
        assert!(underway.iter().all(|one| !one.crowded_out.is_cancelled()));
        let newest = handshakes.begin();
        let crowded_out = |one: &Handshake<'_>| one.crowded_out.is_cancelled();
        assert_eq!(underway.iter().position(crowded_out), Some(0));
        assert_eq!(handshakes.underway().open.len(), HANDSHAKES_MAX);
        underway.truncate(2);
        let _another = handshakes.begin();
        assert!(!crowded_out(&underway[1]) && !crowded_out(&newest), "there is room again");
    }
}
