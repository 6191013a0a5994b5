//! The bucket as an origin: bounded in concurrency and in every wait.
//!
//! Reads only, and nothing is judged here: what arrived is checked by whoever
//! asked for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use metrics::Counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Fault;
use crate::asset::{KeyLayout, ObjectKey};
use crate::shield::metrics::Metrics;
use crate::store::{
    GetOutcome, GetRequest, ObjectBody, ObjectHead, ObjectRead, StoreError, StoreErrorKind,
};

/// Bodies that are read at a time for the cache, and as many again that are
/// passed on, so that slow visitors of large objects do not stop fills.
const READS_MAX: usize = 64;

/// How long a read waits for its turn.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the bucket may take until an object's head is there.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the bucket may be silent within a body.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// The bucket, read through its limits.
#[derive(Debug)]
pub(crate) struct Bucket {
    store: Arc<dyn ObjectRead>,
    layout: KeyLayout,
    filling: Arc<Semaphore>,
    passing: Arc<Semaphore>,
    fetches: Counter,
    bytes: Counter,
}

/// What a read is for. Each has its own share of [`READS_MAX`].
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
    bytes: Counter,
    turn: OwnedSemaphorePermit,
}

impl Bucket {
    pub(crate) fn new(store: Arc<dyn ObjectRead>, layout: KeyLayout, metrics: &Metrics) -> Self {
        let origin = [("origin", "bucket")];
        Self {
            store,
            layout,
            filling: Arc::new(Semaphore::new(READS_MAX)),
            passing: Arc::new(Semaphore::new(READS_MAX)),
            fetches: metrics.counter("awning_upstream_fetches_total", &origin),
            bytes: metrics.counter("awning_upstream_bytes_total", &origin),
        }
    }

    /// Asks for an object, and returns when its head is there.
    pub(crate) async fn open(
        &self,
        key: &ObjectKey,
        purpose: Purpose,
        request: GetRequest,
    ) -> Result<Opened, Fault> {
        let turn = self.turn(purpose).await?;
        self.fetches.increment(1);
        let full_key = self.layout.object(key);
        let reading = timeout(HEAD_TIMEOUT, self.store.get(&full_key, request));
        match reading.await.map_err(|_| Fault::Timeout)?.map_err(|error| fault(&error))? {
            GetOutcome::Found(object) => Ok(Opened {
                head: object.head,
                part: object.part,
                body: object.body,
                bytes: self.bytes.clone(),
                turn,
            }),
            // Nothing here asks on the condition that a validator changed.
            GetOutcome::NotModified => Err(Fault::Unavailable),
        }
    }

    /// Moves a body that was opened to fill to those that are passed on.
    pub(crate) async fn pass_on(&self, opened: Opened) -> Result<Opened, Fault> {
        let turn = self.turn(Purpose::PassOn).await?;
        Ok(Opened { turn, ..opened })
    }

    /// What the bucket knows of an object, without its bytes.
    pub(crate) async fn head(&self, key: &ObjectKey) -> Result<ObjectHead, Fault> {
        let _turn = self.turn(Purpose::PassOn).await?;
        self.fetches.increment(1);
        let full_key = self.layout.object(key);
        let reading = timeout(HEAD_TIMEOUT, self.store.head(&full_key));
        reading.await.map_err(|_| Fault::Timeout)?.map_err(|error| fault(&error))
    }

    async fn turn(&self, purpose: Purpose) -> Result<OwnedSemaphorePermit, Fault> {
        let turns = match purpose {
            Purpose::Fill => &self.filling,
            Purpose::PassOn => &self.passing,
        };
        let waiting = timeout(QUEUE_TIMEOUT, Arc::clone(turns).acquire_owned());
        // The semaphore is never closed, so its own error cannot come up.
        waiting.await.ok().and_then(Result::ok).ok_or(Fault::Overloaded)
    }
}

impl Opened {
    /// The next bytes, or `None` behind the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        match timeout(IDLE_TIMEOUT, self.body.next()).await {
            Err(_) => Err(Fault::Timeout),
            Ok(None) => Ok(None),
            Ok(Some(Err(error))) => Err(fault(&error)),
            Ok(Some(Ok(chunk))) => {
                self.bytes.increment(chunk.len() as u64);
                Ok(Some(chunk))
            }
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
