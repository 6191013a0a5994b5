//! Responses of storefront upstreams, stored as RFC 9111 allows.
//!
//! The cache lies under the rewriter: what is stored is what the upstream
//! sent, and pages are rewritten on the way out. What is not a plain GET goes
//! straight to the upstream, and may still be stored while it passes.

mod changes;
mod choose;
mod direct;
mod fill;
mod joined;
mod key;
mod parts;
mod recall;
mod reply;
mod saved;
mod shelf;
mod sortie;
mod stored;
mod tee;

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, COOKIE, RANGE, UPGRADE};
use http::{Method, StatusCode};
use http_body::Body as _;
use url::Url;

use self::choose::{Choice, choose};
use self::fill::{FlightKey, How, Landed, Upstreamed};
use self::parts::Gap;
use self::reply::{Ranged, Visit};
use self::shelf::{Found, Shelf};
use self::sortie::{CONDITIONS, Sortie};
use self::stored::StoredPage;
use super::body::RequestBody;
use super::cache::Cache;
use super::config::Cookies;
use super::deliver::Delivered;
use super::flight::{Flights, Joined, Progress};
use super::metrics::Metrics;
use super::origin::Fault;
use super::origin::storefront::{Asked, Storefront, StorefrontError, bypassed, fields};
use super::page::{PageOf, Rewriting};
use super::request::GatedRequest;
use super::respond;
use super::site::Site;
use crate::asset::Digest;
use crate::clock::Clock;
use crate::semantics::cache_status::{CacheStatus, Forward, Source};
use crate::semantics::conditional::{Outcome, evaluate};
use crate::semantics::directives::RequestDirectives;
use crate::semantics::reuse::Reuse;
use crate::semantics::unsafe_method::is_safe;
use crate::semantics::vary::AcceptedCoding;

pub(crate) use key::PageKey;
pub(crate) use stored::Variants;

/// The stored responses of a shield's upstreams.
#[derive(Debug)]
pub(crate) struct Pages {
    shelf: Shelf,
    flights: Flights<Upstreamed>,
    cache: Arc<Cache>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// What may be answered with although the upstream should be asked.
type Stale = Option<(Arc<StoredPage>, Reuse)>;

impl Pages {
    pub(crate) fn new(cache: &Arc<Cache>, clock: &Clock, metrics: &Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            shelf: Shelf::new(Arc::clone(cache)),
            flights: Flights::default(),
            cache: Arc::clone(cache),
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
        })
    }

    /// Waits until no flight is left.
    pub(crate) async fn drained(&self) {
        self.flights.drained().await;
    }

    /// Answers a request to a site whose responses are stored.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        site: &Site,
        storefront: &Storefront,
        request: GatedRequest,
        body: RequestBody,
        rewriting: Option<Rewriting>,
    ) -> Result<Delivered, StorefrontError> {
        let target = format!("{}://{}{}", request.scheme, request.authority, request.target());
        let target = Url::parse(&target).ok();
        // A switch of protocols is no response that anybody could share.
        let switches = request.method == Method::GET && request.headers.contains_key(UPGRADE);
        let Some(target) = target.filter(|_| !switches) else {
            let response = storefront.forward(request, body, rewriting).await?;
            let status = bypassed(response.status());
            return Ok((response, status));
        };
        if fields::is_loop(&request.headers) {
            return Err(StorefrontError::Loop);
        }
        let page = rewriting.and_then(|with| PageOf::expected(&request, with, &self.metrics));
        let (visit, sortie) = self.sortie(site, storefront, &request, page, target);
        let safe = site.config.pages.cookies == Cookies::Safe;
        if safe && request.headers.contains_key(COOKIE) {
            return self.direct(visit, sortie, body, Forward::Bypass, None, false).await;
        }
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let reason = if is_safe(&request.method) { Forward::Bypass } else { Forward::Method };
            return self.direct(visit, sortie, body, reason, None, true).await;
        }
        // What the body of a GET means is between its sender and the upstream:
        // it is in no key (RFC 9110 §9.3.1).
        if !body.is_end_stream() {
            return self.direct(visit, sortie, body, Forward::Bypass, None, false).await;
        }
        self.look_up(visit, sortie, body).await
    }

    fn sortie(
        &self,
        site: &Site,
        storefront: &Storefront,
        request: &GatedRequest,
        page: Option<PageOf>,
        target: Url,
    ) -> (Visit, Sortie) {
        let mut forwarded = fields::to_upstream(request, page.as_ref());
        // Three forms at most, so that there are no more variants than those.
        let coding = AcceptedCoding::of(&forwarded).to_header();
        forwarded.insert(http::header::ACCEPT_ENCODING, coding);
        let pages = &site.config.pages;
        let sortie = Sortie {
            storefront: storefront.clone(),
            asked: Asked { method: request.method.clone(), target: request.target() },
            key: PageKey::of(site.id, request),
            target,
            forwarded: forwarded.clone(),
            rule: pages.directives(&request.path).cloned(),
            stores_cookies: pages.cookies == Cookies::Rfc,
            gap: None,
            epoch: self.cache.epochs.current(),
            turn: self.shelf.turn(),
        };
        (Visit { method: request.method.clone(), forwarded, page }, sortie)
    }

    /// Answers a GET or HEAD from what is stored, or from a flight.
    async fn look_up(
        self: &Arc<Self>,
        visit: Visit,
        mut sortie: Sortie,
        body: RequestBody,
    ) -> Result<Delivered, StorefrontError> {
        let now = self.clock.now();
        let found = self.find(&sortie, now).await;
        let wants = RequestDirectives::of(&visit.forwarded);
        let page = candidate(&visit, &found);
        let choice = choose(page.as_ref(), &found, &wants, now);
        let (stale, reason) = match under_conditions(choice, &visit, &wants) {
            Choice::Serve(page) => return Ok(hit(visit, &page, now, None)),
            Choice::ServeStale { page, behind } => {
                if behind && self.shelf.failed(&sortie.key, now).is_none() {
                    let stale = page.head.terms.reuse(&wants, now);
                    self.refresh(&sortie, &found, (Arc::clone(&page), stale));
                }
                let detail = if behind { "stale-while-revalidate" } else { "max-stale" };
                return Ok(hit(visit, &page, now, Some(detail)));
            }
            Choice::Validate { page, reuse, reason } => (Some((page, reuse)), reason),
            Choice::Fetch(reason) => (None, reason),
            Choice::Refuse => {
                let status = CacheStatus::generated("only-if-cached");
                return Ok((respond::neutral(StatusCode::GATEWAY_TIMEOUT, &status), status));
            }
        };
        match (self.shelf.failed(&sortie.key, now), &stale) {
            (Some(fault), Some((page, reuse)))
                if excuses(fault, page, *reuse) && !is_for_origin(&visit, page) =>
            {
                return Ok(hit(visit, page, now, Some("stale-if-error")));
            }
            // What it answered to one may not be what it answers to another.
            (Some(Fault::Throttled) | None, _) => {}
            (Some(fault), _) => return Ok(left_alone(fault)),
        }
        let gap = (reason == Forward::Partial).then(|| Gap::of(&visit, &found, now)).flatten();
        match gap {
            // For the whole, many may come at a time.
            Some(gap) if !visit.forwarded.contains_key(RANGE) => sortie.gap = Some(gap),
            Some(gap) => return self.complete(visit, sortie, body, gap).await,
            None => {}
        }
        if self.is_apart(&visit, &sortie, stale.as_ref(), &wants, now) {
            return self.direct(visit, sortie, body, reason, stale, true).await;
        }
        self.share(visit, sortie, &found, stale, reason, body).await
    }

    /// Whether a request is answered for itself alone.
    fn is_apart(
        &self,
        visit: &Visit,
        sortie: &Sortie,
        stale: Option<&(Arc<StoredPage>, Reuse)>,
        wants: &RequestDirectives,
        now: SystemTime,
    ) -> bool {
        let whole = stale.is_some_and(|(page, _)| page.head.part.is_none());
        let conditional = CONDITIONS.iter().any(|name| visit.forwarded.contains_key(name));
        visit.method != Method::GET
            || wants.no_store
            || (conditional && !whole)
            || stale.is_some_and(|(page, _)| is_for_origin(visit, page))
            || (stale.is_none() && self.shelf.is_unshared(&sortie.key, now))
    }

    /// Validates what is stored, behind an answer that was given already.
    fn refresh(self: &Arc<Self>, sortie: &Sortie, found: &Found, stale: (Arc<StoredPage>, Reuse)) {
        let mut sortie = sortie.clone();
        sortie.asked.method = Method::GET;
        let key = self.flight_key(&sortie, found);
        let pages = Arc::clone(self);
        let fly = |takeoff| pages.fly(sortie, Some(stale), takeoff);
        // Who is refused a flight here was answered; the next request tries again.
        let _ = self.flights.join(&key, &self.cache.epochs, || None::<()>, fly);
    }

    /// Answers from a flight, which may be another request's.
    async fn share(
        self: &Arc<Self>,
        visit: Visit,
        sortie: Sortie,
        found: &Found,
        stale: Stale,
        reason: Forward,
        body: RequestBody,
    ) -> Result<Delivered, StorefrontError> {
        let key = self.flight_key(&sortie, found);
        let now = self.clock.now();
        let wants = RequestDirectives::of(&visit.forwarded);
        let landed = || {
            let found = self.shelf.find(&sortie.key, &visit.forwarded);
            match choose(candidate(&visit, &found).as_ref(), &found, &wants, now) {
                Choice::Serve(page) if !is_for_origin(&visit, &page) => Some(page),
                _ => None,
            }
        };
        let (pages, flown) = (Arc::clone(self), sortie.clone());
        let excused = stale.clone();
        let fly = |takeoff| pages.fly(flown, excused, takeoff);
        let (mut flight, leads) = match self.flights.join(&key, &self.cache.epochs, landed, fly) {
            Ok(Joined::Landed(page)) => return Ok(hit(visit, &page, now, None)),
            Ok(Joined::Leader(flight)) => (flight, true),
            Ok(Joined::Follower(flight)) => (flight, false),
            Err(fault) => return Ok(failed(fault, reason)),
        };
        if !leads {
            self.metrics.counter("awning_collapsed_total", &[]).increment(1);
        }
        match flight.answered().await {
            Progress::Arriving(arriving, _) => {
                let head = &arriving.head;
                if !leads && !visit.may_share(head, &wants, now) {
                    return self.direct(visit, sortie, body, reason, stale, true).await;
                }
                let ttl = Some(head.terms.freshness.ttl(now));
                let status = forwarded(reason, Some(head.status), true, !leads, ttl, None);
                Ok(visit.arriving(&arriving, flight, leads, status, now))
            }
            Progress::Whole(landed) => {
                let now = self.clock.now();
                let excused = matches!(landed.how, How::Excused(_));
                if !leads && (excused || !visit.may_share(&landed.page.head, &wants, now)) {
                    return self.direct(visit, sortie, body, reason, stale, true).await;
                }
                let status = status_of(&landed, reason, !leads, now);
                let sent = landed.sent.as_ref().filter(|_| leads);
                Ok(visit.reply_with(&landed.page, sent, status, now))
            }
            Progress::Unshared(handover) => match leads.then(|| handover.take()).flatten() {
                Some(opened) => {
                    let code = Some(opened.parts.status);
                    let detail = Some(opened.detail);
                    let status = forwarded(reason, code, false, false, None, detail);
                    Ok(visit.opened(opened, status))
                }
                None => self.direct(visit, sortie, body, reason, stale, true).await,
            },
            Progress::Failed(fault) => Ok(failed(fault, reason)),
            // Pages are not spooled to disk.
            Progress::Waiting | Progress::Rest(..) | Progress::Spooling(_) => {
                Ok(failed(Fault::Unavailable, reason))
            }
        }
    }

    fn flight_key(&self, sortie: &Sortie, found: &Found) -> FlightKey {
        let authorization = sortie.forwarded.get(AUTHORIZATION);
        FlightKey {
            page: sortie.key.clone(),
            selection: found.vary.as_ref().map(|vary| vary.select(&sortie.forwarded)),
            authorization: authorization.map(|value| Digest::of(value.as_bytes())),
            not_before: self.shelf.not_before(&sortie.key),
        }
    }
}

/// The stored response that could answer a request: the whole one, or the part
/// that has all that is wanted.
fn candidate(visit: &Visit, found: &Found) -> Option<Arc<StoredPage>> {
    let holds = |part: &&Arc<StoredPage>| matches!(visit.range(part), Ranged::Part(..));
    found.page.clone().or_else(|| found.parts.iter().find(holds).cloned())
}

/// What to do when only the origin can tell if the request's conditions hold:
/// then nothing stored answers, be it fresh or excused.
fn under_conditions(choice: Choice, visit: &Visit, wants: &RequestDirectives) -> Choice {
    match choice {
        Choice::Serve(page) | Choice::ServeStale { page, .. } if is_for_origin(visit, &page) => {
            if wants.only_if_cached {
                Choice::Refuse
            } else {
                Choice::Fetch(Forward::Request)
            }
        }
        choice => choice,
    }
}

/// Whether only the origin can tell if the request's conditions hold.
fn is_for_origin(visit: &Visit, page: &StoredPage) -> bool {
    let head = &page.head;
    evaluate(&visit.forwarded, head.status, &head.fields, page.received()) == Outcome::AskOrigin
}

fn hit(
    visit: Visit,
    page: &StoredPage,
    now: SystemTime,
    detail: Option<&'static str>,
) -> Delivered {
    let ttl = page.head.terms.freshness.ttl(now);
    visit.reply(page, CacheStatus { detail, ..CacheStatus::hit(ttl) }, now)
}

fn status_of(landed: &Landed, reason: Forward, collapsed: bool, now: SystemTime) -> CacheStatus {
    let ttl = Some(landed.page.head.terms.freshness.ttl(now));
    match landed.how {
        How::Filled { stored } => {
            forwarded(reason, Some(landed.page.head.status), stored, collapsed, ttl, None)
        }
        How::Completed { stored } => {
            let code = Some(StatusCode::PARTIAL_CONTENT);
            forwarded(reason, code, stored, collapsed, ttl, None)
        }
        How::Freshened => {
            let code = Some(StatusCode::NOT_MODIFIED);
            forwarded(reason, code, true, collapsed, ttl, Some("freshened"))
        }
        How::Excused(code) => {
            forwarded(reason, code, false, collapsed, ttl, Some("stale-if-error"))
        }
    }
}

fn forwarded(
    reason: Forward,
    status: Option<StatusCode>,
    stored: bool,
    collapsed: bool,
    ttl: Option<i64>,
    detail: Option<&'static str>,
) -> CacheStatus {
    CacheStatus { source: Source::Forwarded { reason, status, stored, collapsed }, ttl, detail }
}

/// Whether a response may answer although it is stale, after this failure
/// (RFC 9111 §4.2.4). One that was never fresh was not meant for others; and
/// that the upstream has too much to do is an answer of its own kind.
fn excuses(fault: Fault, page: &StoredPage, reuse: Reuse) -> bool {
    match fault {
        Fault::Throttled | Fault::Overloaded => {
            reuse.answers_instead_of(StatusCode::SERVICE_UNAVAILABLE)
        }
        _ => reuse.answers_disconnected() && !page.head.terms.freshness.lifetime.is_zero(),
    }
}

/// The answer when there is none.
fn failed(fault: Fault, reason: Forward) -> Delivered {
    if fault == Fault::Down {
        return left_alone(fault);
    }
    let status = forwarded(reason, None, false, false, None, Some(word(fault)));
    (respond::neutral(fault.status(), &status), status)
}

/// The answer when the upstream is not asked.
fn left_alone(fault: Fault) -> Delivered {
    let status = CacheStatus::generated(word(fault));
    (respond::neutral(fault.status(), &status), status)
}

fn word(fault: Fault) -> &'static str {
    match fault {
        Fault::Timeout => "upstream-timeout",
        Fault::Overloaded => "upstream-busy",
        Fault::Down => "upstream-down",
        _ => "upstream-unreachable",
    }
}
