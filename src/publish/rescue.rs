//! Storing again what a collector has condemned, before a channel is switched
//! to it. The new versions are in no list.

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use super::activate::{CACHE_ONCE, json_headers};
use super::condemned::Condemned;
use super::error::PublishError;
use super::intent::Intent;
use super::whole::{Needed, objects_of};
use crate::asset::{Digest, KeyLayout};
use crate::manifest::{Channel, Manifest, ReleaseId};
use crate::store::{GetOutcome, GetRequest, ObjectWrite, StoreErrorKind};

/// Bodies that are in memory at once.
const BODIES_MAX: usize = 4;

/// A release that is to be switched to.
pub(super) struct Rescue<'a> {
    pub(super) store: &'a dyn ObjectWrite,
    pub(super) layout: &'a KeyLayout,
    pub(super) release: ReleaseId,
    pub(super) manifest: &'a Manifest,
    pub(super) concurrency: usize,
}

impl Rescue<'_> {
    /// Stores again what is condemned; nothing where nothing is.
    pub(super) async fn run(
        &self,
        condemned: &Condemned,
        manifest: Bytes,
        channel: &Channel,
    ) -> Result<(), PublishError> {
        let keys = condemned.keys();
        if keys.is_empty() {
            return Ok(());
        }
        let key = self.layout.manifest(self.release);
        let objects: Vec<_> = objects_of(self.manifest)
            .map(|object| (self.layout.object(object.key), object))
            .filter(|(key, _)| keys.contains(key.as_str()))
            .collect();
        let named = objects.iter().map(|(key, _)| key.as_str()).chain([key.as_str()]);
        self.refuse_being_deleted(condemned, named, channel).await?;
        if keys.contains(key.as_str()) {
            self.store.put(&key, manifest, &json_headers(CACHE_ONCE)).await?;
        }
        let copies = objects.into_iter().map(|(key, object)| self.copy(key, object).boxed());
        let at_once = self.concurrency.clamp(1, BODIES_MAX);
        stream::iter(copies).buffer_unordered(at_once).try_collect::<()>().await
    }

    /// Where a list has no versions: says what is needed, and then sees
    /// whether someone is deleting it.
    async fn refuse_being_deleted<'k>(
        &self,
        condemned: &Condemned,
        mut named: impl Iterator<Item = &'k str> + Clone,
        channel: &Channel,
    ) -> Result<(), PublishError> {
        let without_version = condemned.keys_without_version();
        if !named.clone().any(|key| without_version.contains(key)) {
            return Ok(());
        }
        let intent = Intent::of_release(channel, self.release, self.manifest);
        let now = intent.declare(self.store, self.layout).await?;
        let condemned = Condemned::read(self.store, self.layout).await?;
        match condemned.being_deleted(&mut named, now) {
            Some(key) => Err(PublishError::Collecting { key: key.to_owned() }),
            None => Ok(()),
        }
    }

    /// Stores an object again as it is. One that is missing is left to the
    /// look-up, which tells all that are.
    async fn copy(&self, key: String, object: Needed<'_>) -> Result<(), PublishError> {
        let found = match self.store.get(&key, GetRequest::default()).await {
            Ok(GetOutcome::Found(found)) => found,
            Ok(GetOutcome::NotModified) => return Ok(()),
            Err(error) if error.kind() == StoreErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let headers = found.head.headers.clone();
        let bytes_max = usize::try_from(found.head.size).unwrap_or(usize::MAX);
        let body = found.collect(&key, bytes_max).await?;
        if Digest::of(&body) != object.b3 {
            return Err(PublishError::Damaged { key });
        }
        self.store.put(&key, body, &headers).await?;
        Ok(())
    }
}
