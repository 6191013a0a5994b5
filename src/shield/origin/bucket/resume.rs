//! A body that broke off, and how long its rest is asked for.
//!
//! Only the rest of the very same object is taken: a strong validator says
//! so, and what the whole has to hash to proves it in the end.

use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Calls, Opened, fault};
use crate::shield::origin::Fault;
use crate::shield::origin::backoff::Backoff;
use crate::store::{ByteRange, GetOutcome, GetRequest, Object, StoreErrorKind};

/// How long a body may stand still from the moment it broke off. Its clients
/// wait as long before they see an error.
pub(super) const STANDSTILL_MAX: Duration = Duration::from_secs(10);

/// How often the rest is asked for while the body stands still.
const TRIES_MAX: u32 = 16;

/// Bytes that make a body move again. A body that brings less than that
/// before it breaks off once more still stands still, so that the number of
/// its reads is limited by its length.
const PROGRESS_BYTES: u64 = 16 * 1024;

const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), most: Duration::from_secs(1) };

/// What is needed to ask for the rest of a body.
pub(super) struct Rest {
    pub(super) calls: Arc<Calls>,
    pub(super) key: String,
    /// The validator of the object; without a strong one there is no rest.
    pub(super) etag: Option<String>,
    /// The size of the whole object.
    pub(super) size: u64,
    /// The offset of the next byte.
    pub(super) at: u64,
    /// The offset behind the last byte that was asked for.
    pub(super) end: u64,
    pub(super) trouble: Option<Trouble>,
    pub(super) resumed: Counter,
}

/// A standstill: since when, and what was done about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    deadline: Instant,
    tries: u32,
    /// Bytes that came since.
    bytes: u64,
}

impl Rest {
    /// So many bytes came.
    pub(super) fn moved(&mut self, bytes: u64) {
        self.at += bytes;
        if let Some(trouble) = &mut self.trouble {
            trouble.bytes += bytes;
            if trouble.bytes >= PROGRESS_BYTES {
                self.trouble = None;
            }
        }
    }

    /// Whether all bytes came that were asked for.
    pub(super) fn is_whole(&self) -> bool {
        self.at >= self.end
    }

    /// When a body that stands still is given up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.trouble.map(|trouble| trouble.deadline)
    }

    /// The rest of a body that broke off with this fault; or the fault, when
    /// there is none to be had in time.
    pub(super) async fn fetch(&mut self, mut why: Fault) -> Result<Object, Fault> {
        let etag = self.etag.clone().filter(|etag| etag.starts_with('"')).ok_or(why)?;
        loop {
            let pause = self.pause(Instant::now(), fastrand::f64()).ok_or(why)?;
            sleep(pause).await;
            match self.ask(&etag).await {
                Ok(rest) => {
                    self.resumed.increment(1);
                    return Ok(rest);
                }
                // The breaker only puts off the next try.
                Err(Fault::Down) => {}
                Err(again @ (Fault::Unavailable | Fault::Timeout | Fault::Throttled)) => {
                    why = again;
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// How long to wait before the next try; `None` when it was the last.
    fn pause(&mut self, now: Instant, chance: f64) -> Option<Duration> {
        let fresh = Trouble { deadline: now + STANDSTILL_MAX, tries: 0, bytes: 0 };
        let trouble = self.trouble.get_or_insert(fresh);
        trouble.tries += 1;
        let pause = BACKOFF.pause(trouble.tries, chance);
        let in_time = trouble.tries <= TRIES_MAX && now + pause < trouble.deadline;
        in_time.then_some(pause)
    }

    async fn ask(&self, etag: &str) -> Result<Object, Fault> {
        let last = self.end.saturating_sub(1);
        let request = GetRequest {
            range: Some(ByteRange::Bounded(self.at, last)),
            if_match: Some(etag.to_owned()),
            if_none_match: None,
        };
        let deadline = self.deadline().unwrap_or_else(Instant::now);
        let asking = self.calls.get(&self.key, request);
        let answer = timeout_at(deadline, asking).await.map_err(|_| Fault::Timeout)??;
        let GetOutcome::Found(rest) = answer else { return Err(Fault::Corrupt) };
        let same = rest.part == Some((self.at, last))
            && rest.head.size == self.size
            && rest.head.etag.as_deref() == Some(etag);
        if same { Ok(rest) } else { Err(Fault::Corrupt) }
    }
}

impl Opened {
    /// Goes on with the rest of a body that broke off.
    pub(super) async fn resume(&mut self, why: Fault) -> Result<(), Fault> {
        tracing::debug!(key = self.rest.key, at = self.rest.at, "a body broke off");
        match self.rest.fetch(why).await {
            Ok(object) => self.body = object.body,
            // It was there when the body began.
            Err(Fault::NotFound) => return Err(Fault::Unavailable),
            Err(fault) => return Err(fault),
        }
        Ok(())
    }
}

/// What a failed call means, when part of the object came before.
pub(super) fn of_rest(error: &crate::store::StoreError) -> Fault {
    match error.kind() {
        StoreErrorKind::Precondition => Fault::Corrupt,
        _ => fault(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shield::metrics::Metrics;
    use crate::store::memory::MemoryStore;

    fn rest() -> Rest {
        let metrics = Metrics::default();
        Rest {
            calls: Arc::new(Calls::new(Arc::new(MemoryStore::default()), &metrics)),
            key: "a".to_owned(),
            etag: None,
            size: 1 << 20,
            at: 0,
            end: 1 << 20,
            trouble: None,
            resumed: metrics.counter("awning_origin_resumed_total", &[]),
        }
    }

    #[test]
    fn a_body_that_stands_still_is_asked_for_sixteen_times_or_ten_seconds() {
        // What a try takes besides its pause, in milliseconds, and the tries.
        for (takes, tries) in [(0, 13), (1000, 7), (9000, 2), (10_000, 1), (60_000, 1)] {
            let (mut rest, mut now) = (rest(), Instant::now());
            let pauses = std::iter::from_fn(|| {
                let pause = rest.pause(now, 1.0)?;
                now += pause + Duration::from_millis(takes);
                Some(pause)
            });
            assert_eq!(pauses.count(), tries, "{takes} ms each");
        }
        let (mut rest, now) = (rest(), Instant::now());
        assert_eq!((0..100).filter_map(|_| rest.pause(now, 1.0)).count(), 16);
    }

    #[test]
    fn a_body_that_moves_has_all_its_tries_again() {
        let now = Instant::now();
        for (bytes, tries) in [(0, 15), (PROGRESS_BYTES - 1, 15), (PROGRESS_BYTES, 16)] {
            let mut rest = rest();
            assert!(rest.pause(now, 1.0).is_some());
            rest.moved(bytes);
            assert_eq!((0..100).filter_map(|_| rest.pause(now, 1.0)).count(), tries, "{bytes}");
            assert_eq!(rest.at, bytes);
        }
    }
}
