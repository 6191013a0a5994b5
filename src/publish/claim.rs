//! How a publish and a collector keep out of each other's way: what a publish
//! does before it stores its first object, and how long it may take.
//!
//! A collector deletes in two phases, at least [`GRACE_MIN`](super::prune::GRACE_MIN)
//! apart: it lists *versions* that no root needs, and deletes those of them
//! that still are not needed, by version. A publish takes less than [`DEADLINE`],
//! which is less, or gives up. So of what a publish relies on:
//!
//! * **What it stores** is safe: a list that names the new version was written
//!   after it, and is carried out after the record of the publish is there to
//!   be read as a root.
//! * **What it keeps** is named by the manifest of the release that `head.json`
//!   named, with number `n`. The publish succeeds only if the log's greatest
//!   number is `n` or `n + 1` when it writes its record, and the records of the
//!   two greatest numbers are always roots. So a collector that read the roots
//!   any time since the base became the head has seen the base, and one that
//!   read them earlier deletes nothing of it: by this argument for the publish
//!   that made it the head, or because the rollback that did stored again what
//!   was condemned. Where the channel ends, its roots outlast the end by the
//!   grace, and a publish that begins behind the end keeps nothing.
//!
//! A rollback or a promotion reads the lists, stores again what they name of
//! its release, looks up every object, and writes its record, all within the
//! deadline. A list that is carried out by someone who missed the record is a
//! grace old, so it was there to be read; or it was removed behind its last
//! deletion, and then the look-up finds what is gone.
//!
//! So no object has to be looked up again before activation. Kept objects that
//! a list names are stored again all the same: it costs nothing while nothing
//! is condemned, and is what saves a bucket whose clocks or older tools broke
//! a premise. A channel's head needs no look at the lists, because its release
//! is a root: publishing what is there already stays at two GETs.
//!
//! Listings may lag behind writes by as much as the grace is longer than the
//! deadline. What no protocol without conditional writes can close: a publisher
//! that sleeps for two graces between its manifest and its record, or a rollback
//! for what the grace is longer than the deadline, between its last look at the
//! time and its record.
//!
//! A store without versions deletes whatever lies under a key. There the
//! collector first writes a sign and then reads intents and roots, and the
//! publisher first writes its intent and then reads the signs: one of them
//! sees the other. A publisher that sees a sign gives up; a collector that sees
//! an intent spares what it names. A sign counts for an hour and is renewed
//! every 500 deletions; two collectors must not run there at once, one must
//! not sleep for an hour between two deletions, and listings must not lag.

use std::time::{Duration, SystemTime};

use super::condemned::Condemned;
use super::error::PublishError;
use super::intent::Intent;
use super::plan::{Plan, Step};
use crate::asset::KeyLayout;
use crate::store::ObjectWrite;

/// How long a publish may take from its intent to its activation, and a
/// switch by hand from looking up the objects to its record.
pub const DEADLINE: Duration = Duration::from_secs(12 * 60 * 60);

/// What a publish may rely on.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// When it began, by the store's time.
    pub(super) since: Option<SystemTime>,
    /// Objects that are there and must be stored again, by their place among
    /// the steps of the plan.
    pub(super) again: Vec<usize>,
}

impl Claim {
    /// Writes the intent of a publish, then reads what is condemned: a PUT, a
    /// HEAD, a LIST, and a GET for every list there is.
    pub(super) async fn stake(
        plan: &Plan,
        store: &dyn ObjectWrite,
        layout: &KeyLayout,
    ) -> Result<Self, PublishError> {
        let since = Intent::of_plan(plan).declare(store, layout).await?;
        let condemned = Condemned::read(store, layout).await?;
        refuse_being_deleted(&condemned, plan, layout, since)?;
        let keys = condemned.keys();
        let ended = plan.base.as_ref().and_then(|base| base.ends());
        let ended = ended.is_some_and(|end| since.is_none_or(|since| since >= end));
        let again = plan.steps.iter().enumerate().filter_map(|(at, step)| match step {
            Step::Keep { key, .. } => {
                (ended || keys.contains(layout.object(key).as_str())).then_some(at)
            }
            Step::Put { .. } => None,
        });
        Ok(Self { since, again: again.collect() })
    }
}

/// Refuses what took longer than the [`DEADLINE`], as far as both times are known.
pub(super) fn in_time(
    since: Option<SystemTime>,
    now: Option<SystemTime>,
) -> Result<(), PublishError> {
    let took = now.zip(since).and_then(|(now, since)| now.duration_since(since).ok());
    match took {
        Some(took) if took > DEADLINE => Err(PublishError::TooLate),
        _ => Ok(()),
    }
}

fn refuse_being_deleted(
    condemned: &Condemned,
    plan: &Plan,
    layout: &KeyLayout,
    now: Option<SystemTime>,
) -> Result<(), PublishError> {
    let objects = plan.steps.iter().map(|step| match step {
        Step::Put { key, .. } | Step::Keep { key, .. } => layout.object(key),
    });
    let own = [layout.manifest(plan.release), layout.head(&plan.channel)];
    let needed: Vec<String> = objects.chain(own).collect();
    match condemned.being_deleted(needed.iter().map(String::as_str), now) {
        Some(key) => Err(PublishError::Collecting { key: key.to_owned() }),
        None => Ok(()),
    }
}
