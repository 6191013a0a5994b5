//! Which release each channel serves, and how a newer one takes its place.
//!
//! All channels are swapped as one value, and a request takes that value once,
//! so one page never sees two releases of a channel. A head or manifest that
//! cannot be read or believed changes nothing: the last good one is kept.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::asset::{AssetPath, KeyLayout, ObjectKey};
use crate::manifest::{
    ACTIVATION_BYTES_MAX, Activation, ActivationError, Channel, Entry, MANIFEST_BYTES_MAX,
    Manifest, ManifestError, ReleaseId,
};
use crate::store::{GetOutcome, GetRequest, ObjectRead, StoreError, StoreErrorKind};

/// How long one channel may take to be read, manifest included.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(30);

/// One release as the shield serves it.
#[derive(Debug)]
pub struct ReleaseSnapshot {
    /// The release.
    pub release: ReleaseId,
    /// Its assets.
    pub manifest: Arc<Manifest>,
    /// The assets by the object that holds them.
    by_object: HashMap<ObjectKey, AssetPath>,
}

/// The releases of all channels at one instant, by the channel's number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Releases(Vec<Option<Arc<ReleaseSnapshot>>>);

/// The channels of one shield.
#[derive(Debug)]
pub(crate) struct Channels {
    names: Vec<Channel>,
    releases: ArcSwap<Releases>,
    watched: Mutex<Vec<Watched>>,
    /// The channels whose release is one that was kept, not read.
    kept: ArcSwap<BTreeSet<usize>>,
    faults: ArcSwap<Vec<Option<String>>>,
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

impl ReleaseSnapshot {
    /// Takes a manifest as the content of `release`.
    pub fn new(release: ReleaseId, manifest: Manifest) -> Self {
        let by_object = manifest.iter().map(|(path, entry)| (entry.key.clone(), path.clone()));
        Self { release, by_object: by_object.collect(), manifest: Arc::new(manifest) }
    }

    /// The asset that an object holds.
    pub fn entry_of(&self, object: &ObjectKey) -> Option<&Entry> {
        self.manifest.get(self.by_object.get(object)?.as_str())
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
}

impl Channels {
    /// Channels without a release; [`Channels::refresh`] reads them.
    pub(crate) fn new(names: Vec<Channel>) -> Self {
        Self {
            releases: ArcSwap::from_pointee(Releases(vec![None; names.len()])),
            watched: Mutex::new(vec![Watched::default(); names.len()]),
            kept: ArcSwap::default(),
            faults: ArcSwap::from_pointee(vec![None; names.len()]),
            names,
        }
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
    pub(crate) async fn restore(&self, number: usize, snapshot: ReleaseSnapshot) {
        let _reading = self.watched.lock().await;
        let mut releases = Releases::clone(&self.releases.load());
        match releases.0.get_mut(number) {
            Some(place @ None) => *place = Some(Arc::new(snapshot)),
            _ => return,
        }
        self.releases.store(Arc::new(releases));
        self.note_kept(number, true);
    }

    /// Whether the release of a channel is one that was kept, not read.
    pub(crate) fn is_kept(&self, channel: usize) -> bool {
        self.kept.load().contains(&channel)
    }

    fn note_kept(&self, number: usize, kept: bool) {
        if self.is_kept(number) != kept {
            let mut numbers = BTreeSet::clone(&self.kept.load());
            if kept {
                numbers.insert(number)
            } else {
                numbers.remove(&number)
            };
            self.kept.store(Arc::new(numbers));
        }
    }

    /// Reads all heads again, and the manifests of those that changed. One
    /// refresh runs at a time; others wait for it and then read again.
    pub(crate) async fn refresh(&self, store: &dyn ObjectRead, keys: &KeyLayout) -> RefreshReport {
        let mut watched = self.watched.lock().await;
        let mut report = RefreshReport::default();
        let mut faults = Vec::new();
        for (number, channel) in self.names.iter().enumerate() {
            let seen = &mut watched[number];
            let outcome = self.refresh_one(number, channel, seen, store, keys).await;
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
        seen: &mut Watched,
        store: &dyn ObjectRead,
        keys: &KeyLayout,
    ) -> RefreshOutcome {
        let reading = timeout(REFRESH_TIMEOUT, read(channel, seen, store, keys)).await;
        match reading.unwrap_or(Err(RefreshError::Timeout)) {
            Ok(None) => RefreshOutcome::Unchanged,
            Ok(Some((newer, snapshot))) => {
                *seen = newer;
                self.note_kept(number, false);
                let Some(snapshot) = snapshot else { return RefreshOutcome::Unchanged };
                tracing::info!(%channel, release = %snapshot.release, "another release is served");
                let mut releases = Releases::clone(&self.releases.load());
                releases.0[number] = Some(Arc::new(snapshot));
                self.releases.store(Arc::new(releases));
                RefreshOutcome::Switched
            }
            Err(error) => {
                let text = error.to_string();
                // Told once, not at every look that finds the same.
                if self.fault(number).as_ref() != Some(&text) {
                    let why = &error as &dyn std::error::Error;
                    tracing::warn!(%channel, error = why, "the channel's release is kept");
                }
                RefreshOutcome::Kept(text)
            }
        }
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
