//! How records and heads are written when a channel is switched: on condition
//! where the store was found to have conditional writes, and plainly where not.
//!
//! The log alone decides which record is the head. Conditions only keep a
//! publisher from overwriting what it has not seen.

use bytes::Bytes;

use super::base;
use super::error::PublishError;
use super::log::Log;
use super::options::{ConditionalWrites, Options};
use crate::asset::KeyLayout;
use crate::manifest::{ACTIVATION_BYTES_MAX, Activation};
use crate::store::{
    GetOutcome, GetRequest, ObjectHeaders, ObjectWrite, PutCondition, StoreError, StoreErrorKind,
    has_conditional_writes,
};

/// Whether conditions are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Writes {
    Plain,
    Conditional,
}

impl Writes {
    /// Finds out what the store can do, if the options ask for it.
    pub(super) async fn of(
        store: &dyn ObjectWrite,
        layout: &KeyLayout,
        options: &Options,
    ) -> Result<Self, StoreError> {
        if options.conditional_writes == ConditionalWrites::Never {
            return Ok(Self::Plain);
        }
        let has = has_conditional_writes(store, &layout.probe("conditional-writes")).await?;
        Ok(if has { Self::Conditional } else { Self::Plain })
    }

    /// Writes an object under a key of this publisher's own.
    pub(super) async fn put_own(
        self,
        store: &dyn ObjectWrite,
        key: &str,
        bytes: Bytes,
        headers: &ObjectHeaders,
    ) -> Result<(), StoreError> {
        if self == Self::Plain {
            return store.put(key, bytes, headers).await.map(|_| ());
        }
        let put = store.put_if(key, bytes.clone(), headers, PutCondition::Absent);
        match put.await {
            Ok(_) => Ok(()),
            // The answer to an earlier attempt may have been lost.
            Err(error) if error.kind() == StoreErrorKind::Precondition => {
                let stored = base::read(store, key, bytes.len()).await?;
                if stored.as_ref() == Some(&bytes) { Ok(()) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Makes `head.json` repeat `head`. `false` if someone else wrote it
    /// meanwhile, or it already repeats a newer one: then nothing was done.
    pub(super) async fn put_head(
        self,
        log: &Log<'_>,
        key: &str,
        head: &Activation,
        headers: &ObjectHeaders,
    ) -> Result<bool, PublishError> {
        let bytes = Bytes::from(head.to_bytes().map_err(PublishError::UnwritableRecord)?);
        if self == Self::Plain {
            log.store.put(key, bytes, headers).await?;
            return Ok(true);
        }
        let condition = match seen(log, key, head).await? {
            Seen::Same => return Ok(true),
            Seen::Newer => return Ok(false),
            Seen::Over(condition) => condition,
        };
        match log.store.put_if(key, bytes, headers, condition).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == StoreErrorKind::Precondition => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// What `head.json` repeats before it is written.
enum Seen {
    Same,
    Newer,
    /// Nothing, something older, or something damaged: it is written over.
    Over(PutCondition),
}

async fn seen(log: &Log<'_>, key: &str, head: &Activation) -> Result<Seen, StoreError> {
    let object = match log.store.get(key, GetRequest::default()).await {
        Ok(GetOutcome::Found(object)) => object,
        // Nothing was asked that allows this answer.
        Ok(GetOutcome::NotModified) => return Ok(Seen::Over(PutCondition::Absent)),
        Err(error) if error.kind() == StoreErrorKind::NotFound => {
            return Ok(Seen::Over(PutCondition::Absent));
        }
        Err(error) => return Err(error),
    };
    let etag = object.head.etag.clone().unwrap_or_default();
    let bytes = object.collect(key, ACTIVATION_BYTES_MAX).await?;
    Ok(match Activation::from_bytes(log.channel, &bytes) {
        Ok(shown) if shown == *head => Seen::Same,
        Ok(shown) if shown.newer(head).is_gt() => Seen::Newer,
        _ => Seen::Over(PutCondition::Unchanged(etag)),
    })
}
