//! Collecting what no release needs any more. The only place that deletes.
//!
//! Two phases, as in Duplicacy's two-step fossil collection. [`mark()`] lists
//! the *versions* that nothing needs and that are older than the grace.
//! [`sweep()`] takes lists that are older than the grace, reads all roots again,
//! and deletes by version what still is not needed. In between, whoever wants
//! to rely on a listed object stores it again, which makes a version that is
//! in no list. Why that is enough is told in `publish/claim.rs`.
//!
//! | Guard | Without it |
//! | --- | --- |
//! | two phases | a publish under way loses what it has just stored, or builds on |
//! | deletion by version | an object that was stored again is deleted under its key |
//! | roots read again before deleting | what was activated since the list is deleted |
//! | the deadline of a publish is less than the grace | a slow publish activates what is gone |
//! | a rollback stores again what is listed | a slow sweep takes it from under the new head |
//! | records of the two greatest numbers are roots | the base of a publish under way goes |
//! | anything unreadable stops it | what an unread manifest names is deleted |
//! | no more than a share of the objects | a misread bucket is emptied |
//! | the store's clock | a clock that runs ahead makes everything old |
//!
//! [`collect()`] also aborts uploads in parts that were begun longer than the
//! grace ago, unless an unexpired intent names their key. They are no versions,
//! and no release can need them, so one phase is enough.

mod channel;
mod error;
mod policy;
mod report;
mod roots;
mod survey;
mod sweep;
mod unfinished;
mod unneeded;

use std::collections::HashSet;
use std::time::SystemTime;

use crate::asset::{Digest, KeyLayout};
use crate::publish::activate::{CACHE_ONCE, json_headers};
use crate::publish::condemned::{Condemned, LIST_PAIRS_MAX, List, Pair, StoredList};
use crate::store::ObjectWrite;
use roots::Roots;
use survey::{Survey, age};
use unfinished::Listing;
use unneeded::Found;

pub use error::PruneError;
pub use policy::{
    DELETE_PERCENT_DEFAULT, GRACE_DEFAULT, GRACE_MIN, KEEP_DEFAULT, KEEP_FOR_DEFAULT, Policy,
};
pub use report::{
    Abandoned, Collected, Kept, Kind, Marked, Swept, Tally, Unneeded, Uploads, tallies,
};

/// Characters of a list's name.
const NAME_CHARS: usize = 32;

/// Lists what nothing needs, for a later [`sweep()`].
///
/// `now` is what a dry run takes for the time; otherwise the store's counts.
/// Costs a LIST for every 1,000 versions, a GET for each list, head, kept
/// record, kept manifest and unexpired intent, and a PUT for each new list.
pub async fn mark(
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
    policy: &Policy,
    now: SystemTime,
) -> Result<Marked, PruneError> {
    let run = Run::begin(store, layout, policy, now, Phase::Mark).await?;
    run.mark(&HashSet::new()).await
}

/// Deletes what an earlier [`mark()`] listed, where the grace has passed and
/// nothing needs it by now. A list that was carried out is removed.
///
/// Costs what [`mark()`] does, and a DELETE for each version.
pub async fn sweep(
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
    policy: &Policy,
    now: SystemTime,
) -> Result<Swept, PruneError> {
    let run = Run::begin(store, layout, policy, now, Phase::Sweep).await?;
    run.sweep().await
}

/// A [`sweep()`] and then a [`mark()`], on one reading of the bucket.
///
/// In between, aborts the uploads in parts that nobody goes on with: those of
/// objects, begun longer than the grace ago, whose key no unexpired intent
/// names. Looks at the first 10,000 unfinished uploads, in the order of their
/// keys; what follows them is for a later run, and a remark says so.
///
/// Costs what [`sweep()`] does, a LIST for every 1,000 unfinished uploads, and
/// a LIST and a DELETE for each that is aborted.
pub async fn collect(
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
    policy: &Policy,
    now: SystemTime,
) -> Result<Collected, PruneError> {
    policy.check()?;
    let mut listing = Listing::of(store, layout).await?;
    let run = Run::begin(store, layout, policy, now, Phase::Sweep).await?;
    let uploads = run.abandoned(&mut listing).await?;
    // Decided before anything is deleted: a bucket that looks wrong is left alone.
    unneeded::refuse_too_many(&run.found.unneeded, &run.survey, policy)?;
    let swept = run.sweep().await?;
    if !policy.dry_run {
        run.abort(&uploads.aborted).await?;
    }
    let deleted = swept.deleted.iter().map(Run::identity).collect();
    let marked = run.mark(&deleted).await?;
    let Run { survey, roots, found, .. } = run;
    let mut remarks = roots.remarks.clone();
    remarks.extend(found.remarks);
    remarks.extend(listing.remarks);
    Ok(Collected {
        swept,
        marked,
        uploads,
        kept: roots.kept(),
        objects: survey::by_key(&survey.objects).count(),
        by_version: survey.by_version,
        dry_run: policy.dry_run,
        remarks,
    })
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Mark,
    Sweep,
}

/// What is known when a collection begins.
#[derive(Debug)]
struct Run<'a> {
    store: &'a dyn ObjectWrite,
    layout: &'a KeyLayout,
    policy: &'a Policy,
    now: SystemTime,
    lists: Vec<StoredList>,
    survey: Survey,
    roots: Roots,
    found: Found,
}

/// What tells a version from all others: key, version, when it was stored.
type Identity<'a> = (&'a str, Option<&'a str>, u64);

impl<'a> Run<'a> {
    /// Reads everything. The roots come last: what was activated by then is seen.
    async fn begin(
        store: &'a dyn ObjectWrite,
        layout: &'a KeyLayout,
        policy: &'a Policy,
        now: SystemTime,
        phase: Phase,
    ) -> Result<Self, PruneError> {
        policy.check()?;
        let now = if policy.dry_run { now } else { survey::store_time(store, layout).await? };
        let lists = Condemned::read(store, layout).await?.into_lists();
        if phase == Phase::Sweep && !policy.dry_run {
            for list in lists.iter().filter(|list| !list.is_exact()) {
                if is_ripe(list, layout, policy, now)? {
                    sweep::sign(store, layout, list).await?;
                }
            }
        }
        let survey = Survey::of(store, layout).await?;
        let roots = roots::roots(store, layout, policy, &survey, now).await?;
        let found = unneeded::unneeded(layout, policy, &survey, &roots, now)?;
        Ok(Self { store, layout, policy, now, lists, survey, roots, found })
    }

    /// Writes lists of what no list names, but for what was deleted just now.
    async fn mark(&self, deleted: &HashSet<Identity<'_>>) -> Result<Marked, PruneError> {
        unneeded::refuse_too_many(&self.found.unneeded, &self.survey, self.policy)?;
        let pairs = self.lists.iter().flat_map(|list| &list.list.pairs);
        let listed: HashSet<Identity<'_>> = pairs.map(Pair::identity).collect();
        let new = self.found.unneeded.iter().filter(|one| {
            let identity = Self::identity(one);
            !listed.contains(&identity) && !deleted.contains(&identity)
        });
        let condemned: Vec<Unneeded> = new.cloned().collect();
        let mut lists = Vec::new();
        if !self.policy.dry_run {
            for part in condemned.chunks(LIST_PAIRS_MAX) {
                lists.push(self.write(part).await?);
            }
        }
        Ok(Marked { condemned, lists })
    }

    /// Writes a list. Its name follows from its content, so the same list of
    /// another collector is the same object.
    async fn write(&self, part: &[Unneeded]) -> Result<String, PruneError> {
        let pairs = part.iter().map(|one| Pair {
            key: one.key.clone(),
            stored: one.stored,
            version: one.version.clone(),
        });
        let list = List { pairs: pairs.collect() };
        let bytes = serde_json::to_vec(&list).map_err(PruneError::Unwritable)?;
        let name = Digest::of(&bytes).to_string()[..NAME_CHARS].to_owned();
        let key = self.layout.list(&name);
        self.store.put(&key, bytes.into(), &json_headers(CACHE_ONCE)).await?;
        Ok(name)
    }

    fn identity(one: &Unneeded) -> Identity<'_> {
        (&one.key, one.version.as_deref(), one.stored)
    }
}

impl Pair {
    fn identity(&self) -> Identity<'_> {
        (&self.key, self.version.as_deref(), self.stored)
    }
}

impl StoredList {
    /// Whether all versions in it stand for one write alone.
    fn is_exact(&self) -> bool {
        self.list.pairs.iter().all(Pair::is_exact)
    }
}

/// Whether the grace of a list has passed.
fn is_ripe(
    list: &StoredList,
    layout: &KeyLayout,
    policy: &Policy,
    now: SystemTime,
) -> Result<bool, PruneError> {
    let undated = || PruneError::Undated { key: layout.list(&list.name) };
    Ok(age(now, list.written.ok_or_else(undated)?) > policy.grace)
}
