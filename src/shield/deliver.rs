//! Carrying out a decision: from the cache, from a flight, or straight from
//! the bucket.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Method, Response, StatusCode};

use super::Shield;
use super::body::{ResponseBody, empty};
use super::cache::{Head, StoredResponse};
use super::decide::{Decision, decide};
use super::fill::{Fill, head_of};
use super::flight::{Flight, Handover, Joined, Progress};
use super::origin::Fault;
use super::origin::bucket::{Opened, Purpose};
use super::pass_on::{self, Passing};
use super::proof::Proof;
use super::request::GatedRequest;
use super::respond::{Answer, Delivery, delivery, fault};
use super::wanted::{Policy, Wanted};
use crate::semantics::cache_status::{CacheStatus, Forward, Source};
use crate::store::{ByteRange, GetRequest, ObjectHead};

/// How long a body that is passed on waits for its window of memory.
const WINDOW_TIMEOUT: Duration = Duration::from_millis(500);

/// A response, and what it says of itself.
pub(super) type Delivered = (Response<ResponseBody>, CacheStatus);

/// Why there is no response, and whether the bucket was asked.
type Failed = (Fault, Option<Forward>);

impl Shield {
    /// Answers with the first of `wanted` that can be had. Only what is absent
    /// or damaged makes way for the next: a store that is down is down for all.
    pub(super) async fn deliver(
        &self,
        request: &GatedRequest,
        wanted: Vec<Wanted>,
        policy: &Policy,
    ) -> Delivered {
        let mut last = (Fault::NotFound, None);
        for wanted in wanted {
            match self.obtain(request, wanted, policy).await {
                Ok(delivered) => return delivered,
                Err(failed) => last = failed,
            }
            if !matches!(last.0, Fault::NotFound | Fault::Corrupt) {
                break;
            }
        }
        // A release says that this name exists; the bucket cannot unsay it.
        if last.0 == Fault::NotFound && !policy.ages {
            last.0 = Fault::Lost;
        }
        fault(last.0, last.1)
    }

    async fn obtain(
        &self,
        request: &GatedRequest,
        wanted: Wanted,
        policy: &Policy,
    ) -> Result<Delivered, Failed> {
        let now = self.clock.now();
        match decide(self.cache.lookup(&wanted.key, now), &wanted, now) {
            Decision::Serve(stored) => Ok(hit(request, policy, &stored, now)),
            Decision::Refuse(fault) => Err((fault, None)),
            Decision::Fetch(reason) => self.fetch(request, wanted, policy, reason, now).await,
        }
    }

    async fn fetch(
        &self,
        request: &GatedRequest,
        wanted: Wanted,
        policy: &Policy,
        reason: Forward,
        now: SystemTime,
    ) -> Result<Delivered, Failed> {
        let failed = |fault| (fault, Some(reason));
        let fill = self.fill.as_ref().ok_or((Fault::NotFound, None))?;
        let landed = || match decide(self.cache.lookup(&wanted.key, now), &wanted, now) {
            Decision::Fetch(_) => None,
            decision => Some(decision),
        };
        let fly = |takeoff| Arc::clone(fill).fly(wanted.clone(), takeoff);
        let joined = self.flights.join(&wanted.key, &self.cache.epochs, landed, fly);
        let (mut flight, collapsed) = match joined.map_err(failed)? {
            Joined::Landed(Decision::Serve(stored)) => {
                return Ok(hit(request, policy, &stored, now));
            }
            Joined::Landed(_) => return Err((Fault::NotFound, None)),
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
            Progress::Unshared(handover) => {
                let passing = pass_on(fill, request, &wanted, policy, &handover, status(false));
                passing.await.map_err(failed)
            }
            Progress::Failed(fault) => Err(failed(fault)),
            Progress::Waiting => Err(failed(Fault::Unavailable)),
        }
    }
}

fn hit(
    request: &GatedRequest,
    policy: &Policy,
    stored: &StoredResponse,
    now: SystemTime,
) -> Delivered {
    let age = stored.age(now);
    whole(request, policy, stored, CacheStatus::hit(policy.ttl(age)), Some(age))
}

fn whole(
    request: &GatedRequest,
    policy: &Policy,
    stored: &StoredResponse,
    status: CacheStatus,
    age: Option<Duration>,
) -> Delivered {
    let answer = Answer { request, policy, head: &stored.head, status: status.clone(), age };
    let sent = delivery(request, policy, &stored.head);
    (answer.respond(sent, |range| pass_on::stored(stored, range)), status)
}

fn arriving(
    request: &GatedRequest,
    policy: &Policy,
    head: &Head,
    flight: Flight,
    status: CacheStatus,
) -> Delivered {
    let answer = Answer { request, policy, head, status: status.clone(), age: None };
    let sent = delivery(request, policy, head);
    (answer.respond(sent, |range| pass_on::flight(flight, range)), status)
}

/// Answers from the bucket without holding the body. Each client of such an
/// object has a read of its own, in a window of memory of its own; a part is
/// asked of the bucket as a part.
async fn pass_on(
    fill: &Fill,
    request: &GatedRequest,
    wanted: &Wanted,
    policy: &Policy,
    handover: &Handover,
    status: CacheStatus,
) -> Result<Delivered, Fault> {
    let budget = &fill.cache.budget;
    let window = budget.reserve(budget.window_bytes(), WINDOW_TIMEOUT).await;
    let window = window.ok_or(Fault::Overloaded)?;
    let opened = handover.take();
    let known = match &opened {
        Some(opened) => opened.head.clone(),
        None => fill.bucket.head(&wanted.object).await?,
    };
    check_size(wanted, &known)?;
    let proof = Proof::of(wanted, &known)?;
    let head = head_of(wanted, &proof, &known);
    let answer = Answer { request, policy, head: &head, status: status.clone(), age: None };
    let sent = delivery(request, policy, &head);
    let part = match sent {
        _ if request.method == Method::HEAD => {
            return Ok((answer.respond(sent, |_| empty()), status));
        }
        Delivery::Whole => None,
        Delivery::Part(first, last) => Some((first, last)),
        _ => return Ok((answer.respond(sent, |_| empty()), status)),
    };
    let passing = match part {
        Some((first, last)) => {
            let opened = open(fill, wanted, &known, Some((first, last))).await?;
            Passing::new(opened, last - first + 1, None, window)
        }
        None => {
            let opened = match opened {
                Some(opened) => fill.bucket.pass_on(opened).await?,
                None => open(fill, wanted, &known, None).await?,
            };
            Passing::new(opened, known.size, Some(proof), window)
        }
    };
    Ok((answer.respond(sent, |_| passing.into_body()), status))
}

/// Opens the object that `known` describes, and no other one.
async fn open(
    fill: &Fill,
    wanted: &Wanted,
    known: &ObjectHead,
    part: Option<(u64, u64)>,
) -> Result<Opened, Fault> {
    let request = GetRequest {
        range: part.map(|(first, last)| ByteRange::Bounded(first, last)),
        if_match: known.etag.clone(),
        if_none_match: None,
    };
    let opened = fill.bucket.open(&wanted.object, Purpose::PassOn, request).await?;
    if opened.part != part || opened.head.size != known.size {
        return Err(Fault::Corrupt);
    }
    Ok(opened)
}

fn check_size(wanted: &Wanted, found: &ObjectHead) -> Result<(), Fault> {
    let published = wanted.published.as_ref();
    match published.is_some_and(|published| published.size != found.size) {
        true => Err(Fault::Corrupt),
        false => Ok(()),
    }
}

fn forwarded(policy: &Policy, reason: Forward, stored: bool, collapsed: bool) -> CacheStatus {
    let status = Some(StatusCode::OK);
    CacheStatus {
        source: Source::Forwarded { reason, status, stored, collapsed },
        ttl: stored.then(|| policy.ttl(Duration::ZERO)),
        detail: None,
    }
}
