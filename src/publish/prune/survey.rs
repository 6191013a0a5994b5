//! Everything that lies in the bucket, version by version, and the store's
//! own time. Whatever is deleted was seen here first.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::PruneError;
use crate::asset::KeyLayout;
use crate::publish::activate::json_headers;
use crate::publish::base::read_dated;
use crate::store::{ListedVersion, ObjectWrite, StoreErrorKind, is_exact};

/// Most versions that are listed: they are in memory together.
const VERSIONS_MAX: usize = 10_000_000;

/// The key that is written to learn the store's time, below the probes.
const CLOCK: &str = "clock";

/// `Cache-Control` of the probe.
const CACHE_PROBE: &str = "no-store";

/// Bytes of a probe.
const PROBE_BYTES_MAX: usize = 64;

/// All versions below the prefix.
#[derive(Debug)]
pub(super) struct Survey {
    /// Versions of objects, in the order of their keys, the newest first.
    pub(super) objects: Vec<ListedVersion>,
    /// Versions of everything else of awning.
    pub(super) own: Vec<ListedVersion>,
    /// Whether the store has versions.
    pub(super) by_version: bool,
}

impl Survey {
    /// Lists the objects, and then what may need them: an object that is
    /// activated in between is seen to be needed.
    pub(super) async fn of(
        store: &dyn ObjectWrite,
        layout: &KeyLayout,
    ) -> Result<Self, PruneError> {
        match versions(store, &layout.objects()).await {
            Ok(objects) => {
                let own = versions(store, &layout.own()).await?;
                Ok(Self { objects, own, by_version: true })
            }
            Err(PruneError::Store(error)) if error.kind() == StoreErrorKind::Unsupported => {
                let objects = plain(store, &layout.objects()).await?;
                let own = plain(store, &layout.own()).await?;
                Ok(Self { objects, own, by_version: false })
            }
            Err(error) => Err(error),
        }
    }
}

/// The versions of each key together.
pub(super) fn by_key(versions: &[ListedVersion]) -> impl Iterator<Item = &[ListedVersion]> {
    versions.chunk_by(|one, other| one.key == other.key)
}

/// When a version was stored, by the store's time.
pub(super) fn stored(version: &ListedVersion) -> Result<SystemTime, PruneError> {
    version.last_modified.ok_or_else(|| PruneError::Undated { key: version.key.clone() })
}

/// Seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// How old something is at `now`; what is of the future has no age.
pub(super) fn age(now: SystemTime, stored: SystemTime) -> Duration {
    now.duration_since(stored).unwrap_or_default()
}

/// The store's time: a PUT, a GET, and a DELETE where there are versions. This machine's clock decides
/// nothing, because one that runs ahead would make everything look old.
pub(super) async fn store_time(
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
) -> Result<SystemTime, PruneError> {
    let key = layout.probe(CLOCK);
    let receipt = store.put(&key, "clock".into(), &json_headers(CACHE_PROBE)).await?;
    let read = read_dated(store, &key, PROBE_BYTES_MAX).await?;
    // Without versions it would be taken from a collector that is about to read it.
    if is_exact(receipt.version.as_deref()) {
        store.delete(&key, receipt.version.as_deref()).await?;
    }
    let time = read.and_then(|(_, stored)| stored);
    time.ok_or(PruneError::Undated { key })
}

async fn versions(store: &dyn ObjectWrite, prefix: &str) -> Result<Vec<ListedVersion>, PruneError> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = store.list_versions(prefix, after.as_ref()).await?;
        all.extend(page.versions);
        refuse_too_many(&all, prefix)?;
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

/// A listing of a store without versions, as if each object were one.
async fn plain(store: &dyn ObjectWrite, prefix: &str) -> Result<Vec<ListedVersion>, PruneError> {
    let mut all: Vec<ListedVersion> = Vec::new();
    loop {
        let page = store.list(prefix, all.last().map(|last| last.key.as_str())).await?;
        let more = page.more && !page.objects.is_empty();
        all.extend(page.objects.into_iter().map(|listed| ListedVersion {
            key: listed.key,
            version: None,
            size: listed.size,
            etag: listed.etag,
            last_modified: listed.last_modified,
            newest: true,
            marker: false,
        }));
        refuse_too_many(&all, prefix)?;
        if !more {
            return Ok(all);
        }
    }
}

fn refuse_too_many(all: &[ListedVersion], prefix: &str) -> Result<(), PruneError> {
    if all.len() > VERSIONS_MAX {
        let prefix = prefix.to_owned();
        return Err(PruneError::TooLarge { prefix, versions_max: VERSIONS_MAX });
    }
    Ok(())
}
