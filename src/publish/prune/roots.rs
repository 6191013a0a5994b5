//! What must stay: everything that a visitor, a rollback or a publish under
//! way may still ask for. If anything of it cannot be read, nothing is known.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::SystemTime;

use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::channel::{self, Retained};
use super::error::PruneError;
use super::policy::Policy;
use super::report::Kept;
use super::survey::{Survey, age, by_key, stored};
use crate::asset::{KeyLayout, Place};
use crate::manifest::{Channel, ReleaseId};
use crate::publish::PublishError;
use crate::publish::base;
use crate::publish::intent::{INTENT_BYTES_MAX, Intent};
use crate::publish::whole::{self, objects_of};
use crate::store::ObjectWrite;

/// Manifests that are in memory at once.
const MANIFESTS_AT_ONCE: usize = 4;

/// What must stay.
#[derive(Debug, Default)]
pub(super) struct Roots {
    /// Full keys of the objects.
    pub(super) objects: HashSet<String>,
    /// Full keys that unexpired intents name: they may be on their way.
    pub(super) claimed: HashSet<String>,
    /// The releases, and the channel that keeps each.
    pub(super) releases: BTreeMap<ReleaseId, Option<Channel>>,
    /// Full keys of heads and records.
    pub(super) records: BTreeSet<String>,
    /// What was found odd.
    pub(super) remarks: Vec<String>,
}

/// Reads what must stay, as of `now` by the store's time.
pub(super) async fn roots(
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
    policy: &Policy,
    survey: &Survey,
    now: SystemTime,
) -> Result<Roots, PruneError> {
    let mut roots = Roots::default();
    let mut claimed = BTreeSet::new();
    for intent in intents(store, layout, policy, survey, now).await? {
        claimed.insert(intent.channel);
        roots.claimed.extend(intent.keys.iter().map(|key| layout.object(key)));
        roots.releases.entry(intent.release).or_insert(None);
    }
    roots.objects.extend(roots.claimed.iter().cloned());
    let mut heads = BTreeMap::new();
    for channel in channel::channels(layout, survey)? {
        let claimed = claimed.contains(&channel.name);
        let retained = channel::retained(store, layout, policy, &channel, claimed, now).await?;
        let Retained { releases, records, heads: at } = retained;
        for release in releases {
            roots.releases.insert(release, Some(channel.name.clone()));
        }
        for release in at {
            heads.insert(release, channel.name.clone());
        }
        roots.records.extend(records);
    }
    for release in young(layout, policy, survey, now)? {
        roots.releases.entry(release).or_insert(None);
    }
    read_manifests(store, layout, survey, &heads, &mut roots).await?;
    Ok(roots)
}

impl Roots {
    /// The releases, for people.
    pub(super) fn kept(&self) -> Vec<Kept> {
        let kept = self.releases.iter();
        kept.map(|(release, channel)| Kept { release: *release, channel: channel.clone() })
            .collect()
    }
}

/// The intents that have not expired. One that cannot be read stops everything.
async fn intents(
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
    policy: &Policy,
    survey: &Survey,
    now: SystemTime,
) -> Result<Vec<Intent>, PruneError> {
    let mut intents = Vec::new();
    for versions in by_key(&survey.own) {
        let Some(newest) = versions.first().filter(|version| !version.marker) else { continue };
        if layout.place(&newest.key) != Place::Intent || age(now, stored(newest)?) > policy.grace {
            continue;
        }
        let malformed = |source| PruneError::Malformed { key: newest.key.clone(), source };
        let bytes = base::read(store, &newest.key, INTENT_BYTES_MAX).await?;
        let bytes = bytes.ok_or_else(|| malformed(None))?;
        intents.push(serde_json::from_slice(&bytes).map_err(|error| malformed(Some(error)))?);
    }
    Ok(intents)
}

/// Releases whose manifests were stored lately: their publishers may be about
/// to activate them, or someone is to promote them.
fn young(
    layout: &KeyLayout,
    policy: &Policy,
    survey: &Survey,
    now: SystemTime,
) -> Result<Vec<ReleaseId>, PruneError> {
    let mut young = Vec::new();
    for newest in survey.own.iter().filter(|version| version.newest && !version.marker) {
        let Place::Manifest(name) = layout.place(&newest.key) else { continue };
        let Ok(release) = ReleaseId::parse(name) else { continue };
        if age(now, stored(newest)?) <= policy.grace.saturating_mul(2) {
            young.push(release);
        }
    }
    Ok(young)
}

/// Adds the objects of all releases that must stay.
///
/// A manifest that was there when the bucket was listed must be readable, and
/// so must those of the heads. One that is missing of an older release was
/// collected when less was kept.
async fn read_manifests(
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
    survey: &Survey,
    heads: &BTreeMap<ReleaseId, Channel>,
    roots: &mut Roots,
) -> Result<(), PruneError> {
    let newest = survey.own.iter().filter(|version| version.newest && !version.marker);
    let listed: HashSet<&str> = newest.map(|version| version.key.as_str()).collect();
    let releases: Vec<ReleaseId> = roots.releases.keys().copied().collect();
    let reads = releases.into_iter().map(|release| {
        async move { (release, whole::stored(store, layout, release).await) }.boxed()
    });
    let mut reads = stream::iter(reads).buffered(MANIFESTS_AT_ONCE);
    while let Some((release, read)) = reads.next().await {
        let key = layout.manifest(release);
        match read {
            Ok(read) => {
                roots
                    .objects
                    .extend(objects_of(&read.manifest).map(|object| layout.object(object.key)));
            }
            Err(PublishError::NoRelease { .. }) => match heads.get(&release) {
                Some(channel) => {
                    let channel = channel.to_string();
                    return Err(PruneError::NoManifest { channel, release });
                }
                None if listed.contains(key.as_str()) => {
                    return Err(PruneError::Malformed { key, source: None });
                }
                None => {
                    roots.remarks.push(format!("`{key}` is missing: an older collection took it"))
                }
            },
            Err(PublishError::Store(error)) => return Err(error.into()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
