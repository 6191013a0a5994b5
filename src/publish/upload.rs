//! Sending the objects that are missing. Nothing of this is visible to
//! visitors: no manifest names the new objects yet.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task;

use super::base;
use super::error::PublishError;
use super::event::Event;
use super::options::Options;
use super::plan::{Plan, Step};
use crate::asset::{AssetPath, Digest, KeyLayout, ObjectKey};
use crate::semantics::encoding::Coding;
use crate::store::{ObjectHeaders, ObjectWrite, PutReceipt, StoreError, StoreErrorKind};

/// A release whose objects are all in the bucket.
#[derive(Debug)]
pub struct Uploaded {
    pub(super) plan: Plan,
    /// Objects that were sent, and their bytes.
    pub(super) sent: (usize, u64),
}

/// Sends what the plan says, several objects at a time, and makes nothing
/// visible.
///
/// Each body is made again from its file just before it is sent, and sent
/// only if it is what was built. After the first failure no other object is
/// begun, and those under way are waited for. If the release already is the
/// head of the channel, the store is not called.
pub async fn upload(
    plan: Plan,
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
    options: &Options,
    events: &mut (dyn FnMut(Event) + Send),
) -> Result<Uploaded, PublishError> {
    let (objects, bytes) = plan.uploads();
    if objects > 0 {
        events(Event::Uploading { objects, bytes });
    }
    let upload = Upload {
        plan: &plan,
        store,
        layout,
        budget: Budget::of(options.upload_bytes),
        stopped: AtomicBool::new(false),
    };
    let outcome = upload.run(options.concurrency.max(1), events).await;
    let sent = outcome.into_result(objects)?;
    Ok(Uploaded { plan, sent })
}

impl Uploaded {
    /// Objects that were sent, and their bytes.
    pub fn sent(&self) -> (usize, u64) {
        self.sent
    }

    /// What was planned.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

struct Upload<'a> {
    plan: &'a Plan,
    store: &'a dyn ObjectWrite,
    layout: &'a KeyLayout,
    budget: Budget,
    /// Set by the first failure.
    stopped: AtomicBool,
}

/// An object to send.
struct Put<'a> {
    path: &'a AssetPath,
    coding: Option<Coding>,
    key: &'a ObjectKey,
    size: u64,
}

/// What is sent for it.
struct Body {
    bytes: Bytes,
    headers: ObjectHeaders,
    digest: Digest,
    /// In hexadecimal.
    md5: String,
}

impl<'a> Put<'a> {
    fn of(step: &'a Step) -> Option<Self> {
        match step {
            Step::Put { path, coding, key, size, .. } => {
                Some(Self { path, coding: *coding, key, size: *size })
            }
            Step::Keep { .. } => None,
        }
    }
}

#[derive(Default)]
struct Outcome {
    stored: (usize, u64),
    failed: Vec<(String, StoreError)>,
    /// A failure that is not the store's.
    fatal: Option<PublishError>,
}

/// Why an object was not stored.
enum Failure {
    /// The store failed on this key.
    Store(String, StoreError),
    /// The publish cannot go on at all.
    Fatal(PublishError),
    /// Another object failed first.
    Stopped,
}

impl Upload<'_> {
    async fn run(&self, concurrency: usize, events: &mut (dyn FnMut(Event) + Send)) -> Outcome {
        let mut puts: Vec<Put<'_>> = self.plan.steps.iter().filter_map(Put::of).collect();
        // A variant follows when every asset itself is there.
        puts.sort_by_key(|put| put.coding.is_some());
        let mut identities = puts.iter().filter(|put| put.coding.is_none()).count();
        let mut puts = puts.into_iter().peekable();
        let mut under_way = FuturesUnordered::new();
        let mut outcome = Outcome::default();
        loop {
            while under_way.len() < concurrency && !self.stopped.load(Ordering::Relaxed) {
                let may_begin = |put: &Put<'_>| put.coding.is_none() || identities == 0;
                let Some(put) = puts.next_if(may_begin) else { break };
                under_way.push(async move { (self.send(&put).await, put) }.boxed());
            }
            match under_way.next().await {
                None => return outcome,
                Some((Ok(()), put)) => {
                    identities -= usize::from(put.coding.is_none());
                    let (objects, bytes) = outcome.add_stored(put.size);
                    events(Event::Uploaded { objects, bytes });
                }
                Some((Err(failure), _)) => {
                    self.stopped.store(true, Ordering::Relaxed);
                    outcome.add_failure(failure);
                }
            }
        }
    }

    async fn send(&self, put: &Put<'_>) -> Result<(), Failure> {
        let _room = self.budget.take(put.size).await;
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Failure::Stopped);
        }
        let Body { bytes, headers, digest, md5 } = self.body(put).await.map_err(Failure::Fatal)?;
        let key = self.layout.object(put.key);
        match self.store.put(&key, bytes, &headers).await {
            Err(error) => Err(Failure::Store(key, error)),
            Ok(receipt) if has_validator(&receipt, &md5) => Ok(()),
            Ok(_) => self.read_back(put, key, digest).await,
        }
    }

    /// What is sent, if it still is what was planned.
    async fn body(&self, put: &Put<'_>) -> Result<Body, PublishError> {
        let changed = |source| PublishError::Changed { path: put.path.clone(), source };
        let entry = self.plan.manifest.get(put.path.as_str()).ok_or_else(|| changed(None))?;
        let variant = |coding| entry.variants.get(&coding).map(|variant| variant.b3);
        let digest = match put.coding {
            Some(coding) => variant(coding).ok_or_else(|| changed(None))?,
            None => entry.b3,
        };
        let (objects, path, coding) = (self.plan.objects.clone(), put.path.clone(), put.coding);
        // Reading, rewriting and coding would hold up the uploads that are under way.
        let made = task::spawn_blocking(move || objects.planned(&path, coding, &digest));
        let (bytes, md5) =
            made.await.map_err(|error| changed(Some(std::io::Error::other(error).into())))??;
        let headers = ObjectHeaders {
            content_type: Some(entry.content_type.clone()),
            cache_control: Some(entry.cache.clone()),
            content_encoding: coding.map(|coding| coding.name().to_owned()),
            meta: [("blake3".to_owned(), digest.to_string())].into(),
            ..ObjectHeaders::default()
        };
        Ok(Body { bytes: bytes.into(), headers, digest, md5 })
    }

    /// Reads back what the store gave a foreign validator.
    async fn read_back(&self, put: &Put<'_>, key: String, digest: Digest) -> Result<(), Failure> {
        let bytes_max = usize::try_from(put.size).unwrap_or(usize::MAX);
        match base::read(self.store, &key, bytes_max).await {
            Ok(Some(stored)) if Digest::of(&stored) == digest => Ok(()),
            Err(error) if error.kind() != StoreErrorKind::Rejected => {
                Err(Failure::Store(key, error))
            }
            _ => Err(Failure::Fatal(PublishError::Damaged { key })),
        }
    }
}

/// Believes a receipt whose validator is the MD5 of what was sent. Stores that
/// encrypt have other validators.
fn has_validator(receipt: &PutReceipt, md5: &str) -> bool {
    receipt.etag.as_deref().is_some_and(|etag| etag.trim_matches('"') == md5)
}

impl Outcome {
    /// Counts an object, and returns the totals.
    fn add_stored(&mut self, size: u64) -> (usize, u64) {
        self.stored.0 += 1;
        self.stored.1 += size;
        self.stored
    }

    fn add_failure(&mut self, failure: Failure) {
        match failure {
            Failure::Store(key, error) => self.failed.push((key, error)),
            Failure::Fatal(error) => {
                self.fatal.get_or_insert(error);
            }
            Failure::Stopped => {}
        }
    }

    fn into_result(self, planned: usize) -> Result<(usize, u64), PublishError> {
        if let Some(error) = self.fatal {
            return Err(error);
        }
        if self.failed.is_empty() {
            return Ok(self.stored);
        }
        let stored = self.stored.0;
        let unsent = planned - stored - self.failed.len();
        Err(PublishError::Incomplete { stored, unsent, failed: self.failed })
    }
}

/// Bytes of bodies that may be in memory at once.
struct Budget {
    room: Semaphore,
    units: u32,
}

/// Bytes that one permit stands for: a semaphore takes at most `u32::MAX` at once.
const UNIT_BYTES: u64 = 4096;

impl Budget {
    fn of(bytes: usize) -> Self {
        let units = units(bytes as u64);
        Self { room: Semaphore::new(units as usize), units }
    }

    /// Waits for room. A body of more than the whole budget waits for all of it.
    async fn take(&self, bytes: u64) -> Option<SemaphorePermit<'_>> {
        // `None` only from a closed semaphore, and this one is never closed.
        self.room.acquire_many(units(bytes).min(self.units)).await.ok()
    }
}

fn units(bytes: u64) -> u32 {
    let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).clamp(1, most)
}
