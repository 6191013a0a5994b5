//! Answers that are not shared: of what is too large to hold, or finds no room.
//!
//! Each client of such an object has a read of its own, in a window of memory
//! of its own; a part is asked of the bucket as a part.

use std::time::Duration;

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, RANGE};
use http::{HeaderName, Method};

use super::body::empty;
use super::cache::Reservation;
use super::deliver::Delivered;
use super::fill::{Fill, head_of};
use super::flight::Handover;
use super::origin::Fault;
use super::origin::bucket::{Opened, Purpose};
use super::pass_on::Passing;
use super::proof::Proof;
use super::request::GatedRequest;
use super::respond::{Answer, Delivery, delivery};
use super::wanted::{Policy, Wanted};
use crate::semantics::cache_status::CacheStatus;
use crate::store::{ByteRange, GetRequest, ObjectHead};

/// How long a body that is passed on waits for its window of memory.
const WINDOW_TIMEOUT: Duration = Duration::from_millis(500);

/// Fields whose meaning depends on what the bucket knows of the object.
const CONDITIONS: [HeaderName; 5] =
    [RANGE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE];

/// An answer that is not shared.
pub(super) struct Unshared<'a> {
    pub(super) fill: &'a Fill,
    pub(super) request: &'a GatedRequest,
    pub(super) wanted: &'a Wanted,
    pub(super) policy: &'a Policy,
    pub(super) status: CacheStatus,
}

impl Unshared<'_> {
    /// Answers from the bucket. The body that a flight found too large is used
    /// by the first client who wants all of it.
    pub(super) async fn answer(self, handover: &Handover) -> Result<Delivered, Fault> {
        let window = self.window().await?;
        let opened = if self.is_plain() { Some(self.whole(handover).await?) } else { None };
        let known = match &opened {
            Some(opened) => opened.head.clone(),
            None => self.fill.bucket.head(&self.wanted.object).await?,
        };
        self.check_size(&known)?;
        let proof = Proof::of(self.wanted, &known)?;
        let head = head_of(self.wanted, &proof, &known);
        let sent = match delivery(self.request, self.policy, &head) {
            // Each part would be a read of its own; one of the whole is less.
            Delivery::Parts(_) => Delivery::Whole,
            sent => sent,
        };
        let passing = match (&sent, opened) {
            _ if self.request.method == Method::HEAD => None,
            (Delivery::Part(first, last), _) => {
                let opened = self.part(&known, *first, *last).await?;
                Some(Passing::new(opened, last - first + 1, None, window))
            }
            (Delivery::Whole, Some(opened)) => {
                Some(Passing::new(opened, known.size, Some(proof), window))
            }
            (Delivery::Whole, None) => {
                let opened = self.open(GetRequest::default()).await?;
                self.check_size(&opened.head)?;
                Some(Passing::new(opened, known.size, Some(proof), window))
            }
            _ => None,
        };
        let Self { request, policy, status, .. } = self;
        let (head, written, age) = (&head, None, None);
        let answer = Answer { request, policy, head, written, status: status.clone(), age };
        let mut body = passing.map(Passing::into_body);
        Ok((answer.respond(sent, |_| body.take().unwrap_or_else(empty)), status))
    }

    async fn window(&self) -> Result<Reservation, Fault> {
        let budget = &self.fill.cache.budget;
        let window = budget.reserve(budget.window_bytes(), WINDOW_TIMEOUT).await;
        window.ok_or(Fault::Overloaded)
    }

    /// Whether all of the object is wanted, whatever is known of it.
    fn is_plain(&self) -> bool {
        let headers = &self.request.headers;
        self.request.method == Method::GET
            && !CONDITIONS.iter().any(|name| headers.contains_key(name))
    }

    async fn whole(&self, handover: &Handover) -> Result<Opened, Fault> {
        match handover.take() {
            Some(opened) => self.fill.bucket.pass_on(opened).await,
            None => self.open(GetRequest::default()).await,
        }
    }

    /// A part of the object that is known, and of no other one.
    async fn part(&self, known: &ObjectHead, first: u64, last: u64) -> Result<Opened, Fault> {
        let request = GetRequest {
            range: Some(ByteRange::Bounded(first, last)),
            if_match: known.etag.clone(),
            if_none_match: None,
        };
        let opened = self.open(request).await?;
        let fits = opened.part == Some((first, last)) && opened.head.size == known.size;
        if fits { Ok(opened) } else { Err(Fault::Corrupt) }
    }

    async fn open(&self, request: GetRequest) -> Result<Opened, Fault> {
        self.fill.bucket.open(&self.wanted.object, Purpose::PassOn, request).await
    }

    fn check_size(&self, found: &ObjectHead) -> Result<(), Fault> {
        match &self.wanted.published {
            Some(published) if published.size != found.size => Err(Fault::Corrupt),
            _ => Ok(()),
        }
    }
}
