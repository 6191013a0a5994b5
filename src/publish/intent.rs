//! What a publish is about to store, written down before it stores it.
//!
//! A collector takes what unexpired intents name for needed. Publishing never
//! deletes, so an intent stays until it has expired and is collected itself.

use std::collections::BTreeSet;
use std::time::SystemTime;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::activate::{CACHE_ONCE, json_headers};
use super::error::PublishError;
use super::plan::{Plan, Step};
use crate::asset::{Digest, KeyLayout, ObjectKey};
use crate::manifest::{Channel, Manifest, ReleaseId};
use crate::store::{ObjectWrite, StoreErrorKind};

/// Largest intent that is read, in bytes: more than 300,000 objects.
pub(super) const INTENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How often an intent is written that is taken away at once.
const WRITES_MAX: usize = 3;

/// Characters of an intent's name.
const NAME_CHARS: usize = 32;

/// What a publish is about to store, and for what.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Intent {
    pub(super) channel: Channel,
    /// Objects that will be stored.
    pub(super) keys: BTreeSet<ObjectKey>,
    /// The release that will need them.
    pub(super) release: ReleaseId,
}

impl Intent {
    /// The intent of a publish.
    pub(super) fn of_plan(plan: &Plan) -> Self {
        let keys = plan.steps.iter().filter_map(|step| match step {
            Step::Put { key, .. } => Some(key.clone()),
            Step::Keep { .. } => None,
        });
        Self { channel: plan.channel.clone(), keys: keys.collect(), release: plan.release }
    }

    /// The intent of a switch to a release that is in the bucket already.
    pub(super) fn of_release(channel: &Channel, release: ReleaseId, manifest: &Manifest) -> Self {
        let keys = super::whole::objects_of(manifest).map(|object| object.key.clone());
        Self { channel: channel.clone(), keys: keys.collect(), release }
    }

    /// Writes the intent: one PUT and one HEAD. Returns the store's own time
    /// at which it was there; nothing that it names was stored before.
    ///
    /// The name follows from the content, so the same intent of another
    /// publisher is the same object.
    pub(super) async fn declare(
        &self,
        store: &dyn ObjectWrite,
        layout: &KeyLayout,
    ) -> Result<Option<SystemTime>, PublishError> {
        let bytes = serde_json::to_vec(self).map_err(PublishError::UnwritableIntent)?;
        let name = Digest::of(&bytes).to_string();
        let key = layout.intent(&name[..NAME_CHARS]);
        let bytes = Bytes::from(bytes);
        for _ in 0..WRITES_MAX {
            store.put(&key, bytes.clone(), &json_headers(CACHE_ONCE)).await?;
            match store.head(&key).await {
                Ok(head) => return Ok(head.last_modified),
                // Without versions, a collector that found an old intent of the
                // same name takes the new one with it.
                Err(error) if error.kind() == StoreErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(PublishError::Collecting { key })
    }
}
