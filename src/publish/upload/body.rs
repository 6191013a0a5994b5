//! What is sent for one asset: its bytes, made again from its file, and the
//! header fields that the manifest promises.

use bytes::Bytes;
use tokio::task;

use super::super::error::PublishError;
use super::super::plan::Plan;
use super::super::source::ReadError;
use crate::asset::{AssetPath, Digest};
use crate::manifest::Entry;
use crate::store::ObjectHeaders;

/// An object as it is sent.
pub(super) struct Body {
    pub(super) bytes: Bytes,
    pub(super) digest: Digest,
    pub(super) headers: ObjectHeaders,
}

/// The bytes of an object, if they still are those that were built.
pub(super) async fn body(plan: &Plan, path: &AssetPath) -> Result<Body, PublishError> {
    let entry = entry(plan, path)?;
    let (objects, asset) = (plan.objects.clone(), path.clone());
    // Reading and rewriting would hold up the uploads that are under way.
    let made = task::spawn_blocking(move || {
        objects.bytes(&asset).map(|bytes| (Digest::of(&bytes), bytes))
    });
    let made = made.await.map_err(|error| ReadError::Io(std::io::Error::other(error)));
    let (digest, bytes) = made.flatten().map_err(|error| changed(path, Some(error)))?;
    if digest != entry.b3 {
        return Err(changed(path, None));
    }
    Ok(Body { bytes: bytes.into(), digest, headers: headers(entry) })
}

/// The header fields of an object, whole or in parts.
pub(super) fn headers(entry: &Entry) -> ObjectHeaders {
    ObjectHeaders {
        content_type: Some(entry.content_type.clone()),
        cache_control: Some(entry.cache.clone()),
        meta: [("blake3".to_owned(), entry.b3.to_string())].into(),
        ..ObjectHeaders::default()
    }
}

/// What the manifest says of an asset.
pub(super) fn entry<'a>(plan: &'a Plan, path: &AssetPath) -> Result<&'a Entry, PublishError> {
    plan.manifest.get(path.as_str()).ok_or_else(|| changed(path, None))
}

/// The file of an asset is not what it was when the release was built.
pub(super) fn changed(path: &AssetPath, source: Option<ReadError>) -> PublishError {
    PublishError::Changed { path: path.clone(), source }
}
