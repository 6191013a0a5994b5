//! Parts of a representation: those that belong together become one, and what
//! is missing for an answer is asked for alone (RFC 9111 §3.4, RFC 9110
//! §15.3.7.3). Parts without a strong validator stay what they are.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{IF_RANGE, RANGE};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt as _;

use super::fill::Room;
use super::joined;
use super::key::PageKey;
use super::reply::Visit;
use super::shelf::Found;
use super::sortie::{CONDITIONS, Sortie};
use super::stored::{PageHead, StoredPage};
use super::{Pages, forwarded};
use crate::semantics::cache_status::Forward;
use crate::semantics::conditional::if_range_holds;
use crate::semantics::directives::{RequestDirectives, ResponseDirectives};
use crate::semantics::freshness::Exchange;
use crate::semantics::partial::{ContentRange, Parts, belong_together, combined_fields, if_range};
use crate::semantics::range::{Selection, select};
use crate::semantics::reuse::{Reuse, Terms};
use crate::shield::body::{RequestBody, ResponseBody};
use crate::shield::cache::{Budget, ENTRY_BYTES, Epoch};
use crate::shield::deliver::Delivered;
use crate::shield::origin::storefront::StorefrontError;
use crate::shield::pass_on;

/// Most that is fetched of a gap: its bytes are held back until all are there.
const GAP_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What is missing of a stored part for an answer.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    part: Arc<StoredPage>,
    first: u64,
    last: u64,
    /// Whether the representation ends with it.
    at_end: bool,
    /// The strong validator of the part.
    validator: HeaderValue,
}

/// What came of asking for a gap.
#[derive(Debug)]
pub(crate) enum Filled {
    /// The part with its gap filled, and whether that is stored.
    Joined(Arc<StoredPage>, bool),
    /// Another answer to the request.
    Other(Response<ResponseBody>, Exchange),
    /// Nothing that helps: what the request itself wants is to be asked for.
    Nothing,
}

impl Gap {
    /// The gap that keeps a fresh part from answering a request. `None` when
    /// there is no such part, or more than one gap.
    pub(crate) fn of(visit: &Visit, found: &Found, now: SystemTime) -> Option<Self> {
        let wants = RequestDirectives::of(&visit.forwarded);
        let others = |name: &HeaderName| ![RANGE, IF_RANGE].contains(name);
        let has = |name: &HeaderName| others(name) && visit.forwarded.contains_key(name);
        if visit.method != Method::GET || wants.no_store || CONDITIONS.iter().any(has) {
            return None;
        }
        let fresh = |part: &&Arc<StoredPage>| part.head.terms.reuse(&wants, now) == Reuse::Fresh;
        found.parts.iter().filter(fresh).find_map(|part| Self::in_part(visit, part))
    }

    fn in_part(visit: &Visit, part: &Arc<StoredPage>) -> Option<Self> {
        let (range, validator) = (part.head.part?, if_range(&part.head.fields)?);
        let end = range.complete?.checked_sub(1)?;
        let wanted = match visit.forwarded.get(RANGE) {
            None => (0, end),
            // The bytes of a page are others once it is rewritten.
            Some(_) if visit.rewrites(&part.head.fields) => return None,
            Some(_) if !if_range_holds(&visit.forwarded, &part.head.fields) => return None,
            Some(field) => match select(field.to_str().ok()?, end + 1) {
                Selection::Part(first, last) => (first, last),
                _ => return None,
            },
        };
        let mut parts = Parts::default();
        let alone = parts.add(range).then(|| parts.missing(wanted.0, wanted.1))?;
        let [(first, last)] = alone[..] else { return None };
        let helps = (first, last) != wanted && last - first < GAP_BYTES_MAX;
        let at_end = last == end;
        helps.then(|| Self { part: Arc::clone(part), first, last, at_end, validator })
    }

    /// The epoch in which the origin was asked for the part.
    pub(crate) fn epoch(&self) -> Epoch {
        self.part.head.fill_epoch
    }

    fn range(&self) -> String {
        match self.at_end {
            true => format!("bytes={}-", self.first),
            false => format!("bytes={}-{}", self.first, self.last),
        }
    }
}

impl Pages {
    /// Answers one request with a part whose gap is filled for it.
    pub(super) async fn complete(
        self: &Arc<Self>,
        visit: Visit,
        mut sortie: Sortie,
        body: RequestBody,
        gap: Gap,
    ) -> Result<Delivered, StorefrontError> {
        (sortie.epoch, sortie.turn) = (self.cache.epochs.current(), self.shelf.turn());
        let reason = Forward::Partial;
        let filled = self.fill_gap(&sortie, &gap).await;
        match filled.inspect_err(|error| self.note_error(&sortie, error))? {
            Filled::Joined(page, stored) => {
                let now = self.clock.now();
                let ttl = Some(page.head.terms.freshness.ttl(now));
                let code = Some(StatusCode::PARTIAL_CONTENT);
                let status = forwarded(reason, code, stored, false, ttl, None);
                Ok(visit.reply(&page, status, now))
            }
            Filled::Other(response, exchange) => {
                Ok(self.pass(visit, &sortie, response, exchange, reason))
            }
            Filled::Nothing => self.direct(visit, sortie, body, reason, None, true).await,
        }
    }

    /// Asks for what is missing of a part, if that is still what it was.
    pub(super) async fn fill_gap(
        &self,
        sortie: &Sortie,
        gap: &Gap,
    ) -> Result<Filled, StorefrontError> {
        let mut room = Room::of(&self.cache.budget);
        let length = gap.last - gap.first + 1;
        let Some(share) = room.take(ENTRY_BYTES + length).await else {
            return Ok(Filled::Nothing);
        };
        let mut fields = sortie.unconditional();
        // Digits and punctuation of ASCII are always a value.
        let Ok(range) = HeaderValue::from_str(&gap.range()) else { return Ok(Filled::Nothing) };
        fields.insert(RANGE, range);
        fields.insert(IF_RANGE, gap.validator.clone());
        let (response, exchange) = self.ask(sortie, fields).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::RANGE_NOT_SATISFIABLE => return Ok(Filled::Nothing),
            _ => return Ok(Filled::Other(response, exchange)),
        }
        let (parts, mut body) = response.into_parts();
        let fits = |head: &PageHead| {
            head.part.is_some_and(|part| (part.first, part.last) == (gap.first, gap.last))
        };
        let head = sortie.storable(&parts, &body, exchange).ok().filter(fits);
        let Some(head) = head else { return Ok(Filled::Nothing) };
        let (mut pieces, mut size): (Vec<Bytes>, _) = (Vec::new(), 0_u64);
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return Ok(Filled::Nothing) };
            let Ok(chunk) = frame.into_data() else { continue };
            size += chunk.len() as u64;
            if size > length {
                break;
            }
            pieces.push(share.keep(chunk.to_vec()));
        }
        if size != length {
            return Ok(Filled::Nothing);
        }
        let cost = room.cost;
        let newer = StoredPage { head, pieces: pieces.into(), size, cost, _share: share };
        let joined = combined(&self.cache.budget, sortie.rule.as_ref(), &gap.part, &newer);
        let Some(joined) = joined else { return Ok(Filled::Nothing) };
        let page = Arc::new(self.joined_with_stored(&sortie.key, sortie.rule.as_ref(), joined));
        let stored = self.shelf.put(&sortie.key, Arc::clone(&page));
        Ok(Filled::Joined(page, stored))
    }

    /// A part together with all stored ones that it touches.
    pub(super) fn joined_with_stored(
        &self,
        key: &PageKey,
        rule: Option<&ResponseDirectives>,
        page: StoredPage,
    ) -> StoredPage {
        if page.head.part.is_none() {
            return page;
        }
        self.shelf.parts_beside(key, &page.head).iter().fold(page, |page, stored| {
            combined(&self.cache.budget, rule, stored, &page).unwrap_or(page)
        })
    }
}

/// One response made of two parts of the same representation. `None` when they
/// are not, do not touch, or are too large together.
pub(crate) fn combined(
    budget: &Budget,
    rule: Option<&ResponseDirectives>,
    stored: &StoredPage,
    newer: &StoredPage,
) -> Option<StoredPage> {
    let (old, new) = (stored.head.part?, newer.head.part?);
    let (was, is) = (&stored.head, &newer.head);
    let mut parts = Parts::default();
    if !belong_together(&was.fields, &is.fields) || !parts.add(old) || !parts.add(new) {
        return None;
    }
    let [(first, last)] = *parts.ranges() else { return None };
    if last - first >= budget.body_bytes_max() {
        return None;
    }
    let mut pieces = Vec::new();
    if old.first < new.first {
        pieces.extend(pass_on::slices(&stored.pieces, 0, new.first - old.first - 1));
    }
    pieces.extend(newer.pieces.iter().cloned());
    if new.last < old.last {
        pieces.extend(pass_on::slices(&stored.pieces, new.last + 1 - old.first, u64::MAX));
    }
    let fields = combined_fields(&was.fields, &is.fields, &parts, is.exchange.received);
    let whole = parts.is_whole();
    let status = if whole { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
    let complete = parts.complete_length();
    let head = PageHead {
        status,
        terms: Terms::of(status, &fields, rule, is.exchange),
        fields,
        part: (!whole).then_some(ContentRange { first, last, complete }),
        // It is no newer than the older of both.
        fill_epoch: was.fill_epoch.min(is.fill_epoch),
        turn: was.turn.min(is.turn),
        ..is.clone()
    };
    let cost = stored.cost + newer.cost;
    Some(joined::page(budget, head, &pieces.into(), cost, Arc::clone(&newer._share)))
}
