//! Bodies that are too large for memory: written to disk as they arrive, and
//! read from there by all who want them, from whatever place.
//!
//! The last chunk is released by the proof of the whole alone, so nobody gets
//! to the end of a body that is not the one that was published.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::Method;
use http::header::RANGE;
use tokio::sync::watch;

use super::body::{ResponseBody, empty};
use super::cache::{Budget, Chunks, Head, Reservation, SavedHead, Writer};
use super::fill::{Arrival, Fill, MEMORY_TIMEOUT, PIECE_BYTES};
use super::flight::{Handover, Progress};
use super::origin::Fault;
use super::pass_on::{self, Cut};
use super::recall::key_of;
use super::request::GatedRequest;
use super::wanted::Wanted;
use crate::asset::Blake3;
use crate::semantics::range::{Selection, select};

/// Bytes of a chunk of the disk tier.
const CHUNK_BYTES: u64 = crate::shield::cache::CHUNK_BYTES;

/// Memory of one reader: the chunk that is sent, and the next.
const READER_BYTES: u64 = 2 * CHUNK_BYTES;

/// How long a reader waits for it.
const READER_TIMEOUT: Duration = Duration::from_millis(500);

/// How far behind what has arrived a range may begin to be waited for.
const WAIT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A body that arrives on disk.
#[derive(Debug)]
pub(crate) struct Spool {
    pub(crate) head: Head,
    pub(crate) body: Chunks,
    ready: watch::Receiver<Ready>,
}

/// How much of it may be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ready {
    /// So many chunks.
    Chunks(u64),
    /// All of it: it is proven.
    Whole,
    /// No more will come.
    Failed(Fault),
}

impl Spool {
    /// How much may be read, from now on.
    pub(crate) fn ready(&self) -> watch::Receiver<Ready> {
        self.ready.clone()
    }

    /// Whether a request is for a range that will not arrive soon.
    pub(crate) fn is_far_from(&self, request: &GatedRequest) -> bool {
        let arrived = match *self.ready.borrow() {
            Ready::Chunks(chunks) => chunks * CHUNK_BYTES,
            Ready::Whole => return false,
            Ready::Failed(_) => 0,
        };
        let range = request.headers.get(RANGE).and_then(|range| range.to_str().ok());
        match range.map(|range| select(range, self.head.size)) {
            Some(Selection::Part(first, _)) => first > arrived + WAIT_BYTES_MAX,
            _ => false,
        }
    }
}

impl Fill {
    /// Whether a body that finds no memory may go to disk.
    pub(super) fn may_spool(&self, wanted: &Wanted, size: u64) -> bool {
        wanted.page.is_none() && size > 0 && self.cache.disk.is_some()
    }

    /// Writes a body to disk as it arrives. Where the disk does not take it,
    /// each client fetches its own.
    pub(super) async fn spool(&self, arrival: Arrival<'_>) -> Result<Progress, Fault> {
        let size = arrival.opened.head.size;
        let budget = &self.cache.budget;
        let begun = match &self.cache.disk {
            Some(disk) if self.may_spool(arrival.wanted, size) => {
                let window = budget.reserve(budget.window_bytes(), MEMORY_TIMEOUT).await;
                let writer = disk.begin(&key_of(&arrival.wanted.object), size).await;
                window.zip(writer)
            }
            _ => None,
        };
        let Some((_window, writer)) = begun else {
            return Ok(Progress::Unshared(Arc::new(Handover::of(arrival.opened))));
        };
        let head = arrival.head();
        let (sender, ready) = watch::channel(Ready::Chunks(0));
        let spool = Arc::new(Spool { head, body: writer.body(size), ready });
        arrival.takeoff.spooling(Arc::clone(&spool));
        let written = self.write(arrival, writer, &spool.head, &sender).await;
        if let Err(fault) = written {
            sender.send_replace(Ready::Failed(fault));
            return Err(fault);
        }
        Ok(Progress::Spooling(spool))
    }

    async fn write(
        &self,
        mut arrival: Arrival<'_>,
        mut writer: Writer,
        head: &Head,
        ready: &watch::Sender<Ready>,
    ) -> Result<(), Fault> {
        // A disk that fails is no failure of the origin, to be remembered as one.
        let last = head.size.div_ceil(CHUNK_BYTES) - 1;
        let (mut hasher, mut received) = (Blake3::default(), 0_u64);
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        while let Some(chunk) = arrival.opened.next().await? {
            received += chunk.len() as u64;
            if received > head.size {
                return Err(Fault::Corrupt);
            }
            hasher.update(&chunk);
            piece.extend_from_slice(&chunk);
            if piece.len() >= PIECE_BYTES {
                let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE_BYTES));
                writer = writer.write(Bytes::from(full)).await.ok_or(Fault::Overloaded)?;
                ready.send_replace(Ready::Chunks(writer.chunks().min(last)));
            }
        }
        let found = hasher.digest();
        arrival.check(&found, received)?;
        writer = writer.write(Bytes::from(piece)).await.ok_or(Fault::Overloaded)?;
        writer = writer.flush().await.ok_or(Fault::Overloaded)?;
        ready.send_replace(Ready::Whole);
        if let Some(meta) = SavedHead::of(head, found) {
            // Who reads it has it whole already, whatever comes of its name.
            writer.commit(meta, arrival.takeoff.epoch, self.clock.now()).await;
        }
        Ok(())
    }
}

/// The memory that a reader of a body on disk takes; none for one that gets no
/// body.
pub(super) async fn window(
    budget: &Budget,
    request: &GatedRequest,
) -> Result<Option<Arc<Reservation>>, Fault> {
    if request.method == Method::HEAD {
        return Ok(None);
    }
    let bytes = READER_BYTES.min(budget.body_bytes_max());
    let window = budget.reserve(bytes, READER_TIMEOUT).await;
    window.map(|window| Some(Arc::new(window))).ok_or(Fault::Overloaded)
}

/// The bytes of a body on disk between two offsets, both included, as far as
/// they are `ready`; all of them are where nothing is said of that.
pub(super) fn body(
    chunks: Chunks,
    ready: Option<watch::Receiver<Ready>>,
    range: Option<(u64, u64)>,
    window: Option<Arc<Reservation>>,
) -> ResponseBody {
    let Some((first, last)) = range else { return empty() };
    let index = first / CHUNK_BYTES;
    let before = index * CHUNK_BYTES;
    let reader = Reader {
        chunks,
        ready,
        index,
        cut: Cut::new(first - before, last - before),
        _window: window,
    };
    pass_on::body(stream::try_unfold(reader, async |mut reader| {
        Ok(reader.next().await?.map(|part| (part, reader)))
    }))
}

/// One reader of a body on disk.
struct Reader {
    chunks: Chunks,
    ready: Option<watch::Receiver<Ready>>,
    index: u64,
    cut: Cut,
    _window: Option<Arc<Reservation>>,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        if self.cut.is_done() || self.index >= self.chunks.count() {
            return Ok(None);
        }
        self.arrived().await?;
        let chunk = self.chunks.read(self.index).await.map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "a body on disk breaks off");
            Fault::Unavailable
        })?;
        self.index += 1;
        Ok(Some(self.cut.of(&chunk)))
    }

    async fn arrived(&mut self) -> Result<(), Fault> {
        let Some(ready) = &mut self.ready else { return Ok(()) };
        let index = self.index;
        let there = |ready: &Ready| match ready {
            Ready::Chunks(chunks) => *chunks > index,
            Ready::Whole | Ready::Failed(_) => true,
        };
        // The flight's task ended without a word: it panicked.
        let ready = *ready.wait_for(there).await.map_err(|_| Fault::Unavailable)?;
        if let Ready::Failed(fault) = ready { Err(fault) } else { Ok(()) }
    }
}
