//! The wall clock, and the only place that reads it.
//!
//! Rules take `now` as an argument. Whoever starts a piece of work (a request,
//! a publish) asks a [`Clock`] once, so that the work sees one instant.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// A source of wall-clock time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that moves only when it is told to, for tests.
    Manual(ManualClock),
}

impl Clock {
    /// The present instant.
    pub fn now(&self) -> SystemTime {
        match self {
            #[expect(clippy::disallowed_methods, reason = "this is the one place")]
            Clock::System => SystemTime::now(),
            Clock::Manual(manual) => manual.now(),
        }
    }
}

/// A clock that stands still until [`ManualClock::advance`] moves it.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<SystemTime>>);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn at(start: SystemTime) -> Self {
        Self(Arc::new(Mutex::new(start)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }

    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
