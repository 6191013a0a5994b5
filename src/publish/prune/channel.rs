//! What one channel keeps: its head, the releases before it, and the records
//! that tell of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use super::error::PruneError;
use super::policy::Policy;
use super::survey::{Survey, age, by_key, stored};
use crate::asset::{KeyLayout, Place};
use crate::manifest::{ACTIVATION_BYTES_MAX, Activation, Channel, ReleaseId};
use crate::publish::PublishError;
use crate::publish::base;
use crate::publish::log::Log;
use crate::store::ObjectWrite;

/// Records that are read at the same time.
const READS_AT_ONCE: usize = 16;

/// A channel as the bucket was listed.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: Channel,
    /// The key of its head, if it has one.
    head: Option<String>,
    /// Keys of its records by number, and when each was stored.
    records: BTreeMap<u64, Vec<(String, SystemTime)>>,
}

/// What a channel keeps.
#[derive(Debug, Default)]
pub(super) struct Retained {
    pub(super) releases: BTreeSet<ReleaseId>,
    /// Full keys of heads and records.
    pub(super) records: BTreeSet<String>,
    /// The releases that visitors see, or will.
    pub(super) heads: BTreeSet<ReleaseId>,
}

/// All channels that the bucket was listed with.
pub(super) fn channels(layout: &KeyLayout, survey: &Survey) -> Result<Vec<Found>, PruneError> {
    let mut channels: BTreeMap<&str, Found> = BTreeMap::new();
    for versions in by_key(&survey.own) {
        let Some(newest) = versions.first().filter(|version| !version.marker) else { continue };
        let (name, seq) = match layout.place(&newest.key) {
            Place::Head(name) => (name, None),
            Place::Record(name, seq) => (name, Some(seq)),
            _ => continue,
        };
        let found = match channels.get_mut(name) {
            Some(found) => found,
            None => {
                let malformed = |_| PruneError::Malformed { key: newest.key.clone(), source: None };
                let parsed = Channel::parse(name).map_err(malformed)?;
                channels.entry(name).or_insert(Found::new(parsed))
            }
        };
        match seq {
            None => found.head = Some(newest.key.clone()),
            Some(seq) => {
                let record = (newest.key.clone(), stored(newest)?);
                found.records.entry(seq).or_default().push(record);
            }
        }
    }
    Ok(channels.into_values().collect())
}

/// Reads what a channel keeps: a GET for its head, and one for each record
/// that is kept.
///
/// A preview that ended more than the grace ago keeps nothing, unless a publish
/// to it is under way.
pub(super) async fn retained(
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
    policy: &Policy,
    found: &Found,
    claimed: bool,
    now: SystemTime,
) -> Result<Retained, PruneError> {
    let shown = found.shown(store).await?;
    let log = Log { store, layout, channel: &found.name, from: 0 };
    let (mut kept, mut left) = found.by_date(policy, now);
    let mut read = read_all(&log, &kept).await?;
    let mut releases: BTreeSet<ReleaseId> = read.iter().map(|record| record.release).collect();
    // The newest that are not kept by their date, until there are enough.
    while releases.len() < policy.keep
        && let Some(seq) = left.pop()
    {
        let more = read_all(&log, &found.keys(seq)).await?;
        releases.extend(more.iter().map(|record| record.release));
        kept.extend(found.keys(seq));
        read.extend(more);
    }
    let newest = read.iter().max_by(|one, other| one.newer(other));
    let heads: Vec<&Activation> = shown.iter().chain(newest).collect();
    let ended = |head: &&Activation| {
        head.ends().is_some_and(|end| end < now && age(now, end) > policy.grace)
    };
    if !claimed && !heads.is_empty() && heads.iter().all(ended) {
        return Ok(Retained::default());
    }
    let heads: BTreeSet<ReleaseId> = heads.iter().map(|head| head.release).collect();
    releases.extend(&heads);
    kept.extend(found.head.clone());
    Ok(Retained { releases, records: kept.into_iter().collect(), heads })
}

impl Found {
    fn new(name: Channel) -> Self {
        Self { name, head: None, records: BTreeMap::new() }
    }

    /// Keys of records that are kept whatever they say, and the numbers of the
    /// others, oldest first.
    ///
    /// A record of the two greatest numbers may be what a publish under way
    /// builds on. Any other is kept until its time has passed since the next
    /// number took its place.
    fn by_date(&self, policy: &Policy, now: SystemTime) -> (Vec<String>, Vec<u64>) {
        let (mut kept, mut left) = (Vec::new(), Vec::new());
        let greatest = self.records.last_key_value().map_or(0, |(seq, _)| *seq);
        let mut successors = self.records.values().skip(1);
        for seq in self.records.keys() {
            let successors = successors.next();
            let replaced = successors.and_then(|next| next.iter().map(|(_, at)| *at).min());
            let recent = replaced.is_none_or(|at| age(now, at) <= policy.kept_after());
            if recent || seq.saturating_add(1) >= greatest {
                kept.extend(self.keys(*seq));
            } else {
                left.push(*seq);
            }
        }
        (kept, left)
    }

    fn keys(&self, seq: u64) -> Vec<String> {
        let records = self.records.get(&seq).into_iter().flatten();
        records.map(|(key, _)| key.clone()).collect()
    }

    /// What visitors see.
    async fn shown(&self, store: &dyn ObjectWrite) -> Result<Option<Activation>, PruneError> {
        let Some(key) = &self.head else { return Ok(None) };
        let malformed = |source| PublishError::Record { key: key.clone(), source };
        let bytes = base::read(store, key, ACTIVATION_BYTES_MAX).await?;
        let bytes = bytes.ok_or_else(|| malformed(None))?;
        let shown = Activation::from_bytes(&self.name, &bytes);
        Ok(Some(shown.map_err(|error| malformed(Some(error)))?))
    }
}

async fn read_all(log: &Log<'_>, keys: &[String]) -> Result<Vec<Activation>, PruneError> {
    let reads = keys.iter().map(|key| log.read(key).boxed());
    let read = stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await;
    read.map_err(|error| match error {
        PublishError::Store(error) => error.into(),
        error => error.into(),
    })
}
