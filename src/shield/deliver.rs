//! Carrying out a decision: from the cache, or from a flight.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Response, StatusCode};

use super::Shield;
use super::body::ResponseBody;
use super::cache::{Head, Known, StoredResponse};
use super::decide::{Decision, decide};
use super::derive::Instead;
use super::flight::{Flight, Handover, Joined, Progress};
use super::origin::Fault;
use super::pass_on;
use super::recall::{Kept, Recalled};
use super::request::GatedRequest;
use super::respond::{Answer, Delivery, delivery, fault, put_cross_origin};
use super::spool::{self, Spool};
use super::unshared::Unshared;
use super::wanted::{Policy, Wanted};
use crate::semantics::cache_status::{CACHE_STATUS, CacheStatus, Forward, Source};

/// A response, and what it says of itself.
pub(super) type Delivered = (Response<ResponseBody>, CacheStatus);

/// Why there is no response, and whether the bucket was asked.
pub(super) type Failed = (Fault, Option<Forward>);

impl Shield {
    /// Answers with the first of `all` that can be had. Only what is absent
    /// or damaged makes way for the next: a store that is down is down for all.
    pub(super) async fn deliver(
        &self,
        request: &GatedRequest,
        all: &[Wanted],
        policy: &Arc<Policy>,
    ) -> Delivered {
        let mut last: Failed = (Fault::NotFound, None);
        for (index, wanted) in all.iter().enumerate() {
            let obtained = match wanted.made_coding() {
                Some(coding) => self.obtain_coded(request, wanted, coding, policy).await,
                None => self.obtain(request, wanted, policy).await,
            };
            match obtained {
                Ok(delivered) => return in_place_of(last, delivered),
                // That the bucket was asked for the one before still holds.
                Err((fault, forwarded)) => last = (fault, forwarded.or(last.1)),
            }
            if !matches!(last.0, Fault::NotFound | Fault::Corrupt) {
                break;
            }
            let instead = Instead { request, policy, tried: &all[..=index], failed: last };
            if let Some(decoded) = self.obtain_decoded(instead).await {
                return decoded;
            }
        }
        // A release says that this name exists; the bucket cannot unsay it.
        if last.0 == Fault::NotFound && !policy.ages {
            last.0 = Fault::Lost;
        }
        let (mut response, status) = fault(last.0, last.1);
        if policy.cross_origin {
            put_cross_origin(response.headers_mut());
        }
        (response, status)
    }

    pub(super) async fn obtain(
        &self,
        request: &GatedRequest,
        wanted: &Wanted,
        policy: &Arc<Policy>,
    ) -> Result<Delivered, Failed> {
        let now = self.clock.now();
        let mut known = self.cache.lookup(&wanted.key, now);
        // What follows is large, and most requests need none of it: they do not
        // carry it along.
        if let (Known::Nothing, Some(fill)) = (&known, &self.fill) {
            known = match Box::pin(fill.recall(wanted, now)).await {
                Recalled::Nothing => Known::Nothing,
                Recalled::Stored(stored) => Known::Stored(stored),
                Recalled::Kept(kept) => {
                    return Box::pin(self.kept(request, policy, &kept, now)).await;
                }
            };
        }
        match decide(known, wanted, now) {
            Decision::Serve(stored) => Ok(hit(request, policy, &stored, now)),
            Decision::Refuse(fault) => Err((fault, None)),
            Decision::Fetch(reason) => {
                Box::pin(self.fetch(request, wanted, policy, reason, now)).await
            }
        }
    }

    async fn fetch(
        &self,
        request: &GatedRequest,
        wanted: &Wanted,
        policy: &Arc<Policy>,
        reason: Forward,
        now: SystemTime,
    ) -> Result<Delivered, Failed> {
        // Who is kept from an origin that is down was not forwarded to it.
        let failed = |fault| (fault, (fault != Fault::Down).then_some(reason));
        let fill = self.fill.as_ref().ok_or((Fault::NotFound, None))?;
        let landed = || match decide(self.cache.lookup(&wanted.key, now), wanted, now) {
            Decision::Fetch(_) => None,
            decision => Some(decision),
        };
        let fly = |takeoff| Arc::clone(fill).fly(wanted.clone(), takeoff);
        let joined = self.flights.join(&wanted.key, &self.cache.epochs, landed, fly);
        let (mut flight, collapsed) = match joined.map_err(failed)? {
            Joined::Landed(Decision::Serve(stored)) => {
                return Ok(hit(request, policy, &stored, now));
            }
            Joined::Landed(Decision::Refuse(fault)) => return Err((fault, None)),
            Joined::Landed(Decision::Fetch(_)) => return Err(failed(Fault::Unavailable)),
            Joined::Leader(flight) => (flight, false),
            Joined::Follower(flight) => (flight, true),
        };
        if collapsed {
            self.metrics.counter("awning_collapsed_total", &[]).increment(1);
        }
        let status = |stored| forwarded(policy, reason, stored, collapsed);
        match flight.answered().await {
            // A flight may have been started under a name without a manifest.
            Progress::Whole(stored) if !wanted.is(&stored) => Err(failed(Fault::Corrupt)),
            Progress::Whole(stored) => Ok(whole(request, policy, &stored, status(true), None)),
            Progress::Arriving(head, _) => {
                Ok(arriving(request, policy, &head, flight, status(true)))
            }
            Progress::Spooling(spool) if spool.is_far_from(request) => {
                let handover = Handover::default();
                let unshared = Unshared { fill, request, wanted, policy, status: status(false) };
                unshared.answer(&handover).await.map_err(failed)
            }
            Progress::Spooling(spool) => {
                self.spooled(request, policy, &spool, status(true)).await.map_err(failed)
            }
            Progress::Unshared(handover) => {
                let status = status(false);
                let unshared = Unshared { fill, request, wanted, policy, status };
                unshared.answer(&handover).await.map_err(failed)
            }
            Progress::Failed(fault) => Err(failed(fault)),
            Progress::Waiting | Progress::Rest(..) => Err(failed(Fault::Unavailable)),
        }
    }
}

impl Shield {
    /// An answer whose body is read from disk while it is sent.
    async fn kept(
        &self,
        request: &GatedRequest,
        policy: &Arc<Policy>,
        kept: &Kept,
        now: SystemTime,
    ) -> Result<Delivered, Failed> {
        let age = now.duration_since(kept.stored_at).unwrap_or_default();
        let status = CacheStatus::hit(policy.ttl(age));
        let window = spool::window(&self.cache.budget, request).await;
        let window = window.map_err(|fault| (fault, None))?;
        let (head, written, age) = (&kept.head, None, Some(age));
        let answer = Answer { request, policy, head, written, status: status.clone(), age };
        let sent = delivery(request, policy, head);
        let body = |range| spool::body(kept.body.clone(), None, range, window.clone());
        Ok((answer.respond(sent, body), status))
    }

    /// An answer whose body is read from disk while it arrives there.
    async fn spooled(
        &self,
        request: &GatedRequest,
        policy: &Arc<Policy>,
        spool: &Spool,
        status: CacheStatus,
    ) -> Result<Delivered, Fault> {
        let window = spool::window(&self.cache.budget, request).await?;
        let (head, written, age) = (&spool.head, None, None);
        let answer = Answer { request, policy, head, written, status: status.clone(), age };
        let sent = delivery(request, policy, head);
        let body =
            |range| spool::body(spool.body.clone(), Some(spool.ready()), range, window.clone());
        Ok((answer.respond(sent, body), status))
    }
}

pub(super) fn hit(
    request: &GatedRequest,
    policy: &Arc<Policy>,
    stored: &StoredResponse,
    now: SystemTime,
) -> Delivered {
    let age = stored.age(now);
    whole(request, policy, stored, CacheStatus::hit(policy.ttl(age)), Some(age))
}

/// A stored response is no hit (RFC 9211 §2.1) when the bucket was asked for
/// what the request likes better, and did not have it.
fn in_place_of((fault, forwarded): Failed, delivered: Delivered) -> Delivered {
    let (mut response, status) = delivered;
    let (Source::Hit, Some(reason)) = (&status.source, forwarded) else {
        return (response, status);
    };
    let answered = (fault == Fault::NotFound).then_some(StatusCode::NOT_FOUND);
    let forwarded = CacheStatus::forwarded(reason, answered);
    let status = CacheStatus { ttl: status.ttl, detail: Some(fault.name()), ..forwarded };
    response.headers_mut().insert(CACHE_STATUS, status.to_header());
    (response, status)
}

pub(super) fn whole(
    request: &GatedRequest,
    policy: &Arc<Policy>,
    stored: &StoredResponse,
    status: CacheStatus,
    age: Option<Duration>,
) -> Delivered {
    let (head, written) = (&stored.head, Some(&stored.written));
    let answer = Answer { request, policy, head, written, status: status.clone(), age };
    let body = |range| pass_on::stored(stored, range);
    let response = match delivery(request, policy, head) {
        Delivery::Whole if age.is_some() => {
            let respond = |lasting: &HeaderMap| answer.respond_with(lasting, body);
            stored.with_lasting(policy, || answer.lasting(), respond)
        }
        sent => answer.respond(sent, body),
    };
    (response, status)
}

fn arriving(
    request: &GatedRequest,
    policy: &Arc<Policy>,
    head: &Head,
    flight: Flight,
    status: CacheStatus,
) -> Delivered {
    let (written, age) = (None, None);
    let answer = Answer { request, policy, head, written, status: status.clone(), age };
    let sent = delivery(request, policy, head);
    (answer.respond(sent, |range| pass_on::flight(flight.clone(), range)), status)
}

fn forwarded(policy: &Arc<Policy>, reason: Forward, stored: bool, collapsed: bool) -> CacheStatus {
    let status = Some(StatusCode::OK);
    CacheStatus {
        source: Source::Forwarded { reason, status, stored, collapsed },
        ttl: stored.then(|| policy.ttl(Duration::ZERO)),
        detail: None,
    }
}
