//! A flight to an upstream: validates what is stored, or fills what is not.
//!
//! What does not end as announced is never stored, and whoever reads it sees
//! it break off.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ETAG, LAST_MODIFIED};
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt as _;

use super::joined;
use super::key::PageKey;
use super::parts::Filled;
use super::sortie::{Sortie, length};
use super::stored::{PageHead, StoredPage};
use super::{Pages, excuses};
use crate::asset::Digest;
use crate::semantics::freshen;
use crate::semantics::freshness::Exchange;
use crate::semantics::reuse::{Reuse, Terms};
use crate::semantics::storable::Unstorable;
use crate::semantics::vary::Selection;
use crate::shield::body::{ResponseBody, empty};
use crate::shield::cache::{Budget, ENTRY_BYTES, Reservation};
use crate::shield::flight::{Cargo, Handover, Progress, Takeoff};
use crate::shield::origin::Fault;
use crate::shield::origin::storefront::StorefrontError;

/// How long a fill waits for memory before it gives up storing.
const MEMORY_TIMEOUT: Duration = Duration::from_millis(500);

/// What a piece costs besides its bytes.
pub(crate) const PIECE_BYTES: u64 = 128;

/// What flights to upstreams carry.
#[derive(Debug)]
pub(crate) struct Upstreamed;

/// What selects such a flight. Who would be answered otherwise, as far as is
/// known before the upstream answers, flies apart.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct FlightKey {
    pub(crate) page: PageKey,
    /// What the newest stored response says that requests differ by.
    pub(crate) selection: Option<Selection>,
    pub(crate) authorization: Option<Digest>,
    /// The newest request that may have changed what is there.
    pub(crate) not_before: u64,
}

/// The head of a response whose body arrives.
#[derive(Debug)]
pub(crate) struct Arriving {
    pub(crate) head: PageHead,
    /// All fields that the upstream sent, for the request that it answers.
    pub(crate) sent: HeaderMap,
    pub(crate) length: Option<u64>,
}

/// How a flight ended.
#[derive(Debug)]
pub(crate) struct Landed {
    pub(crate) page: Arc<StoredPage>,
    /// Its body as it arrived: who reads it so far counts these pieces.
    arrived: Arc<[Bytes]>,
    /// All fields that the upstream sent with it, if it did so now.
    pub(crate) sent: Option<HeaderMap>,
    pub(crate) how: How,
}

/// How a flight came to its response.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    /// The upstream sent it.
    Filled {
        /// Whether it is stored.
        stored: bool,
    },
    /// The upstream sent what was missing of it.
    Completed {
        /// Whether it is stored.
        stored: bool,
    },
    /// The upstream said that it still holds.
    Freshened,
    /// The upstream failed, with this answer or none, and what was stored is
    /// used in spite of that.
    Excused(Option<StatusCode>),
}

/// A response that is read by one client alone.
#[derive(Debug)]
pub(crate) struct OpenedPage {
    pub(crate) parts: Parts,
    pub(crate) detail: &'static str,
    /// Read already, before `body`.
    pub(crate) first: Option<Bytes>,
    pub(crate) body: ResponseBody,
}

impl Cargo for Upstreamed {
    type Key = FlightKey;
    type Head = Arriving;
    type Whole = Landed;
    type Opened = OpenedPage;

    fn pieces(whole: &Landed) -> &[Bytes] {
        &whole.arrived
    }
}

impl Pages {
    /// Flies one flight to its end. `stale` is what may be validated.
    pub(crate) async fn fly(
        self: Arc<Self>,
        mut sortie: Sortie,
        stale: Option<(Arc<StoredPage>, Reuse)>,
        takeoff: Takeoff<Upstreamed>,
    ) {
        sortie.epoch = takeoff.epoch;
        // A purge may have come since it was found; a 304 must not undo that.
        let stale = stale.filter(|(page, _)| self.cache.epochs.usable(page.head.fill_epoch));
        let end = match self.bring(&sortie, stale, &takeoff).await {
            Ok(end) => end,
            Err(fault) => Progress::Failed(fault),
        };
        self.remember(&sortie, &end);
        takeoff.land(end);
    }

    /// What the next requests should know of a flight's end.
    fn remember(&self, sortie: &Sortie, end: &Progress<Upstreamed>) {
        let now = self.clock.now();
        match end {
            // That an error is not shared says nothing of what comes after it.
            Progress::Unshared(_) if self.shelf.failed(&sortie.key, now).is_some() => {}
            Progress::Unshared(_) | Progress::Rest(..) => {
                self.shelf.note_unshared(&sortie.key, now);
            }
            Progress::Failed(fault) => self.shelf.note_failed(sortie, *fault, now),
            Progress::Whole(landed) if matches!(landed.how, How::Excused(Some(_))) => {
                self.shelf.note_failed(sortie, Fault::Throttled, now);
            }
            _ => {}
        }
    }

    async fn bring(
        &self,
        sortie: &Sortie,
        stale: Option<(Arc<StoredPage>, Reuse)>,
        takeoff: &Takeoff<Upstreamed>,
    ) -> Result<Progress<Upstreamed>, Fault> {
        let gap = sortie.gap.as_ref().filter(|gap| self.cache.epochs.usable(gap.epoch()));
        if let Some(gap) = gap {
            match self.fill_gap(sortie, gap).await.map_err(|error| error.fault())? {
                Filled::Joined(page, stored) => {
                    return Ok(landed(page, How::Completed { stored }));
                }
                Filled::Other(response, exchange) => {
                    return self.receive(sortie, response, exchange, takeoff).await;
                }
                Filled::Nothing => {}
            }
        }
        let mut fields = sortie.unconditional();
        let mut conditional = false;
        if let Some((page, _)) = &stale {
            conditional = freshen::make_conditional(&mut fields, [&page.head.fields]);
        }
        let (mut response, mut exchange) = match self.ask(sortie, fields).await {
            Ok(answered) => answered,
            Err(error) => {
                self.note_error(sortie, &error);
                let excused = stale.filter(|(page, reuse)| excuses(error.fault(), page, *reuse));
                let (page, _) = excused.ok_or_else(|| error.fault())?;
                return Ok(landed(page, How::Excused(None)));
            }
        };
        if let Some((page, reuse)) = stale {
            if response.status() == StatusCode::NOT_MODIFIED && conditional {
                // One validator was sent, so a 304 that names none confirms this
                // response, though it updates nothing (RFC 9111 §4.3.4).
                let newer = response.headers();
                let bare = !newer.contains_key(ETAG) && !newer.contains_key(LAST_MODIFIED);
                let confirmed = || bare.then(|| Arc::clone(&page));
                let shared = !sortie.is_personal(newer);
                let freshen = || self.freshen(sortie, &page, newer, exchange);
                if let Some(fresh) = shared.then(|| freshen().or_else(confirmed)).flatten() {
                    return Ok(landed(fresh, How::Freshened));
                }
                // It speaks of a response that is not stored (RFC 9111 §4.3.3),
                // or of one that may not be.
                (response, exchange) = self
                    .ask(sortie, sortie.unconditional())
                    .await
                    .map_err(|error| error.fault())?;
            }
            if reuse.answers_instead_of(response.status()) {
                return Ok(landed(page, How::Excused(Some(response.status()))));
            }
        }
        self.receive(sortie, response, exchange, takeoff).await
    }

    async fn receive(
        &self,
        sortie: &Sortie,
        response: Response<ResponseBody>,
        exchange: Exchange,
        takeoff: &Takeoff<Upstreamed>,
    ) -> Result<Progress<Upstreamed>, Fault> {
        let (parts, body) = response.into_parts();
        match sortie.storable(&parts, &body, exchange) {
            Ok(head) => {
                // Others will not be answered with it, so they need not wait.
                if !head.terms.freshness.is_fresh(exchange.received) {
                    self.shelf.note_unshared(&sortie.key, exchange.received);
                }
                self.collect(sortie, head, OpenedPage::of(parts, body), takeoff).await
            }
            Err(detail) => {
                if matches!(parts.status.as_u16(), 500 | 502 | 503 | 504) {
                    self.shelf.note_failed(sortie, Fault::Throttled, self.clock.now());
                }
                let opened = OpenedPage { detail, ..OpenedPage::of(parts, body) };
                Ok(Progress::Unshared(Arc::new(Handover::of(opened))))
            }
        }
    }

    pub(super) async fn ask(
        &self,
        sortie: &Sortie,
        fields: HeaderMap,
    ) -> Result<(Response<ResponseBody>, Exchange), StorefrontError> {
        let requested = self.clock.now();
        let response = sortie.storefront.ask(&sortie.asked, fields, empty()).await;
        let response = response.inspect_err(|error| {
            tracing::warn!(error = error as &dyn std::error::Error, "an upstream gave no answer");
        })?;
        Ok((response, Exchange { requested, received: self.clock.now() }))
    }

    /// Makes and stores what a 304 or the answer to a HEAD makes of `page`.
    /// `None`: it is about another response.
    pub(crate) fn freshen(
        &self,
        sortie: &Sortie,
        page: &Arc<StoredPage>,
        newer: &HeaderMap,
        exchange: Exchange,
    ) -> Option<Arc<StoredPage>> {
        if freshen::freshens(newer, &[&page.head.fields]).is_empty() {
            return None;
        }
        self.freshened(sortie, page, newer, exchange)
    }

    /// The same where it is known to be about `page`. `None`: what it says is not
    /// for others, or with it the response may not be stored, and is no longer.
    pub(crate) fn freshened(
        &self,
        sortie: &Sortie,
        page: &Arc<StoredPage>,
        newer: &HeaderMap,
        exchange: Exchange,
    ) -> Option<Arc<StoredPage>> {
        let status = page.head.status;
        let fields = freshen::freshened(&page.head.fields, newer, exchange.received);
        let terms = Terms::of(status, &fields, sortie.rule.as_ref(), exchange);
        match sortie.may_keep(status, &fields, &terms) {
            Ok(()) => {}
            // It was for one visitor alone and leaves what is there as it was.
            Err(Unstorable::Authorization) => return None,
            Err(_) => {
                self.shelf.forget(&sortie.key, page);
                return None;
            }
        }
        let mut head = sortie.head(status, &fields, terms, exchange);
        head.part = page.head.part;
        let fresh = Arc::new(page.with(head));
        let kept = self.shelf.put(&sortie.key, Arc::clone(&fresh));
        // What takes the very place of the old one has removed it already.
        if kept && !same_place(page, &fresh) {
            self.shelf.forget(&sortie.key, page);
        }
        Some(fresh)
    }

    /// Collects a body, which others read meanwhile, and stores it.
    async fn collect(
        &self,
        sortie: &Sortie,
        head: PageHead,
        mut opened: OpenedPage,
        takeoff: &Takeoff<Upstreamed>,
    ) -> Result<Progress<Upstreamed>, Fault> {
        let length = length(&opened.parts.headers);
        let mut room = Room::of(&self.cache.budget);
        let share = room.take(ENTRY_BYTES + head.bytes()).await;
        // Where the length is known, memory is taken before the first byte.
        let whole = match length {
            Some(length) => room.take(length).await.map(Some),
            None => Some(None),
        };
        let (Some(share), Some(whole)) = (share, whole) else {
            opened.detail = "no-room";
            return Ok(Progress::Unshared(Arc::new(Handover::of(opened))));
        };
        let sent = opened.parts.headers.clone();
        takeoff.arriving(Arriving { head: head.clone(), sent, length });
        let (mut pieces, mut size) = (Vec::new(), 0);
        while let Some(frame) = opened.body.frame().await {
            let Ok(chunk) = frame.map_err(|_| Fault::Unavailable)?.into_data() else { continue };
            if chunk.is_empty() {
                continue;
            }
            let share = match &whole {
                Some(whole) => Some(Arc::clone(whole)),
                None => room.take(chunk.len() as u64 + PIECE_BYTES).await,
            };
            let Some(share) = share else {
                opened.first = Some(chunk);
                return Ok(Progress::Rest(pieces, Arc::new(Handover::of(opened))));
            };
            size += chunk.len() as u64;
            pieces.push(share.keep(chunk.to_vec()));
            takeoff.release(&pieces);
        }
        if length.is_some_and(|length| length != size) {
            return Err(Fault::Unavailable);
        }
        let arrived: Arc<[Bytes]> = pieces.into();
        let page = joined::page(&self.cache.budget, head, &arrived, room.cost, share);
        let page = Arc::new(page);
        let stored = self.shelf.put(&sortie.key, Arc::clone(&page));
        let how = How::Filled { stored };
        let sent = Some(opened.parts.headers);
        Ok(Progress::Whole(Arc::new(Landed { page, arrived, sent, how })))
    }
}

impl OpenedPage {
    fn of(parts: Parts, body: ResponseBody) -> Self {
        Self { parts, detail: "unshared", first: None, body }
    }
}

/// The memory that one response takes, in the order in which it needs it.
pub(crate) struct Room<'a> {
    budget: &'a Budget,
    pub(crate) cost: u64,
}

impl<'a> Room<'a> {
    pub(crate) fn of(budget: &'a Budget) -> Self {
        Self { budget, cost: 0 }
    }

    /// Takes more; `None` when that is more than one response may have, or than
    /// there is.
    pub(crate) async fn take(&mut self, bytes: u64) -> Option<Arc<Reservation>> {
        self.take_within(bytes, MEMORY_TIMEOUT).await
    }

    pub(crate) async fn take_within(
        &mut self,
        bytes: u64,
        patience: Duration,
    ) -> Option<Arc<Reservation>> {
        if self.cost.saturating_add(bytes) > self.budget.body_bytes_max() {
            return None;
        }
        let share = self.budget.reserve(bytes, patience).await?;
        self.cost += share.bytes();
        Some(Arc::new(share))
    }
}

/// Whether one took the other's place among the variants.
fn same_place(one: &StoredPage, other: &StoredPage) -> bool {
    one.head.vary == other.head.vary && one.head.selection == other.head.selection
}

fn landed(page: Arc<StoredPage>, how: How) -> Progress<Upstreamed> {
    let arrived = Arc::clone(&page.pieces);
    Progress::Whole(Arc::new(Landed { page, arrived, sent: None, how }))
}
