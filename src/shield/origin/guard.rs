//! The breaker of one origin in use: its lock, its clock, and what it shows.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge};
use tokio::time::Instant;

use super::Fault;
use super::breaker::{Breaker, Standing};
use crate::shield::metrics::Metrics;

/// Keeps requests from an origin that is down.
#[derive(Debug)]
pub(crate) struct Guard {
    breaker: Mutex<Breaker>,
    /// 0 closed, 1 half-open, 2 open.
    standing: Gauge,
    refused: Counter,
}

impl Guard {
    /// The guard of the origin that has this name in metrics. It takes an origin
    /// for down after failures in a row that go on for longer than `patience`.
    pub(crate) fn of(origin: &str, patience: Duration, metrics: &Metrics) -> Self {
        let origin = [("origin", origin)];
        let standing = metrics.gauge("awning_origin_breaker", &origin);
        standing.set(0.0);
        let refused = metrics.counter("awning_origin_refused_total", &origin);
        refused.increment(0);
        Self { breaker: Mutex::new(Breaker::new(patience)), standing, refused }
    }

    /// Lets a request to the origin, or fails it at once.
    pub(crate) fn admit(&self) -> Result<(), Fault> {
        let mut breaker = self.breaker();
        let admitted = breaker.admits(Instant::now());
        self.show(breaker.standing());
        drop(breaker);
        if !admitted {
            self.refused.increment(1);
            return Err(Fault::Down);
        }
        Ok(())
    }

    /// Whether the last thing that was heard of the origin is a failure.
    pub(crate) fn is_failing(&self) -> bool {
        self.breaker().is_failing()
    }

    /// Learns from the end of a request that was let through.
    pub(crate) fn learn<T>(&self, end: &Result<T, Fault>) {
        let mut breaker = self.breaker();
        let before = breaker.standing();
        match end {
            Err(Fault::Unavailable | Fault::Timeout | Fault::Throttled) => {
                breaker.failed(Instant::now(), fastrand::f64());
            }
            _ => breaker.answered(),
        }
        let after = breaker.standing();
        self.show(after);
        drop(breaker);
        match (before, after) {
            (Standing::Closed, Standing::Open) => tracing::warn!("an origin is down"),
            (Standing::Open | Standing::HalfOpen, Standing::Closed) => {
                tracing::info!("an origin is back");
            }
            _ => {}
        }
    }

    fn show(&self, standing: Standing) {
        self.standing.set(match standing {
            Standing::Closed => 0.0,
            Standing::HalfOpen => 1.0,
            Standing::Open => 2.0,
        });
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
