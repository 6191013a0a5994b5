//! Carrying out a decision: from the cache, or from a flight.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Response, StatusCode};

use super::Shield;
use super::body::ResponseBody;
use super::cache::{Head, StoredResponse};
use super::decide::{Decision, decide};
use super::flight::{Flight, Joined, Progress};
use super::origin::Fault;
use super::pass_on;
use super::request::GatedRequest;
use super::respond::{Answer, delivery, fault};
use super::unshared::Unshared;
use super::wanted::{Policy, Wanted};
use crate::semantics::cache_status::{CacheStatus, Forward, Source};

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
                let (wanted, status) = (&wanted, status(false));
                let unshared = Unshared { fill, request, wanted, policy, status };
                unshared.answer(&handover).await.map_err(failed)
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

fn forwarded(policy: &Policy, reason: Forward, stored: bool, collapsed: bool) -> CacheStatus {
    let status = Some(StatusCode::OK);
    CacheStatus {
        source: Source::Forwarded { reason, status, stored, collapsed },
        ttl: stored.then(|| policy.ttl(Duration::ZERO)),
        detail: None,
    }
}
