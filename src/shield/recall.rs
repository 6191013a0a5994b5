//! Recall: what memory does not have and the disk does, and what is written
//! there behind the answers.
//!
//! The disk has objects of the bucket only, under their own names. A page is
//! made from its object again, because what it was made with is not on disk.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderValue;

use super::cache::{
    Chunks, ENTRY_BYTES, Entry, Epoch, Head, Known, Record, SavedHead, StoredResponse,
};
use super::fill::{Fill, MEMORY_TIMEOUT, keep, renders};
use super::render;
use super::wanted::{IMMUTABLE, Wanted};
use crate::asset::{Digest, ObjectKey};
use crate::semantics::validator::EntityTag;

/// Largest body that is taken into memory when it is found on disk.
const PROMOTED_BYTES_MAX: u64 = 1 << 20;

/// What the disk has of an answer.
#[derive(Debug)]
pub(crate) enum Recalled {
    /// All of it, which is in memory from now on.
    Stored(Arc<StoredResponse>),
    /// All of it, to be read while it is sent.
    Kept(Box<Kept>),
    /// Nothing.
    Nothing,
}

/// A response whose body is on disk.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) head: Head,
    pub(crate) body: Chunks,
    pub(crate) stored_at: SystemTime,
}

impl Fill {
    /// Looks for what is wanted on disk. A disk that fails or takes too long
    /// has nothing.
    pub(crate) async fn recall(&self, wanted: &Wanted, now: SystemTime) -> Recalled {
        let found = self.find(wanted, now).await;
        found.unwrap_or(Recalled::Nothing)
    }

    async fn find(&self, wanted: &Wanted, now: SystemTime) -> Option<Recalled> {
        let (disk, epochs) = (self.cache.disk.as_ref()?, &self.cache.epochs);
        let key = key_of(&wanted.object);
        let _turn = disk.turn(&key).await?;
        // Who had the turn before may have brought it.
        if let Known::Stored(stored) = self.cache.lookup(&wanted.key, now) {
            return Some(Recalled::Stored(stored));
        }
        let entry = disk.find(&key, now, |epoch| epochs.usable_from_disk(epoch)).await?;
        let (head, object) = SavedHead::read(&entry.meta, entry.body.len())?;
        let age = now.duration_since(entry.stored_at).unwrap_or_default();
        if !wanted.is_object(&object) || age >= IMMUTABLE {
            return None;
        }
        let head = as_wanted(head, wanted);
        if renders(wanted, head.size) || head.size <= PROMOTED_BYTES_MAX {
            return self.promote(wanted, head, object, entry).await;
        }
        let (body, stored_at) = (entry.body, entry.stored_at);
        Some(Recalled::Kept(Box::new(Kept { head, body, stored_at })))
    }

    async fn promote(
        &self,
        wanted: &Wanted,
        mut head: Head,
        object: Digest,
        entry: Entry,
    ) -> Option<Recalled> {
        let page = wanted.page.clone().filter(|_| renders(wanted, head.size));
        let body = if page.is_some() { render::bytes_needed(head.size) } else { head.size };
        let budget = &self.cache.budget;
        let share = budget.reserve(body.saturating_add(ENTRY_BYTES), MEMORY_TIMEOUT).await;
        let Some(share) = share else {
            // A page cannot be sent piece by piece.
            let (body, stored_at) = (entry.body, entry.stored_at);
            let kept = || Recalled::Kept(Box::new(Kept { head, body, stored_at }));
            return page.is_none().then(kept);
        };
        let (fill_epoch, stored_at) = (entry.epoch, entry.stored_at);
        let mut bytes = entry.into_bytes().await.ok()?;
        if let Some(page) = page {
            bytes = render::render(bytes, page, share.bytes(), &self.metrics).await.ok()?;
            head.as_page(&bytes);
        }
        let pieces = keep(bytes, share).into();
        let stored = StoredResponse::new(head, object, pieces, fill_epoch, stored_at);
        let stored = Arc::new(stored);
        self.cache.put(wanted.key.clone(), Arc::clone(&stored));
        Some(Recalled::Stored(stored))
    }

    /// Writes a response to disk, when its turn comes. What was made of an
    /// object is not written.
    pub(super) fn write_behind(&self, wanted: &Wanted, stored: &StoredResponse) {
        let Some(disk) = &self.cache.disk else { return };
        if wanted.page.is_some() {
            return;
        }
        let Some(meta) = SavedHead::of(&stored.head, stored.object) else { return };
        disk.put_behind(Record {
            key: key_of(&wanted.object),
            meta,
            pieces: stored.pieces.clone(),
            epoch: stored.fill_epoch,
            stored_at: stored.stored_at,
        });
    }

    /// Writes the object that a page is made from, if there is memory for it
    /// until it is written.
    pub(super) async fn write_original_behind(
        &self,
        wanted: &Wanted,
        epoch: Epoch,
        head: &Head,
        object: Digest,
        bytes: &[u8],
    ) {
        let Some(disk) = &self.cache.disk else { return };
        let share = self.cache.budget.reserve(bytes.len() as u64, std::time::Duration::ZERO).await;
        let (Some(share), Some(meta)) = (share, SavedHead::of(head, object)) else { return };
        let pieces: Vec<Bytes> = keep(bytes.to_vec(), share);
        disk.put_behind(Record {
            key: key_of(&wanted.object),
            meta,
            pieces: pieces.into(),
            epoch,
            stored_at: self.clock.now(),
        });
    }
}

/// The key of an object on disk.
pub(super) fn key_of(object: &ObjectKey) -> Vec<u8> {
    format!("object {}", object.as_str()).into_bytes()
}

/// What a release says of an object goes before what was known of it when it
/// was stored, perhaps for another release or for none.
fn as_wanted(head: Head, wanted: &Wanted) -> Head {
    let Some(published) = &wanted.published else { return head };
    let coding = wanted.coding;
    Head {
        content_type: published.content_type.clone(),
        content_encoding: match coding {
            Some(coding) => Some(HeaderValue::from_static(coding.name())),
            None => head.content_encoding,
        },
        tag: EntityTag { content: published.content.clone(), coding },
        ..head
    }
}
