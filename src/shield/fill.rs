//! Filling: from the bucket to the clients that wait and to the cache.
//!
//! Small bodies are proven before their first byte is released, large ones
//! before their last. What is not proven whole is never stored.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tokio::time::timeout;

use super::cache::{Cache, ENTRY_BYTES, Head, Reservation, StoredResponse, Why};
use super::flight::{Progress, Takeoff};
use super::metrics::Metrics;
use super::origin::Fault;
use super::origin::bucket::{Bucket, Opened, Purpose};
use super::proof::Proof;
use super::render;
use super::wanted::Wanted;
use crate::asset::{Blake3, Digest};
use crate::clock::Clock;
use crate::semantics::validator::EntityTag;
use crate::store::{GetRequest, ObjectHead};

/// Largest body that is proven before its first byte is released.
pub(crate) const PROVEN_FIRST_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How long such a body may take: its clients see nothing until then.
const PROVEN_FIRST_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a fill waits for memory before it gives up storing.
pub(super) const MEMORY_TIMEOUT: Duration = Duration::from_millis(500);

/// Bytes that are released at a time of a body that arrives.
pub(super) const PIECE_BYTES: usize = 256 * 1024;

/// What fills need. One value for all of a shield's.
#[derive(Debug)]
pub(crate) struct Fill {
    pub(crate) bucket: Bucket,
    pub(crate) cache: Arc<Cache>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
}

impl Fill {
    /// Flies one flight to its end.
    pub(crate) async fn fly(self: Arc<Self>, wanted: Wanted, takeoff: Takeoff) {
        let end = match self.fetch(&wanted, &takeoff).await {
            Ok(end) => end,
            // To a key that may not list, a store does not say what is missing.
            Err(Fault::Denied) if wanted.published.is_none() => Progress::Failed(Fault::NotFound),
            Err(fault) => Progress::Failed(fault),
        };
        match &end {
            Progress::Whole(stored) => {
                self.write_behind(&wanted, stored);
                self.cache.put(wanted.key, Arc::clone(stored));
            }
            Progress::Failed(Fault::NotFound) => {
                let listed = wanted.published.is_some();
                self.refuse(&wanted, &takeoff, Why::Absent { listed });
            }
            Progress::Failed(fault) => {
                self.count_failure(&wanted, *fault);
                if fault.is_of_origin() {
                    self.refuse(&wanted, &takeoff, Why::Failed(*fault));
                }
            }
            _ => {}
        }
        takeoff.land(end);
    }

    async fn fetch(&self, wanted: &Wanted, takeoff: &Takeoff) -> Result<Progress, Fault> {
        // Where the size is known, memory is taken before the bucket is asked.
        let known_size = wanted.published.as_ref().map(|published| published.size);
        let mut share = None;
        if let Some(size) = known_size {
            share = self.reserve(wanted, size).await?;
            if share.is_none() && !self.may_spool(wanted, size) {
                return Ok(Progress::Unshared(Arc::default()));
            }
        }
        let opened = self.bucket.open(&wanted.object, Purpose::Fill, GetRequest::default()).await?;
        let size = opened.head.size;
        if known_size.is_some_and(|known| known != size) {
            return Err(Fault::Corrupt);
        }
        let share = match share {
            Some(share) => Some(share),
            None if known_size.is_some() => None,
            None => self.reserve(wanted, size).await?,
        };
        let proof = Proof::of(wanted, &opened.head)?;
        let Some(share) = share else {
            return self.spool(Arrival { wanted, proof, opened, takeoff }).await;
        };
        let arrival = Arrival { wanted, proof, opened, takeoff };
        let stored = if size <= PROVEN_FIRST_BYTES_MAX {
            let whole = timeout(PROVEN_FIRST_TIMEOUT, self.proven_first(arrival, share));
            whole.await.map_err(|_| Fault::Timeout)??
        } else {
            self.proven_last(arrival, Arc::new(share)).await?
        };
        Ok(Progress::Whole(Arc::new(stored)))
    }

    /// Takes the memory that a body needs. `None`: it is to be passed on
    /// instead, because it is too large to hold, or there is no room for it.
    async fn reserve(&self, wanted: &Wanted, size: u64) -> Result<Option<Reservation>, Fault> {
        let budget = &self.cache.budget;
        let body = if renders(wanted, size) { render::bytes_needed(size) } else { size };
        let needed = body.saturating_add(ENTRY_BYTES);
        if needed > budget.body_bytes_max() {
            return Ok(None);
        }
        match budget.reserve(needed, MEMORY_TIMEOUT).await {
            Some(share) => Ok(Some(share)),
            // To be passed on takes memory too; this body needs hardly more.
            None if needed <= budget.window_bytes() || renders(wanted, size) => {
                Err(Fault::Overloaded)
            }
            None => Ok(None),
        }
    }

    /// Collects a body, proves it, and only then shows it to anyone.
    async fn proven_first(
        &self,
        mut arrival: Arrival<'_>,
        share: Reservation,
    ) -> Result<StoredResponse, Fault> {
        let size = arrival.opened.head.size;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        while let Some(chunk) = arrival.opened.next().await? {
            if bytes.len() as u64 + chunk.len() as u64 > size {
                return Err(Fault::Corrupt);
            }
            bytes.extend_from_slice(&chunk);
        }
        let found = Digest::of(&bytes);
        arrival.check(&found, bytes.len() as u64)?;
        let mut head = arrival.head();
        if let Some(page) = arrival.wanted.page.clone().filter(|_| renders(arrival.wanted, size)) {
            let (wanted, epoch) = (arrival.wanted, arrival.takeoff.epoch);
            self.write_original_behind(wanted, epoch, &head, found, &bytes).await;
            bytes = render::render(bytes, page, share.bytes(), &self.metrics).await?;
            head.as_page(&bytes);
        }
        Ok(self.stored(&arrival, head, found, keep(bytes, share)))
    }

    /// Releases a body while it arrives, and its last piece when it is proven.
    async fn proven_last(
        &self,
        mut arrival: Arrival<'_>,
        share: Arc<Reservation>,
    ) -> Result<StoredResponse, Fault> {
        let head = arrival.head();
        arrival.takeoff.arriving(head.clone());
        let (mut hasher, mut received) = (Blake3::default(), 0_u64);
        let mut pieces: Vec<Bytes> = Vec::new();
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        while let Some(chunk) = arrival.opened.next().await? {
            received += chunk.len() as u64;
            if received > head.size {
                return Err(Fault::Corrupt);
            }
            hasher.update(&chunk);
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                let (fits, after) = rest.split_at(rest.len().min(PIECE_BYTES - piece.len()));
                piece.extend_from_slice(fits);
                rest = after;
                if piece.len() < PIECE_BYTES {
                    continue;
                }
                let next = Vec::with_capacity(PIECE_BYTES);
                pieces.push(share.keep(std::mem::replace(&mut piece, next)));
                // What may be the last piece is released by the proof alone.
                if received < head.size {
                    arrival.takeoff.release(&pieces);
                }
            }
        }
        if !piece.is_empty() {
            pieces.push(share.keep(piece));
        }
        let found = hasher.digest();
        arrival.check(&found, received)?;
        Ok(self.stored(&arrival, head, found, pieces))
    }

    fn stored(
        &self,
        arrival: &Arrival<'_>,
        head: Head,
        object: Digest,
        pieces: Vec<Bytes>,
    ) -> StoredResponse {
        let (epoch, now) = (arrival.takeoff.epoch, self.clock.now());
        StoredResponse::new(head, object, pieces.into(), epoch, now)
    }

    /// The next who asks is not the next whom the bucket has to answer.
    fn refuse(&self, wanted: &Wanted, takeoff: &Takeoff, why: Why) {
        self.cache.put_refusal(wanted.key.clone(), takeoff.epoch, self.clock.now(), why);
    }

    fn count_failure(&self, wanted: &Wanted, fault: Fault) {
        tracing::warn!(object = %wanted.object, reason = fault.name(), "a fill failed");
        self.metrics
            .counter("awning_fill_failures_total", &[("reason", fault.name())])
            .increment(1);
    }
}

/// A body that arrives, and what it is for.
pub(super) struct Arrival<'a> {
    pub(super) wanted: &'a Wanted,
    proof: Proof,
    pub(super) opened: Opened,
    pub(super) takeoff: &'a Takeoff,
}

impl Arrival<'_> {
    pub(super) fn head(&self) -> Head {
        head_of(self.wanted, &self.proof, &self.opened.head)
    }

    pub(super) fn check(&self, found: &Digest, received: u64) -> Result<(), Fault> {
        // A body that is shorter than announced broke off; that it ended
        // without an error does not make it whole.
        if received < self.opened.head.size {
            return Err(Fault::Unavailable);
        }
        if self.proof.holds(found) { Ok(()) } else { Err(Fault::Corrupt) }
    }
}

/// What is known of an answer made of this object, before its bytes are.
pub(crate) fn head_of(wanted: &Wanted, proof: &Proof, object: &ObjectHead) -> Head {
    let headers = &object.headers;
    // A value that no header may hold is left out, never passed on.
    let value = |text: &Option<String>| HeaderValue::from_str(text.as_deref()?).ok();
    let published = wanted.published.as_ref();
    let unknown = HeaderValue::from_static("application/octet-stream");
    let content = published.map(|published| published.content.clone());
    Head {
        content_type: published
            .map(|published| published.content_type.clone())
            .or_else(|| value(&headers.content_type))
            .unwrap_or(unknown),
        content_encoding: match wanted.coding {
            Some(coding) => Some(HeaderValue::from_static(coding.name())),
            None => value(&headers.content_encoding),
        },
        content_disposition: value(&headers.content_disposition),
        content_language: value(&headers.content_language),
        tag: EntityTag {
            content: content.unwrap_or_else(|| proof.fingerprint()),
            coding: wanted.coding,
        },
        modified: object.last_modified,
        size: object.size,
    }
}

/// Whether the body of `wanted` is a page that is rewritten. A page too large
/// to be held is sent as it was published: its own references still work.
pub(super) fn renders(wanted: &Wanted, size: u64) -> bool {
    wanted.page.is_some() && size <= PROVEN_FIRST_BYTES_MAX
}

/// A body in one piece, with no more memory than it needs.
pub(crate) fn keep(mut bytes: Vec<u8>, mut share: Reservation) -> Vec<Bytes> {
    bytes.shrink_to_fit();
    share.shrink_to(bytes.len() as u64 + ENTRY_BYTES);
    if bytes.is_empty() { Vec::new() } else { vec![Arc::new(share).keep(bytes)] }
}
