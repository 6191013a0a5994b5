//! Responses that are made of stored ones: a coding of an identity that was
//! published without, and an identity that the bucket has lost out of one of
//! its codings.
//!
//! Each is made once, in a flight of its own, from bytes that were proven; what
//! is decoded is proven again. It carries the epoch and the age of its source.

mod coder;
mod making;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::Shield;
use super::cache::{CacheKey, Head, Known, StoredResponse};
use super::decide::{Decision, decide};
use super::deliver::{Delivered, Failed, hit, whole};
use super::fill::PROVEN_FIRST_BYTES_MAX;
use super::flight::{Joined, Progress};
use super::origin::Fault;
use super::request::GatedRequest;
use super::wanted::{Policy, Published, Wanted};
use crate::asset::media;
use crate::manifest::Entry;
use crate::semantics::cache_status::{CacheStatus, Source};
use crate::semantics::encoding::Coding;

pub(crate) use coder::MADE;
pub(crate) use making::Coder;
use making::{Making, Work};

/// Below, a coding saves less than a packet; above, it takes too long.
const CODED_BYTES: std::ops::RangeInclusive<u64> = 1024..=8 * 1024 * 1024;

/// Largest identity that is decoded; larger ones are not published in codings.
const DECODED_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Whether codings of an asset are worth making that was published without.
pub(crate) fn is_uncoded(entry: &Entry) -> bool {
    entry.variants.is_empty()
        && CODED_BYTES.contains(&entry.size)
        && media::is_compressible(&entry.content_type)
}

/// An object that cannot be had, for what may take its place.
pub(super) struct Instead<'a> {
    pub(super) request: &'a GatedRequest,
    pub(super) policy: &'a Arc<Policy>,
    /// What was tried and failed; the object last.
    pub(super) tried: &'a [Wanted],
    pub(super) failed: Failed,
}

impl Shield {
    /// Answers with the coding that `wanted` is, made of the object if it is not
    /// there yet; with the object itself where that is not to be had at once.
    pub(super) async fn obtain_coded(
        &self,
        request: &GatedRequest,
        wanted: &Wanted,
        coding: Coding,
        policy: &Arc<Policy>,
    ) -> Result<Delivered, Failed> {
        let now = self.clock.now();
        if let Decision::Serve(stored) = decide(self.cache.lookup(&wanted.key, now), wanted, now) {
            return Ok(hit(request, policy, &stored, now));
        }
        // Rare, and large: not to be carried along by every request.
        Box::pin(self.code(request, wanted, coding, policy)).await
    }

    async fn code(
        &self,
        request: &GatedRequest,
        wanted: &Wanted,
        coding: Coding,
        policy: &Arc<Policy>,
    ) -> Result<Delivered, Failed> {
        let identity = wanted.identity_of();
        let delivered = self.obtain(request, &identity, policy).await?;
        // Whoever holds the content in some coding needs no other one made.
        if delivered.0.status() == StatusCode::NOT_MODIFIED {
            return Ok(delivered);
        }
        let now = self.clock.now();
        let source = match self.cache.lookup(&identity.key, now) {
            Known::Stored(source) if is_coded_here(&source.head) => source,
            _ => return Ok(delivered),
        };
        let status = delivered.1.clone();
        let age = matches!(status.source, Source::Hit).then(|| source.age(now));
        match self.made(wanted, &wanted.key, source, Work::Code(coding)).await {
            Some(coded) => Ok(whole(request, policy, &coded, status, age)),
            None => Ok(delivered),
        }
    }

    /// Answers with the object that the bucket does not have, or not whole, or
    /// with the page of it, decoded from one of its codings; `None` if that
    /// cannot be had either.
    pub(super) async fn obtain_decoded(&self, instead: Instead<'_>) -> Option<Delivered> {
        let wanted = instead.tried.last().filter(|wanted| wanted.coding.is_none())?;
        let published = wanted.published.as_ref()?;
        let bytes_max = match wanted.page {
            None => DECODED_BYTES_MAX,
            Some(_) => PROVEN_FIRST_BYTES_MAX,
        };
        if published.size > bytes_max.min(self.cache.budget.body_bytes_max()) {
            return None;
        }
        Box::pin(self.decode(&instead, wanted, published)).await
    }

    async fn decode(
        &self,
        instead: &Instead<'_>,
        wanted: &Wanted,
        published: &Published,
    ) -> Option<Delivered> {
        let (identity, status) = self.decoded(instead, &wanted.identity_of(), published).await?;
        let made = match wanted.page.clone() {
            None => identity,
            Some(page) => self.made(wanted, &wanted.key, identity, Work::Render(page)).await?,
        };
        let status = told(instead.failed, status, instead.policy);
        Some(whole(instead.request, instead.policy, &made, status, None))
    }

    /// The identity, and how the coding was had that it was decoded from.
    async fn decoded(
        &self,
        Instead { request, policy, tried, .. }: &Instead<'_>,
        identity: &Wanted,
        published: &Published,
    ) -> Option<(Arc<StoredResponse>, CacheStatus)> {
        let releases = self.settings().channels.releases();
        let entry = releases.entry_of(&identity.object)?;
        for (coding, variant) in &entry.variants {
            // What is larger than that is not collected before it is shown.
            let fits = variant.size <= PROVEN_FIRST_BYTES_MAX;
            if !fits || tried.iter().any(|tried| tried.object == variant.key) {
                continue;
            }
            let coded = Wanted::variant(entry, *coding, variant);
            let Ok((_, status)) = self.obtain(request, &coded, policy).await else { continue };
            let known = self.cache.lookup(&coded.key, self.clock.now());
            let Known::Stored(source) = known else { continue };
            let key = CacheKey::Made { object: identity.object.clone(), coding: None };
            let work = Work::Decode(*coding, published.clone());
            if let Some(made) = self.made(identity, &key, source, work).await {
                return Some((made, status));
            }
        }
        None
    }

    /// What a flight makes of `source`, and stores as `wanted`.
    async fn made(
        &self,
        wanted: &Wanted,
        flight: &CacheKey,
        source: Arc<StoredResponse>,
        work: Work,
    ) -> Option<Arc<StoredResponse>> {
        let now = self.clock.now();
        let landed = || match decide(self.cache.lookup(&wanted.key, now), wanted, now) {
            Decision::Serve(stored) => Some(stored),
            _ => None,
        };
        let epoch = source.fill_epoch;
        let (cache, coder) = (Arc::clone(&self.cache), Arc::clone(&self.coder));
        let making = Making { cache, coder, key: wanted.key.clone(), source, work };
        let fly = |takeoff| making.fly(takeoff);
        match self.flights.join(flight, &self.cache.epochs, landed, fly).ok()? {
            Joined::Landed(stored) => Some(stored),
            Joined::Leader(mut flight) | Joined::Follower(mut flight) => {
                match flight.answered().await {
                    // Whoever started it may have had a source from before a purge.
                    Progress::Whole(stored) => {
                        Some(stored).filter(|stored| stored.fill_epoch >= epoch)
                    }
                    _ => None,
                }
            }
        }
    }
}

/// Whether what the bucket says of an object allows to code it.
fn is_coded_here(head: &Head) -> bool {
    let compressible = head.content_type.to_str().is_ok_and(media::is_compressible);
    compressible && head.content_encoding.is_none() && CODED_BYTES.contains(&head.size)
}

/// What an answer says of itself that took the place of what `failed`.
fn told((fault, forwarded): Failed, source: CacheStatus, policy: &Policy) -> CacheStatus {
    let detail = Some("decoded");
    let Some(reason) = forwarded else { return CacheStatus { detail, ..source } };
    let status = (fault == Fault::NotFound).then_some(StatusCode::NOT_FOUND);
    let source = Source::Forwarded { reason, status, stored: true, collapsed: false };
    CacheStatus { source, ttl: Some(policy.ttl(Duration::ZERO)), detail }
}
