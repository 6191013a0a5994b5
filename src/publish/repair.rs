//! Storing again what a release lacks, from the tree it was made of.
//!
//! Only bytes that have the manifest's digest are sent, so a tree that has
//! changed since repairs what is still the same and nothing else.

use std::collections::BTreeMap;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde::Serialize;
use tokio::task;

use super::activate::{CACHE_ONCE, json_headers};
use super::build::Build;
use super::error::PublishError;
use super::verify::{Expected, Verified, expected};
use crate::asset::{AssetPath, Digest, KeyLayout};
use crate::manifest::Manifest;
use crate::semantics::encoding::Coding;
use crate::store::{ObjectWrite, StoreError};

/// Bodies that are in memory at once.
const BODIES_MAX: usize = 4;

/// What a repair came to. Keys are full, in their order.
#[derive(Debug, Default, Serialize)]
pub struct Repaired {
    /// Stored again.
    pub repaired: Vec<String>,
    /// The tree does not make these bytes.
    pub unmade: Vec<String>,
}

/// Stores again what `verified` found flawed, as far as `build` makes it: a
/// PUT for each object. The store checks the bytes on arrival.
///
/// Reading the tree blocks, but not the thread that waits here.
pub async fn repair(
    verified: &Verified,
    manifest: &Manifest,
    build: &Build,
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
) -> Result<Repaired, PublishError> {
    let flawed: BTreeMap<&str, ()> =
        verified.flaws.iter().map(|flawed| (flawed.key.as_str(), ())).collect();
    let needed: BTreeMap<String, Expected<'_>> = expected(manifest)
        .map(|object| (layout.object(object.key), object))
        .filter(|(key, _)| flawed.contains_key(key.as_str()))
        .collect();
    let made = made(build.manifest());
    let stored = needed.into_iter().map(|(key, object)| {
        let made = made.get(&object.b3).map(|(path, coding)| ((*path).clone(), *coding));
        async move {
            let Some((path, coding)) = made else { return Ok((key, false)) };
            let stored = store_again(build, path, coding, &key, object, store).await?;
            Ok::<_, StoreError>((key, stored))
        }
        .boxed()
    });
    let mut stored = stream::iter(stored).buffered(BODIES_MAX);
    let mut repaired = Repaired::default();
    while let Some(outcome) = stored.next().await {
        match outcome? {
            (key, true) => repaired.repaired.push(key),
            (key, false) => repaired.unmade.push(key),
        }
    }
    Ok(repaired)
}

/// Stores the manifest of a release again, if `build` makes that release.
/// Returns whether it does.
pub async fn repair_manifest(
    build: &Build,
    release: crate::manifest::ReleaseId,
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
) -> Result<bool, PublishError> {
    if build.release() != release {
        return Ok(false);
    }
    let (_, bytes) = build.manifest().to_bytes().map_err(PublishError::Unwritable)?;
    let key = layout.manifest(release);
    store.put(&key, bytes.into(), &json_headers(CACHE_ONCE)).await?;
    Ok(true)
}

/// Which asset, or which coding of it, has these bytes.
fn made(manifest: &Manifest) -> BTreeMap<Digest, (&AssetPath, Option<Coding>)> {
    let objects = manifest.iter().flat_map(|(path, entry)| {
        let variants = entry.variants.iter().map(|(coding, variant)| (variant.b3, Some(*coding)));
        let all = std::iter::once((entry.b3, None)).chain(variants);
        all.map(move |(b3, coding)| (b3, (path, coding)))
    });
    objects.collect()
}

/// Makes the bytes of an object from its file, and stores them if they are
/// what the release needs.
async fn store_again(
    build: &Build,
    path: AssetPath,
    coding: Option<Coding>,
    key: &str,
    object: Expected<'_>,
    store: &dyn ObjectWrite,
) -> Result<bool, StoreError> {
    let (objects, b3) = (build.objects.clone(), object.b3);
    match task::spawn_blocking(move || objects.planned(&path, coding, &b3)).await {
        Ok(Ok(bytes)) => {
            store.put(key, bytes.into(), &object.headers()).await?;
            Ok(true)
        }
        // The file is another one by now, or cannot be read.
        _ => Ok(false),
    }
}
