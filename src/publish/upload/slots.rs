//! Places for calls to the store, as many as [`Pace`] allows just now.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::pace::Pace;

/// The places.
pub(super) struct Slots {
    room: Semaphore,
    state: Mutex<State>,
}

struct State {
    pace: Pace,
    /// Places that there are, taken or free. May be more than are allowed
    /// while those above are taken.
    places: usize,
}

/// A place that one call has. It is free again when this is dropped.
pub(super) struct Slot<'a> {
    slots: &'a Slots,
    call: u64,
    permit: Option<SemaphorePermit<'a>>,
}

impl Slots {
    pub(super) fn new(max: usize) -> Self {
        // More places than a semaphore has would be no limit.
        let pace = Pace::new(max.min(Semaphore::MAX_PERMITS));
        let places = pace.allowed();
        Self { room: Semaphore::new(places), state: Mutex::new(State { pace, places }) }
    }

    /// Waits for a place, in the order of asking.
    pub(super) async fn take(&self) -> Slot<'_> {
        // `None` only from a closed semaphore, and this one is never closed.
        let permit = self.room.acquire().await.ok();
        Slot { slots: self, call: self.state().pace.begin(), permit }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot<'_> {
    /// The store took the call.
    pub(super) fn succeed(self) {
        self.slots.state().pace.succeed();
    }

    /// The store asked to slow down.
    pub(super) fn slow_down(self) {
        self.slots.state().pace.slow_down(self.call);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        let allowed = state.pace.allowed();
        let over = state.places.saturating_sub(allowed);
        if over > 0
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
            state.places -= 1 + self.slots.room.forget_permits(over - 1);
        } else if state.places < allowed {
            self.slots.room.add_permits(allowed - state.places);
            state.places = allowed;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn take_all(slots: &Slots) -> Vec<Slot<'_>> {
        std::iter::from_fn(|| slots.take().now_or_never()).collect()
    }

    #[test]
    fn there_are_as_many_places_as_the_pace_allows() {
        let slots = Slots::new(10);
        let mut taken = take_all(&slots);
        assert_eq!(taken.len(), 10);
        taken.pop().unwrap().slow_down();
        // All of these began before the cut.
        taken.into_iter().for_each(Slot::slow_down);
        let mut taken = take_all(&slots);
        assert_eq!(taken.len(), 7);
        taken.pop().unwrap().succeed();
        drop(taken);
        assert_eq!(take_all(&slots).len(), 7);
        for _ in 0..7 {
            slots.take().now_or_never().unwrap().succeed();
        }
        assert_eq!(take_all(&slots).len(), 8);
    }

    #[test]
    fn a_call_that_is_given_up_frees_its_place() {
        let slots = Slots::new(1);
        for _ in 0..3 {
            let taken = take_all(&slots);
            assert_eq!(taken.len(), 1);
        }
    }
}
