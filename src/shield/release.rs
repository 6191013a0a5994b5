//! Which release each channel serves, and how a newer one takes its place.
//!
//! All channels are swapped as one value, and a request takes that value once,
//! so one page never sees two releases of a channel. A head or manifest that
//! cannot be read or believed changes nothing: the last good one is kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use tokio::time::timeout;

use super::listing::{Answers, Listing};
use crate::asset::{AssetPath, KeyLayout, ObjectKey};
use crate::manifest::{
    ACTIVATION_BYTES_MAX, Activation, ActivationError, Channel, Entry, MANIFEST_BYTES_MAX,
    Manifest, ManifestError, ReleaseId,
};
use crate::store::{GetOutcome, GetRequest, ObjectRead, StoreError, StoreErrorKind};

/// How long one channel may take to be read, manifest included.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(30);

/// Channels that are read at a time.
const READS_MAX: usize = 8;

/// One release as the shield serves it.
#[derive(Debug)]
pub struct ReleaseSnapshot {
    /// The release.
    pub release: ReleaseId,
    /// Its assets.
    pub manifest: Arc<Manifest>,
    /// The assets by the object that holds them.
    by_object: HashMap<ObjectKey, Listing, RandomState>,
}

/// The releases of all channels at one instant, by the channel's number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Releases(Vec<Option<Arc<ReleaseSnapshot>>>);

/// The channels of one shield.
#[derive(Debug)]
pub(crate) struct Channels {
    names: Vec<Channel>,
    releases: ArcSwap<Releases>,
    /// Locked while a release is replaced, but never while one is read.
    watched: Mutex<Vec<Watched>>,
    turn: tokio::sync::Mutex<()>,
    faults: ArcSwap<Vec<Option<String>>>,
}

/// Channels whose releases stay as they are for as long as this is held.
pub(crate) struct Held<'a> {
    channels: &'a Channels,
    watched: MutexGuard<'a, Vec<Watched>>,
}

/// What was last read of a channel's head.
#[derive(Clone, Debug, Default)]
struct Watched {
    etag: Option<String>,
    head: Option<Activation>,
}

/// What a refresh did, channel by channel.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct RefreshReport {
    /// In the order in which the sites name the channels.
    pub channels: Vec<ChannelRefresh>,
    /// Whether the bucket could not be read, so that it is worth while to ask
    /// again soon.
    pub failing: bool,
}

/// What a refresh did to one channel.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ChannelRefresh {
    /// The channel.
    pub channel: Channel,
    /// What became of it.
    pub outcome: RefreshOutcome,
    /// The release that is served now.
    pub release: Option<ReleaseId>,
}

/// What became of one channel in a refresh.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RefreshOutcome {
    /// The head is the one already known.
    Unchanged,
    /// Another release is served now.
    Switched,
    /// Something could not be read or believed, so nothing changed.
    Kept(String),
}

/// Why a channel's head or manifest is not taken.
#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error("the channel has no release yet")]
    NoHead,
    #[error("the head cannot be read")]
    Head(#[source] StoreError),
    #[error("the head cannot be believed")]
    Doubtful(#[source] ActivationError),
    #[error("the head is older than the release that is served")]
    Older,
    #[error("the manifest cannot be read")]
    Manifest(#[source] StoreError),
    #[error("the manifest cannot be believed")]
    Unbelieved(#[source] ManifestError),
    #[error("the bucket took too long")]
    Timeout,
    #[error("the manifest was not read to its end")]
    Abandoned,
}

impl RefreshError {
    /// Whether the bucket failed, and not what somebody put there.
    fn is_of_bucket(&self) -> bool {
        matches!(self, Self::Head(_) | Self::Manifest(_) | Self::Timeout | Self::Abandoned)
    }
}

impl ReleaseSnapshot {
    /// Takes a manifest as the content of `release`.
    pub fn new(release: ReleaseId, manifest: Manifest) -> Self {
        let by_object = manifest.iter().map(|(path, entry)| (entry.key.clone(), Listing::of(path)));
        Self { release, by_object: by_object.collect(), manifest: Arc::new(manifest) }
    }

    /// The asset that an object holds.
    pub fn entry_of(&self, object: &ObjectKey) -> Option<&Entry> {
        self.manifest.get(self.by_object.get(object)?.path.as_str())
    }

    /// How the asset is answered that an object holds.
    pub(crate) fn answers_of(&self, object: &ObjectKey) -> Option<Arc<Answers>> {
        let listing = self.by_object.get(object)?;
        let entry = || self.manifest.get(listing.path.as_str());
        listing.made().or_else(|| Some(listing.answers(entry()?)))
    }

    /// How the asset at a path is answered, which is this entry.
    pub(crate) fn answers_at(&self, path: &AssetPath, entry: &Entry) -> Arc<Answers> {
        match self.by_object.get(&entry.key).filter(|listing| listing.path == *path) {
            Some(listing) => listing.answers(entry),
            // Another asset has the same object.
            None => Arc::new(Answers::of(entry)),
        }
    }
}

impl Releases {
    /// The release of a channel, once one was read.
    pub(crate) fn of(&self, channel: usize) -> Option<&Arc<ReleaseSnapshot>> {
        self.0.get(channel)?.as_ref()
    }

    /// The asset that an object holds in any channel.
    pub(crate) fn entry_of(&self, object: &ObjectKey) -> Option<&Entry> {
        self.0.iter().flatten().find_map(|snapshot| snapshot.entry_of(object))
    }

    /// How the asset is answered that an object holds in any channel.
    pub(crate) fn answers_of(&self, object: &ObjectKey) -> Option<Arc<Answers>> {
        self.0.iter().flatten().find_map(|snapshot| snapshot.answers_of(object))
    }

    /// Whether the publisher of an object made codings of what is worth them.
    pub(crate) fn publisher_codes(&self, object: &ObjectKey) -> bool {
        let mut lists =
            self.0.iter().flatten().filter(|release| release.entry_of(object).is_some());
        lists.any(|release| release.manifest.encoding().is_some())
    }
}

impl Channels {
    /// Channels without a release; [`Channels::refresh`] reads them.
    pub(crate) fn new(names: Vec<Channel>) -> Self {
        Self {
            releases: ArcSwap::from_pointee(Releases(vec![None; names.len()])),
            watched: Mutex::new(vec![Watched::default(); names.len()]),
            turn: tokio::sync::Mutex::default(),
            faults: ArcSwap::from_pointee(vec![None; names.len()]),
            names,
        }
    }

    /// Channels with these names, and what is known of them.
    pub(crate) fn knowing(names: Vec<Channel>, known: &[Held<'_>]) -> Self {
        let of = |name: &Channel| known.iter().find_map(|held| held.of(name)).unwrap_or_default();
        let (mut releases, mut watched, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        for (release, seen, fault) in names.iter().map(of) {
            releases.push(release);
            watched.push(seen);
            faults.push(fault);
        }
        Self {
            names,
            releases: ArcSwap::from_pointee(Releases(releases)),
            watched: Mutex::new(watched),
            turn: tokio::sync::Mutex::default(),
            faults: ArcSwap::from_pointee(faults),
        }
    }

    /// Keeps the releases as they are for a moment. Never held across a wait.
    pub(crate) fn hold(&self) -> Held<'_> {
        Held { channels: self, watched: self.watched() }
    }

    /// The place of the channel of this name.
    pub(crate) fn position(&self, name: &Channel) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// The releases that are served now.
    pub(crate) fn releases(&self) -> Arc<Releases> {
        self.releases.load_full()
    }

    /// The channels, by their numbers.
    pub(crate) fn names(&self) -> &[Channel] {
        &self.names
    }

    /// Why the last refresh of a channel kept what there was.
    pub(crate) fn fault(&self, channel: usize) -> Option<String> {
        self.faults.load().get(channel).cloned().flatten()
    }

    /// Serves a release that was kept from an earlier run, until the head of
    /// the channel is read: whatever that says then goes before it.
    pub(crate) fn restore(&self, number: usize, snapshot: ReleaseSnapshot) {
        let _watched = self.watched();
        let mut releases = Releases::clone(&self.releases.load());
        match releases.0.get_mut(number) {
            Some(place @ None) => *place = Some(Arc::new(snapshot)),
            _ => return,
        }
        self.releases.store(Arc::new(releases));
    }

    /// Whether the release of a channel is one that was kept, not read.
    pub(crate) fn is_kept(&self, channel: usize) -> bool {
        let unread = self.watched().get(channel).is_some_and(|seen| seen.head.is_none());
        unread && self.releases.load().of(channel).is_some()
    }

    /// Reads all heads again, and the manifests of those that changed. One
    /// refresh runs at a time; others wait for it and then read again.
    pub(crate) async fn refresh(&self, store: &dyn ObjectRead, keys: &KeyLayout) -> RefreshReport {
        let _turn = self.turn.lock().await;
        let mut report = RefreshReport::default();
        let mut faults = Vec::new();
        // Several at a time, so that a bucket which is silent does not keep
        // the last channel waiting for all before it.
        let reads = self.names.iter().enumerate();
        let reads: Vec<_> =
            reads.map(|(number, channel)| self.refresh_one(number, channel, store, keys)).collect();
        let mut reads = stream::iter(reads).buffered(READS_MAX).enumerate();
        while let Some((number, (outcome, failing))) = reads.next().await {
            let channel = &self.names[number];
            report.failing |= failing;
            faults.push(match &outcome {
                RefreshOutcome::Kept(why) => Some(why.clone()),
                _ => None,
            });
            let release = self.releases.load().of(number).map(|snapshot| snapshot.release);
            report.channels.push(ChannelRefresh { channel: channel.clone(), outcome, release });
        }
        self.faults.store(Arc::new(faults));
        report
    }

    async fn refresh_one(
        &self,
        number: usize,
        channel: &Channel,
        store: &dyn ObjectRead,
        keys: &KeyLayout,
    ) -> (RefreshOutcome, bool) {
        let seen = self.watched()[number].clone();
        let reading = timeout(REFRESH_TIMEOUT, read(channel, &seen, store, keys)).await;
        match reading.unwrap_or(Err(RefreshError::Timeout)) {
            Ok(None) => (RefreshOutcome::Unchanged, false),
            Ok(Some((newer, snapshot))) => {
                let mut watched = self.watched();
                watched[number] = newer;
                let Some(snapshot) = snapshot else { return (RefreshOutcome::Unchanged, false) };
                tracing::info!(%channel, release = %snapshot.release, "another release is served");
                let mut releases = Releases::clone(&self.releases.load());
                releases.0[number] = Some(Arc::new(snapshot));
                self.releases.store(Arc::new(releases));
                (RefreshOutcome::Switched, false)
            }
            Err(error) => {
                let text = error.to_string();
                // Told once, not at every look that finds the same.
                if self.fault(number).as_ref() != Some(&text) {
                    let why = &error as &dyn std::error::Error;
                    tracing::warn!(%channel, error = why, "the channel's release is kept");
                }
                (RefreshOutcome::Kept(text), error.is_of_bucket())
            }
        }
    }

    fn watched(&self) -> MutexGuard<'_, Vec<Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held<'_> {
    fn of(
        &self,
        name: &Channel,
    ) -> Option<(Option<Arc<ReleaseSnapshot>>, Watched, Option<String>)> {
        let number = self.channels.position(name)?;
        let release = self.channels.releases.load().of(number).cloned();
        Some((release, self.watched[number].clone(), self.channels.fault(number)))
    }
}

/// Reads a channel's head, and its manifest if that is another one. `None`
/// when the head is the one already seen.
async fn read(
    channel: &Channel,
    seen: &Watched,
    store: &dyn ObjectRead,
    keys: &KeyLayout,
) -> Result<Option<(Watched, Option<ReleaseSnapshot>)>, RefreshError> {
    let key = keys.head(channel);
    let request = GetRequest { if_none_match: seen.etag.clone(), ..GetRequest::default() };
    let object = match store.get(&key, request).await.map_err(no_head)? {
        GetOutcome::NotModified => return Ok(None),
        GetOutcome::Found(object) => object,
    };
    let etag = object.head.etag.clone();
    let bytes = object.collect(&key, ACTIVATION_BYTES_MAX).await.map_err(RefreshError::Head)?;
    let head = Activation::from_bytes(channel, &bytes).map_err(RefreshError::Doubtful)?;
    if seen.head.as_ref().is_some_and(|known| head.newer(known).is_lt()) {
        return Err(RefreshError::Older);
    }
    let same = seen.head.as_ref().is_some_and(|known| known.release == head.release);
    let snapshot = if same { None } else { Some(load(head.release, store, keys).await?) };
    Ok(Some((Watched { etag, head: Some(head) }, snapshot)))
}

/// Reads and checks a manifest. It may be large, so it is parsed off the
/// threads that serve requests.
async fn load(
    release: ReleaseId,
    store: &dyn ObjectRead,
    keys: &KeyLayout,
) -> Result<ReleaseSnapshot, RefreshError> {
    let key = keys.manifest(release);
    let outcome = store.get(&key, GetRequest::default()).await.map_err(RefreshError::Manifest)?;
    let GetOutcome::Found(object) = outcome else { return Err(RefreshError::Abandoned) };
    let bytes = object.collect(&key, MANIFEST_BYTES_MAX).await.map_err(RefreshError::Manifest)?;
    let parsing = tokio::task::spawn_blocking(move || {
        Manifest::from_bytes(release, &bytes)
            .map(|manifest| ReleaseSnapshot::new(release, manifest))
    });
    parsing.await.map_err(|_| RefreshError::Abandoned)?.map_err(RefreshError::Unbelieved)
}

fn no_head(error: StoreError) -> RefreshError {
    match error.kind() {
        StoreErrorKind::NotFound => RefreshError::NoHead,
        _ => RefreshError::Head(error),
    }
}
