//! Switching a channel to a release, on a store that need not have conditional
//! writes (B2 answers 501 to them).
//!
//! Every publisher writes a record under a key of its own, so none is lost;
//! the greatest record is the head. `head.json` only repeats it: whoever
//! writes that looks at the log again, and writes again if the head has
//! changed. A lost race can only choose between two complete releases.

use std::time::SystemTime;

use super::base;
use super::claim;
use super::error::PublishError;
use super::log::Log;
use super::options::Options;
use super::upload::Uploaded;
use super::writes::Writes;
use crate::asset::{Digest, KeyLayout};
use crate::manifest::{ACTIVATION_BYTES_MAX, Activation, MANIFEST_BYTES_MAX, Manifest, ReleaseId};
use crate::store::{ObjectHeaders, ObjectWrite};

/// `Cache-Control` of `head.json`.
const CACHE_HEAD: &str = "no-cache";

/// `Cache-Control` of what is never written twice.
pub(super) const CACHE_ONCE: &str = "public, max-age=31536000, immutable";

/// How often `head.json` is written before the others are left to settle it.
const HEAD_WRITES_MAX: usize = 8;

/// A release that is the head of its channel.
#[derive(Debug)]
pub struct Release {
    /// The record that made it the head.
    pub activation: Activation,
    /// The manifest.
    pub manifest: Manifest,
    /// Objects that were sent, and their bytes.
    pub sent: (usize, u64),
    /// Whether it was the head before, so that nothing was done.
    pub unchanged: bool,
}

/// Stores the manifest of a release without switching a channel to it.
///
/// Reads it back: a release must not be named before its manifest is there.
/// The date of what it reads tells how long the publish took: behind the
/// [`DEADLINE`](super::DEADLINE) it ends with [`PublishError::TooLate`].
pub async fn stage(
    uploaded: &Uploaded,
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
) -> Result<ReleaseId, PublishError> {
    let (release, bytes) = uploaded.plan.manifest.to_bytes().map_err(PublishError::Unwritable)?;
    let key = layout.manifest(release);
    store.put(&key, bytes.into(), &json_headers(CACHE_ONCE)).await?;
    let stored = base::read_dated(store, &key, MANIFEST_BYTES_MAX).await?;
    let Some((bytes, stored)) = stored else { return Err(PublishError::Damaged { key }) };
    claim::in_time(uploaded.since, stored)?;
    // Its digest is its name, so there is no need to hold a second manifest.
    if ReleaseId::new(Digest::of(&bytes)) == release {
        Ok(release)
    } else {
        Err(PublishError::Damaged { key })
    }
}

/// Makes an uploaded release the head of its channel.
///
/// `nonce` tells this publisher from all others: 1 to 64 letters and digits.
/// Fails with [`PublishError::Superseded`] when someone else switched the
/// channel meanwhile, and with [`PublishError::Late`] when the deadline had
/// passed before it began. If the release already is the head, the store is
/// not called.
pub async fn activate(
    uploaded: Uploaded,
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
    now: SystemTime,
    nonce: String,
    options: &Options,
) -> Result<Release, PublishError> {
    let plan = &uploaded.plan;
    if let (true, Some(head)) = (plan.current, &plan.base) {
        let activation = head.clone();
        return Ok(uploaded.into_release(activation, true));
    }
    if options.is_late() {
        return Err(PublishError::Late { stored: uploaded.sent.0, unsent: 0 });
    }
    let release = stage(&uploaded, store, layout).await?;
    let writes = Writes::of(store, layout, options).await?;
    let seq = plan.base.as_ref().map_or(0, |head| head.seq);
    let own = Activation {
        activated: httpdate::fmt_http_date(now),
        by: None,
        channel: plan.channel.clone(),
        expires: options.expires.map(httpdate::fmt_http_date),
        locked: false,
        nonce,
        order: options.order,
        release,
        seq: seq.saturating_add(1),
    };
    let log = Log { store, layout, channel: &plan.channel, from: seq };
    let head = append(&log, &own, writes).await?;
    let head = settle(&log, &own, head, writes).await?;
    if head.release == release {
        Ok(uploaded.into_release(head, false))
    } else {
        Err(PublishError::outranked(release, head))
    }
}

impl Uploaded {
    fn into_release(self, activation: Activation, unchanged: bool) -> Release {
        Release { activation, manifest: self.plan.manifest, sent: self.sent, unchanged }
    }
}

/// Writes a record unless the log already holds one that outranks it, and
/// returns the log's head.
///
/// The look before writing decides a race in favour of who came first, and
/// lets a publisher that died behind its record be taken up again.
pub(super) async fn append(
    log: &Log<'_>,
    own: &Activation,
    writes: Writes,
) -> Result<Activation, PublishError> {
    if let Some(head) = log.head().await?
        && head.rank() >= own.rank()
    {
        return Ok(head);
    }
    let key = log.layout.record(log.channel, own.seq, &own.nonce);
    let bytes = own.to_bytes().map_err(PublishError::UnwritableRecord)?;
    writes.put_own(log.store, &key, bytes.into(), &json_headers(CACHE_ONCE)).await?;
    // The own record counts even if the listing lags behind the write.
    match log.head().await? {
        Some(head) if head.newer(own).is_gt() => Ok(head),
        _ => Ok(own.clone()),
    }
}

/// Makes `head.json` repeat the log's head, which is `head` as far as known,
/// and returns the log's head. What someone else wrote already is left alone.
pub(super) async fn settle(
    log: &Log<'_>,
    own: &Activation,
    mut head: Activation,
    writes: Writes,
) -> Result<Activation, PublishError> {
    let key = log.layout.head(log.channel);
    if head != *own && is_stored(log, &key, &head).await? {
        return Ok(head);
    }
    for _ in 0..HEAD_WRITES_MAX {
        let written = writes.put_head(log, &key, &head, &json_headers(CACHE_HEAD)).await?;
        match log.head().await? {
            Some(newest) if newest.newer(&head).is_gt() => head = newest,
            _ if written => return Ok(head),
            // Whoever wrote it may have died before looking at the log.
            _ => {}
        }
    }
    Err(PublishError::Unsettled)
}

async fn is_stored(log: &Log<'_>, key: &str, head: &Activation) -> Result<bool, PublishError> {
    let stored = base::read(log.store, key, ACTIVATION_BYTES_MAX).await?;
    let stored = stored.and_then(|bytes| Activation::from_bytes(log.channel, &bytes).ok());
    Ok(stored.as_ref() == Some(head))
}

/// Header fields of awning's own objects.
pub(super) fn json_headers(cache: &str) -> ObjectHeaders {
    ObjectHeaders {
        content_type: Some("application/json; charset=utf-8".to_owned()),
        cache_control: Some(cache.to_owned()),
        ..ObjectHeaders::default()
    }
}
