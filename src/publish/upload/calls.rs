//! One call to the store: it waits for its place and its bandwidth, and is
//! made again as long as that makes sense.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use super::bandwidth::Bandwidth;
use super::outcome::Failure;
use super::patience::{Patience, Setback};
use super::slots::Slots;
use crate::store::{StoreError, StoreErrorKind};

/// What all calls of an upload share.
pub(super) struct Calls {
    slots: Slots,
    bandwidth: Option<Mutex<Bandwidth>>,
    began: Instant,
    has_deadline: bool,
    /// Cancelled by the first failure.
    stopped: CancellationToken,
    stored: AtomicU64,
    last_stored: Mutex<Instant>,
    /// Bytes of parts that arrived, of objects that are not whole yet.
    partial: AtomicU64,
    part_arrived: Notify,
}

impl Calls {
    pub(super) fn new(max: usize, per_second: Option<NonZeroU64>, has_deadline: bool) -> Self {
        let began = Instant::now();
        Self {
            slots: Slots::new(max),
            bandwidth: per_second.map(|limit| Mutex::new(Bandwidth::new(limit))),
            began,
            has_deadline,
            stopped: CancellationToken::new(),
            stored: AtomicU64::new(0),
            last_stored: Mutex::new(began),
            partial: AtomicU64::new(0),
            part_arrived: Notify::new(),
        }
    }

    /// From now on, no call is begun.
    pub(super) fn stop(&self) {
        self.stopped.cancel();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.is_cancelled()
    }

    /// Makes a call that stores `bytes` bytes until it succeeds or fails for
    /// good. A call that waits to be made again has no place among those
    /// under way, so others go on meanwhile.
    pub(super) async fn make<'c, T>(
        &self,
        key: &str,
        bytes: u64,
        call: impl Fn() -> BoxFuture<'c, Result<T, StoreError>>,
    ) -> Result<T, Failure> {
        let mut patience = Patience::default();
        loop {
            let error = match self.make_once(bytes, &call).await? {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let wait = patience.judge(self.setback(&error));
            let fails = || Failure::Store(key.to_owned(), error);
            match wait {
                Some(wait) if self.sleep(wait).await => {}
                _ => return Err(fails()),
            }
        }
    }

    /// Counts the parts of an object that arrive.
    pub(super) fn partial(&self) -> Partial<'_> {
        Partial { calls: self, bytes: AtomicU64::new(0) }
    }

    /// Waits for another part; then returns the bytes of all that arrived for
    /// objects that are not whole yet.
    pub(super) async fn part_arrived(&self) -> u64 {
        self.part_arrived.notified().await;
        self.partial_bytes()
    }

    /// Bytes of parts that arrived for objects that are not whole yet.
    pub(super) fn partial_bytes(&self) -> u64 {
        self.partial.load(Ordering::Relaxed)
    }

    async fn make_once<'c, T>(
        &self,
        bytes: u64,
        call: &impl Fn() -> BoxFuture<'c, Result<T, StoreError>>,
    ) -> Result<Result<T, StoreError>, Failure> {
        let slot = self.slots.take().await;
        if !self.sleep(self.wait_for(bytes)).await {
            return Err(Failure::Stopped);
        }
        let outcome = call().await;
        match &outcome {
            Ok(_) => {
                self.stored.fetch_add(1, Ordering::Relaxed);
                *self.last_stored.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                slot.succeed();
            }
            Err(error) if error.kind() == StoreErrorKind::Throttled => slot.slow_down(),
            Err(_) => drop(slot),
        }
        Ok(outcome)
    }

    /// Waits; `false` if everything was stopped meanwhile.
    async fn sleep(&self, wait: Duration) -> bool {
        if !wait.is_zero() {
            tokio::select! {
                () = self.stopped.cancelled() => {}
                () = time::sleep(wait) => {}
            }
        }
        !self.is_stopped()
    }

    /// How long the bandwidth makes a body of so many bytes wait.
    fn wait_for(&self, bytes: u64) -> Duration {
        let Some(bandwidth) = self.bandwidth.as_ref().filter(|_| bytes > 0) else {
            return Duration::ZERO;
        };
        let mut bandwidth = bandwidth.lock().unwrap_or_else(PoisonError::into_inner);
        bandwidth.take(bytes, self.began.elapsed())
    }

    fn setback(&self, error: &StoreError) -> Setback {
        let last = *self.last_stored.lock().unwrap_or_else(PoisonError::into_inner);
        Setback {
            kind: error.kind(),
            retry_after: error.retry_after(),
            stored: self.stored.load(Ordering::Relaxed),
            quiet: last.elapsed(),
            has_deadline: self.has_deadline,
        }
    }
}

/// Bytes of the parts of one object that arrived. They are no longer counted
/// when this is dropped: then the object is whole, or its parts are sent again.
pub(super) struct Partial<'a> {
    calls: &'a Calls,
    bytes: AtomicU64,
}

impl Partial<'_> {
    pub(super) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.calls.partial.fetch_add(bytes, Ordering::Relaxed);
        self.calls.part_arrived.notify_one();
    }
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        self.calls.partial.fetch_sub(self.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}
