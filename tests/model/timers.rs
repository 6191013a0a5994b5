//! The timers of the code under test, on a clock that stands still until the
//! scheduler moves it. Nothing sleeps.

use std::time::Duration;

use tokio::runtime::{Builder, EnterGuard, Runtime};
use tokio::time;

/// Longer than a publish waits before it makes a failed call again.
const PASSING: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Timers(Runtime);

impl Timers {
    pub(super) fn new() -> Self {
        Self(Builder::new_current_thread().enable_time().start_paused(true).build().unwrap())
    }

    /// What is polled while the guard lives finds its timers.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.0.enter()
    }

    /// All timers that were set ring.
    pub(super) fn pass(&self) {
        self.0.block_on(async { time::sleep(PASSING).await });
    }
}
