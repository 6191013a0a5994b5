//! Sending the objects that are missing. Nothing of this is visible to
//! visitors: no manifest names the new objects yet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task;

use super::base;
use super::claim::Claim;
use super::error::PublishError;
use super::event::Event;
use super::options::Options;
use super::plan::{Plan, Step};
use super::source::ReadError;
use crate::asset::{AssetPath, Digest, KeyLayout, ObjectKey};
use crate::store::{ObjectHeaders, ObjectWrite, PutReceipt, StoreError, StoreErrorKind};

/// A release whose objects are all in the bucket.
#[derive(Debug)]
pub struct Uploaded {
    pub(super) plan: Plan,
    /// Objects that were sent, and their bytes.
    pub(super) sent: (usize, u64),
    /// When the first of them may have been stored, by the store's time.
    pub(super) since: Option<SystemTime>,
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
    if plan.current {
        return Ok(Uploaded { plan, sent: (0, 0), since: None });
    }
    let Claim { since, again } = Claim::stake(&plan, store, layout).await?;
    let puts = puts(&plan, &again);
    let (objects, bytes) = (puts.len(), puts.iter().map(|put| put.size).sum());
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
    let outcome = upload.run(puts, options.concurrency.max(1), events).await;
    let sent = outcome.into_result(objects)?;
    Ok(Uploaded { plan, sent, since })
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
    key: &'a ObjectKey,
    size: u64,
}

impl<'a> Put<'a> {
    fn of(step: &'a Step) -> Self {
        match step {
            Step::Put { path, key, size, .. } | Step::Keep { path, key, size } => {
                Self { path, key, size: *size }
            }
        }
    }
}

/// What is sent: what the plan says, and what is there and must be sent again.
fn puts<'a>(plan: &'a Plan, again: &[usize]) -> Vec<Put<'a>> {
    let steps = plan.steps.iter().enumerate();
    let sent = steps.filter(|(at, step)| !step.is_keep() || again.binary_search(at).is_ok());
    sent.map(|(_, step)| Put::of(step)).collect()
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
    async fn run(
        &self,
        puts: Vec<Put<'_>>,
        concurrency: usize,
        events: &mut (dyn FnMut(Event) + Send),
    ) -> Outcome {
        let mut puts = puts.into_iter();
        let mut under_way = FuturesUnordered::new();
        let mut outcome = Outcome::default();
        loop {
            while under_way.len() < concurrency && !self.stopped.load(Ordering::Relaxed) {
                let Some(put) = puts.next() else { break };
                under_way.push(async move { (put.size, self.send(&put).await) }.boxed());
            }
            match under_way.next().await {
                None => return outcome,
                Some((size, Ok(()))) => {
                    let (objects, bytes) = outcome.add_stored(size);
                    events(Event::Uploaded { objects, bytes });
                }
                Some((_, Err(failure))) => {
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
        let (body, headers) = self.body(put.path).await.map_err(Failure::Fatal)?;
        let key = self.layout.object(put.key);
        let digest = Digest::of(&body);
        match self.store.put(&key, body, &headers).await {
            Err(error) => Err(Failure::Store(key, error)),
            Ok(receipt) => self.check(put, key, &receipt, digest).await,
        }
    }

    /// The bytes of an object, if they still are those that were built.
    async fn body(&self, path: &AssetPath) -> Result<(Bytes, ObjectHeaders), PublishError> {
        let changed = |source| PublishError::Changed { path: path.clone(), source };
        let entry = self.plan.manifest.get(path.as_str()).ok_or_else(|| changed(None))?;
        let (objects, asset) = (self.plan.objects.clone(), path.clone());
        // Reading and rewriting would hold up the uploads that are under way.
        let made = task::spawn_blocking(move || {
            objects.bytes(&asset).map(|bytes| (Digest::of(&bytes), bytes))
        });
        let made = made.await.map_err(|error| ReadError::Io(std::io::Error::other(error)));
        let (digest, bytes) = made.flatten().map_err(|error| changed(Some(error)))?;
        if digest != entry.b3 {
            return Err(changed(None));
        }
        let headers = ObjectHeaders {
            content_type: Some(entry.content_type.clone()),
            cache_control: Some(entry.cache.clone()),
            meta: [("blake3".to_owned(), digest.to_string())].into(),
            ..ObjectHeaders::default()
        };
        Ok((bytes.into(), headers))
    }

    /// Believes a receipt whose validator is the MD5 of what was sent. Stores
    /// that encrypt have other validators: then the object is read back.
    async fn check(
        &self,
        put: &Put<'_>,
        key: String,
        receipt: &PutReceipt,
        digest: Digest,
    ) -> Result<(), Failure> {
        let validator = receipt.etag.as_deref().map(|etag| etag.trim_matches('"'));
        if validator.is_some() && validator == self.plan.objects.md5(put.path) {
            return Ok(());
        }
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
