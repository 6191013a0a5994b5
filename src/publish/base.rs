//! What a publish builds on: the channel's head and its manifest.

use std::time::SystemTime;

use crate::asset::KeyLayout;
use crate::manifest::{ACTIVATION_BYTES_MAX, Activation, Channel, MANIFEST_BYTES_MAX, Manifest};
use crate::store::{GetOutcome, GetRequest, ObjectRead, StoreError, StoreErrorKind};

use super::build::Build;
use super::error::PublishError;

/// The newest release of a channel, as far as its head tells.
#[derive(Clone, Debug, Default)]
pub struct Base {
    pub(super) head: Option<Activation>,
    pub(super) manifest: Option<Manifest>,
    pub(super) remarks: Vec<String>,
}

impl Base {
    /// The record that the channel's head holds; `None` for a new channel.
    pub fn head(&self) -> Option<&Activation> {
        self.head.as_ref()
    }

    /// The manifest of the head's release.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// What was found damaged. The publish goes on, and replaces it.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// What `build` is to be planned on, where it took long to make: someone
    /// else may have switched the channel meanwhile. One GET more, or two where
    /// the channel has another head now; none where the head is this very
    /// release, because then there is nothing to do.
    pub async fn renewed(
        self,
        build: &Build,
        store: &dyn ObjectRead,
        layout: &KeyLayout,
        channel: &Channel,
    ) -> Result<Self, PublishError> {
        let is_head = |head: &Activation| head.release == build.release;
        if self.manifest.is_some() && self.head.as_ref().is_some_and(is_head) {
            return Ok(self);
        }
        match head(store, layout, channel).await? {
            Head::Readable(head)
                if self.manifest.is_some() && self.head.as_ref() == Some(&*head) =>
            {
                Ok(self)
            }
            head => with_manifest(head, store, layout).await,
        }
    }
}

/// Reads the head of `channel` and its manifest: two GETs, or one when the
/// channel does not exist.
///
/// A head or a manifest with bytes that make no sense does not stop the
/// publish, because a new release is what repairs it; then nothing is taken
/// for stored, and every object is sent again. A store that cannot be read does.
pub async fn base(
    store: &dyn ObjectRead,
    layout: &KeyLayout,
    channel: &Channel,
) -> Result<Base, PublishError> {
    with_manifest(head(store, layout, channel).await?, store, layout).await
}

/// What lies under the key of a channel's head.
enum Head {
    Missing,
    Readable(Box<Activation>),
    /// What to tell of it.
    Damaged(String),
}

async fn head(
    store: &dyn ObjectRead,
    layout: &KeyLayout,
    channel: &Channel,
) -> Result<Head, PublishError> {
    let key = layout.head(channel);
    let Some(bytes) = read(store, &key, ACTIVATION_BYTES_MAX).await? else {
        return Ok(Head::Missing);
    };
    Ok(match Activation::from_bytes(channel, &bytes) {
        Ok(head) => Head::Readable(head.into()),
        Err(error) => Head::Damaged(format!("`{key}` is not readable: {error}")),
    })
}

async fn with_manifest(
    head: Head,
    store: &dyn ObjectRead,
    layout: &KeyLayout,
) -> Result<Base, PublishError> {
    let mut base = Base::default();
    let head = match head {
        Head::Missing => return Ok(base),
        Head::Readable(head) => *head,
        Head::Damaged(remark) => {
            base.remarks.push(remark);
            return Ok(base);
        }
    };
    let key = layout.manifest(head.release);
    match read(store, &key, MANIFEST_BYTES_MAX).await? {
        None => base.remarks.push(format!("`{key}` is missing")),
        Some(bytes) => match Manifest::from_bytes(head.release, &bytes) {
            Ok(manifest) => base.manifest = Some(manifest),
            Err(error) => base.remarks.push(format!("`{key}` is not readable: {error}")),
        },
    }
    base.head = Some(head);
    Ok(base)
}

/// Reads a whole object of awning's own; `None` when there is none.
pub(super) async fn read(
    store: &dyn ObjectRead,
    key: &str,
    bytes_max: usize,
) -> Result<Option<bytes::Bytes>, StoreError> {
    Ok(read_dated(store, key, bytes_max).await?.map(|(bytes, _)| bytes))
}

/// As [`read`], with the date at which the object was stored.
pub(super) async fn read_dated(
    store: &dyn ObjectRead,
    key: &str,
    bytes_max: usize,
) -> Result<Option<(bytes::Bytes, Option<SystemTime>)>, StoreError> {
    match store.get(key, GetRequest::default()).await {
        Ok(GetOutcome::Found(object)) => {
            let stored = object.head.last_modified;
            Ok(Some((object.collect(key, bytes_max).await?, stored)))
        }
        // Nothing was asked that allows this answer; a store that gives it has no bytes for us.
        Ok(GetOutcome::NotModified) => Ok(None),
        Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
