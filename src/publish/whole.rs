//! Whether a release can be served: its manifest is what its name says, and
//! every object of it is in the bucket, and stays.

use std::time::SystemTime;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::base;
use super::condemned::Condemned;
use super::error::{Broken, PublishError};
use super::rescue::Rescue;
use crate::asset::{Digest, KeyLayout, ObjectKey};
use crate::manifest::{Channel, MANIFEST_BYTES_MAX, Manifest, ReleaseId};
use crate::store::{ObjectRead, ObjectWrite, StoreError, StoreErrorKind};

/// A release of which every object was found, with the length it should have.
#[derive(Debug)]
pub struct Whole {
    release: ReleaseId,
    manifest: Manifest,
    checked: SystemTime,
}

/// An object that a release needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needed<'m> {
    pub(super) key: &'m ObjectKey,
    pub(super) size: u64,
    pub(super) b3: Digest,
}

/// A manifest as it lies in the bucket.
#[derive(Clone, Debug)]
pub struct StoredManifest {
    /// Its canonical bytes.
    pub bytes: Bytes,
    /// The same, read.
    pub manifest: Manifest,
}

impl Whole {
    /// The release.
    pub fn release(&self) -> ReleaseId {
        self.release
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// When the look-up began.
    pub(super) fn checked(&self) -> SystemTime {
        self.checked
    }
}

/// Looks up every object of a release, `concurrency` at a time: one LIST, one
/// GET, and one HEAD an object.
///
/// What a collector has condemned is stored again first, so that it may be
/// switched to: a collector that read the roots before the switch deletes the
/// versions in its list and no others. Read before the look-up, because a list
/// is removed behind the last deletion. `channel` is the one to be switched;
/// `now` begins the time in which that must happen.
///
/// All objects that are missing or have another length are told at once, as
/// [`PublishError::Broken`]. A look-up that fails ends it: then nothing is
/// known.
pub async fn whole(
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
    channel: &Channel,
    release: ReleaseId,
    concurrency: usize,
    now: SystemTime,
) -> Result<Whole, PublishError> {
    let condemned = Condemned::read(store, layout).await?;
    let StoredManifest { bytes, manifest } = stored(store, layout, release).await?;
    let rescue = Rescue { store, layout, release, manifest: &manifest, concurrency };
    rescue.run(&condemned, bytes, channel).await?;
    let looks = objects_of(&manifest)
        .map(|object| look(store, layout.object(object.key), object.size).boxed());
    let mut looks = stream::iter(looks).buffer_unordered(concurrency.max(1));
    let mut broken = Vec::new();
    while let Some(looked) = looks.next().await {
        broken.extend(looked?);
    }
    drop(looks);
    if broken.is_empty() {
        return Ok(Whole { release, manifest, checked: now });
    }
    broken.sort_by(|one, other| one.key.cmp(&other.key));
    Err(PublishError::Broken { release, objects: broken })
}

/// The releases in the bucket whose names begin with `digits`: the first 1,000
/// at most, for one LIST.
pub async fn named(
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
    digits: &str,
) -> Result<Vec<ReleaseId>, PublishError> {
    let directory = layout.manifests("");
    let page = store.list(&layout.manifests(digits), None).await?;
    let name = |key: &str| {
        let name = key.strip_prefix(&directory)?.strip_suffix(".json")?;
        ReleaseId::parse(name).ok()
    };
    Ok(page.objects.iter().filter_map(|listed| name(&listed.key)).collect())
}

/// Reads the manifest of a release: one GET. Fails with
/// [`PublishError::NoRelease`] or [`PublishError::Unreadable`].
pub async fn stored(
    store: &dyn ObjectRead,
    layout: &KeyLayout,
    release: ReleaseId,
) -> Result<StoredManifest, PublishError> {
    let bytes = base::read(store, &layout.manifest(release), MANIFEST_BYTES_MAX).await?;
    let bytes = bytes.ok_or(PublishError::NoRelease { release })?;
    let manifest = Manifest::from_bytes(release, &bytes)
        .map_err(|source| PublishError::Unreadable { release, source })?;
    Ok(StoredManifest { bytes, manifest })
}

/// Every object of a release, variants included.
pub(super) fn objects_of(manifest: &Manifest) -> impl Iterator<Item = Needed<'_>> {
    manifest.iter().flat_map(|(_, entry)| {
        let own = Needed { key: &entry.key, size: entry.size, b3: entry.b3 };
        let variants = entry.variants.values();
        let variants = variants.map(|it| Needed { key: &it.key, size: it.size, b3: it.b3 });
        std::iter::once(own).chain(variants)
    })
}

async fn look(
    store: &dyn ObjectRead,
    key: String,
    size: u64,
) -> Result<Option<Broken>, StoreError> {
    let found = match store.head(&key).await {
        Ok(head) => Some(head.size),
        Err(error) if error.kind() == StoreErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let broken = Broken { key, size, found };
    Ok((found != Some(size)).then_some(broken))
}
