//! The bucket as an origin: bounded in concurrency and in every wait, left
//! alone while it is down, and read on where a body broke off.
//!
//! Reads only, and nothing is judged here: what arrived is checked by whoever
//! asked for it.

mod calls;
mod hedge;
mod resume;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use metrics::Counter;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::Fault;
use crate::asset::{KeyLayout, ObjectKey};
use crate::shield::metrics::Metrics;
use crate::store::{
    GetOutcome, GetRequest, ObjectBody, ObjectHead, ObjectRead, StoreError, StoreErrorKind,
};
use calls::Calls;
use resume::Rest;
use turns::Turns;

/// Bodies that are read at a time for the cache. A thousand cold objects of a
/// bucket that takes half a second for each are then there within the time
/// that a read waits for its turn.
const FILLS_MAX: usize = 256;

/// Bodies that are read at a time to be passed on. They have turns of their
/// own, so that slow visitors of large objects do not stop fills.
const PASSED_ON_MAX: usize = 64;

/// How long the bucket may be silent within a body.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// The bucket, read through its limits.
#[derive(Debug)]
pub(crate) struct Bucket {
    calls: Arc<Calls>,
    layout: KeyLayout,
    filling: Turns,
    passing: Turns,
    bytes: Counter,
    resumed: Counter,
}

/// What a read is for. Each has turns of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// The cache takes the body as fast as it comes.
    Fill,
    /// A visitor takes the body as slowly as they like.
    PassOn,
}

/// An object whose body is about to be read.
pub(crate) struct Opened {
    pub(crate) head: ObjectHead,
    pub(crate) part: Option<(u64, u64)>,
    body: ObjectBody,
    rest: Rest,
    bytes: Counter,
    turn: OwnedSemaphorePermit,
}

impl Bucket {
    pub(crate) fn new(store: Arc<dyn ObjectRead>, layout: KeyLayout, metrics: &Metrics) -> Self {
        let origin = [("origin", "bucket")];
        let resumed = metrics.counter("awning_origin_resumed_total", &origin);
        resumed.increment(0);
        Self {
            calls: Arc::new(Calls::new(store, metrics)),
            layout,
            filling: Turns::of(FILLS_MAX, "fill", metrics),
            passing: Turns::of(PASSED_ON_MAX, "pass_on", metrics),
            bytes: metrics.counter("awning_upstream_bytes_total", &origin),
            resumed,
        }
    }

    /// Asks for an object, and returns when its head is there.
    pub(crate) async fn open(
        &self,
        key: &ObjectKey,
        purpose: Purpose,
        request: GetRequest,
    ) -> Result<Opened, Fault> {
        let turns = self.turns(purpose);
        let turn = turns.take().await?;
        let key = self.layout.object(key);
        // Under load a second read would only make the others slower.
        let race = || turns.is_quiet().then(|| turns.try_take()).flatten();
        match self.calls.open(&key, request, race).await? {
            GetOutcome::Found(object) => {
                let (head, part) = (object.head, object.part);
                let (at, end) = part.map_or((0, head.size), |(first, last)| (first, last + 1));
                let rest = Rest {
                    calls: Arc::clone(&self.calls),
                    key,
                    etag: head.etag.clone(),
                    size: head.size,
                    at,
                    end,
                    trouble: None,
                    resumed: self.resumed.clone(),
                };
                Ok(Opened { head, part, body: object.body, rest, bytes: self.bytes.clone(), turn })
            }
            // Nothing here asks on the condition that a validator changed.
            GetOutcome::NotModified => Err(Fault::Unavailable),
        }
    }

    /// Moves a body that was opened to fill to those that are passed on.
    pub(crate) async fn pass_on(&self, opened: Opened) -> Result<Opened, Fault> {
        let turn = self.passing.take().await?;
        Ok(Opened { turn, ..opened })
    }

    /// What the bucket knows of an object, without its bytes.
    pub(crate) async fn head(&self, key: &ObjectKey) -> Result<ObjectHead, Fault> {
        let _turn = self.passing.take().await?;
        self.calls.head(&self.layout.object(key)).await
    }

    fn turns(&self, purpose: Purpose) -> &Turns {
        match purpose {
            Purpose::Fill => &self.filling,
            Purpose::PassOn => &self.passing,
        }
    }
}

impl Opened {
    /// The next bytes, or `None` behind the last. A body that breaks off is
    /// read on, as long as it is the same object's and comes in time.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let silence = Instant::now() + IDLE_TIMEOUT;
            let until = self.rest.deadline().map_or(silence, |deadline| deadline.min(silence));
            let why = match timeout_at(until, self.body.next()).await {
                Ok(Some(Ok(chunk))) => {
                    self.bytes.increment(chunk.len() as u64);
                    self.rest.moved(chunk.len() as u64);
                    return Ok(Some(chunk));
                }
                _ if self.rest.is_whole() => return Ok(None),
                Ok(None) => Fault::Unavailable,
                Ok(Some(Err(error))) => fault(&error),
                Err(_) => Fault::Timeout,
            };
            self.resume(why).await?;
        }
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("head", &self.head)
            .field("turn", &self.turn)
            .finish_non_exhaustive()
    }
}

/// Logs what a visitor must not learn, and keeps what they may.
fn fault(error: &StoreError) -> Fault {
    if error.kind() != StoreErrorKind::NotFound {
        tracing::warn!(error = error as &dyn std::error::Error, "the bucket failed");
    }
    Fault::from(error)
}
