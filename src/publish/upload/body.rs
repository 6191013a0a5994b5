//! What is sent for one object: its bytes, made again from its file.

use bytes::Bytes;
use tokio::task;

use super::super::error::PublishError;
use super::super::fields;
use super::super::plan::Plan;
use super::super::source::ReadError;
use crate::asset::{AssetPath, Digest};
use crate::manifest::Entry;
use crate::store::ObjectHeaders;

use super::Put;

/// An object as it is sent.
pub(super) struct Body {
    pub(super) bytes: Bytes,
    pub(super) digest: Digest,
    pub(super) headers: ObjectHeaders,
}

/// The bytes of an object, if they still are those that were planned.
pub(super) async fn body(plan: &Plan, put: &Put<'_>) -> Result<Body, PublishError> {
    let entry = entry(plan, put.path)?;
    let variant = |coding| entry.variants.get(&coding).map(|variant| variant.b3);
    let digest = match put.coding {
        Some(coding) => variant(coding).ok_or_else(|| changed(put.path, None))?,
        None => entry.b3,
    };
    let (objects, path, coding) = (plan.objects.clone(), put.path.clone(), put.coding);
    // Reading, rewriting and coding would hold up the uploads that are under way.
    let made = match objects.is_held(coding) {
        true => Ok(objects.planned(&path, coding, &digest)),
        false => task::spawn_blocking(move || objects.planned(&path, coding, &digest)).await,
    };
    let broken = |error| changed(put.path, Some(std::io::Error::other(error).into()));
    let bytes = made.map_err(broken)??;
    Ok(Body { bytes: bytes.into(), digest, headers: fields::stored(entry, coding, digest) })
}

/// What the manifest says of an asset.
pub(super) fn entry<'a>(plan: &'a Plan, path: &AssetPath) -> Result<&'a Entry, PublishError> {
    plan.manifest.get(path.as_str()).ok_or_else(|| changed(path, None))
}

/// The file of an asset is not what it was when the release was built.
pub(super) fn changed(path: &AssetPath, source: Option<ReadError>) -> PublishError {
    PublishError::Changed { path: path.clone(), source }
}
