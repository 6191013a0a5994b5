//! Sending the objects that are missing. Nothing of this is visible to
//! visitors: no manifest names the new objects yet.
//!
//! Every object is a task of its own: small ones go in one piece
//! ([`whole`]), large ones in parts ([`parts`]). All calls to the store go
//! through [`calls`], which paces them and makes them again.

mod bandwidth;
mod body;
mod budget;
mod calls;
mod cut;
mod outcome;
mod pace;
mod parts;
mod patience;
mod read;
mod slots;
mod unfinished;
mod whole;

use std::collections::BTreeMap;
use std::future;
use std::time::SystemTime;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::OnceCell;
use tokio::time::{self, Instant};

use super::claim::Claim;
use super::error::PublishError;
use super::event::Event;
use super::occupied;
use super::options::Options;
use super::plan::{Plan, Step};
use super::source::SourceFile;
use crate::asset::{AssetPath, KeyLayout, ObjectKey};
use crate::semantics::encoding::Coding;
use crate::store::ObjectWrite;

use budget::Budget;
use calls::Calls;
use outcome::{Failure, Outcome};

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
/// only if it is what was built; an object in parts is completed only if all
/// of them together are. Parts that an earlier run sent, and that were not
/// completed, are found and used. Calls that fail are made again while that
/// helps, and fewer at a time while the store asks to slow down.
///
/// After the first failure no other object is begun, and those under way are
/// waited for; at the deadline ([`PublishError::Late`]) they are given up. If
/// the release already is the head of the channel, the store is not called.
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
    let (unsent, _) = plan.uploads();
    let Claim { since, again } = tokio::select! {
        claim = Claim::stake(&plan, store, layout) => claim?,
        () = passing(options.deadline) => return Err(PublishError::Late { stored: 0, unsent }),
    };
    let upload = Upload {
        plan: &plan,
        again,
        store,
        layout,
        options,
        budget: Budget::of(options.upload_bytes),
        calls: Calls::new(options.concurrency, options.bandwidth, options.deadline.is_some()),
        unfinished: OnceCell::new(),
    };
    let puts = upload.puts();
    let (objects, bytes) = (puts.len(), puts.iter().map(|put| put.size).sum());
    if objects > 0 {
        events(Event::Uploading { objects, bytes });
    }
    let outcome = upload.run(puts, events).await;
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
    /// Objects that are there and must be stored again, by their place among
    /// the steps of the plan.
    again: Vec<usize>,
    store: &'a dyn ObjectWrite,
    layout: &'a KeyLayout,
    options: &'a Options,
    budget: Budget,
    calls: Calls,
    /// Uploads in parts that an earlier run began, by key; looked up once.
    unfinished: OnceCell<BTreeMap<String, String>>,
}

/// An object to send.
struct Put<'a> {
    path: &'a AssetPath,
    /// Which variant of the asset it is; `None` for the asset itself.
    coding: Option<Coding>,
    key: &'a ObjectKey,
    size: u64,
}

impl<'a> Put<'a> {
    fn of(step: &'a Step) -> Self {
        match step {
            Step::Put { path, coding, key, size, .. } | Step::Keep { path, coding, key, size } => {
                Self { path, coding: *coding, key, size: *size }
            }
        }
    }
}

impl Upload<'_> {
    async fn run(&self, puts: Vec<Put<'_>>, events: &mut (dyn FnMut(Event) + Send)) -> Outcome {
        let mut identities = puts.iter().filter(|put| put.coding.is_none()).count();
        let mut puts = puts.into_iter().peekable();
        let mut under_way = FuturesUnordered::new();
        let mut outcome = Outcome::default();
        let mut deadline = std::pin::pin!(passing(self.options.deadline));
        loop {
            while under_way.len() < self.options.concurrency.max(1) && !self.calls.is_stopped() {
                let may_begin = |put: &Put<'_>| put.coding.is_none() || identities == 0;
                let Some(put) = puts.next_if(may_begin) else { break };
                under_way.push(async move { (self.send(&put).await, put) }.boxed());
            }
            if under_way.is_empty() {
                return outcome;
            }
            tokio::select! {
                biased;
                () = &mut deadline => return outcome.into_late(),
                Some((sent, put)) = under_way.next() => match sent {
                    Ok(()) => {
                        identities -= usize::from(put.coding.is_none());
                        outcome.add_stored(put.size);
                        let (objects, bytes) = outcome.stored();
                        let bytes = bytes + self.calls.partial_bytes();
                        events(Event::Uploaded { objects, bytes });
                    }
                    Err(failure) => {
                        self.calls.stop();
                        outcome.add_failure(failure);
                    }
                },
                partial = self.calls.part_arrived() => {
                    let (objects, bytes) = outcome.stored();
                    events(Event::Uploaded { objects, bytes: bytes + partial });
                }
            }
        }
    }

    async fn send(&self, put: &Put<'_>) -> Result<(), Failure> {
        self.refuse_other_bytes(put).await?;
        match self.file_of_parts(put) {
            Some(file) => self.send_in_parts(put, file).await,
            None => self.send_whole(put).await,
        }
    }

    async fn refuse_other_bytes(&self, put: &Put<'_>) -> Result<(), Failure> {
        let entry = body::entry(self.plan, put.path).map_err(Failure::Fatal)?;
        let key = self.layout.object(put.key);
        let free =
            occupied::refuse_other_bytes(self.store, &key, put.path, put.key, entry.b3).await;
        free.map_err(|error| match error {
            PublishError::Store(error) => Failure::Store(key, error),
            other => Failure::Fatal(other),
        })
    }

    /// The file of an object that is sent in parts. What is not a copy of its
    /// file is made in memory, and then can be sent from there.
    fn file_of_parts(&self, put: &Put<'_>) -> Option<&SourceFile> {
        let large = put.coding.is_none() && put.size > self.options.multipart_bytes;
        self.plan.objects.copied(put.path).filter(|_| large)
    }

    /// What is sent: what the plan says, and what is there and must be sent
    /// again. A variant follows when every asset itself is there.
    fn puts(&self) -> Vec<Put<'_>> {
        let steps = self.plan.steps.iter().enumerate();
        let is_sent =
            |at: usize, step: &Step| !step.is_keep() || self.again.binary_search(&at).is_ok();
        let sent = steps.filter(|(at, step)| is_sent(*at, step));
        let mut puts: Vec<Put<'_>> = sent.map(|(_, step)| Put::of(step)).collect();
        puts.sort_by_key(|put| put.coding.is_some());
        puts
    }
}

/// Returns when the deadline has passed; never without one.
async fn passing(deadline: Option<Instant>) {
    match deadline {
        Some(at) => time::sleep_until(at).await,
        None => future::pending().await,
    }
}
