//! Recall: responses of upstreams that memory does not have and the disk does,
//! and what is written there behind the answers.
//!
//! A URI has a rule on disk, and each of its responses an entry that the rule
//! leads to. What is not whole is not written.

use std::sync::Arc;
use std::time::SystemTime;

use super::Pages;
use super::fill::Room;
use super::key::PageKey;
use super::saved::{SavedPage, SavedRule};
use super::shelf::{Found, Shelf};
use super::sortie::Sortie;
use super::stored::StoredPage;
use crate::shield::cache::{Cache, ENTRY_BYTES, Record};

impl Pages {
    /// What is stored for a request, in memory or on disk. A disk that fails or
    /// takes too long has nothing.
    pub(super) async fn find(&self, sortie: &Sortie, now: SystemTime) -> Found {
        let found = self.shelf.find(&sortie.key, &sortie.forwarded);
        let known = found.page.is_some() || !found.parts.is_empty();
        if known || self.shelf.is_unshared(&sortie.key, now) {
            return found;
        }
        let Some(page) = self.recall(sortie, now).await else { return found };
        let found = self.shelf.find(&sortie.key, &sortie.forwarded);
        // Memory need not have taken it.
        let vary = found.vary.or_else(|| Some(page.head.vary.clone()));
        Found { page: found.page.or(Some(page)), vary, ..found }
    }

    async fn recall(&self, sortie: &Sortie, now: SystemTime) -> Option<Arc<StoredPage>> {
        let (disk, epochs) = (self.cache.disk.as_ref()?, &self.cache.epochs);
        let usable = |epoch| epochs.usable_from_disk(epoch);
        // Taken first: what makes the response unusable from now on is later.
        let turn = self.shelf.turn();
        let rule = disk.find(&SavedRule::key(&sortie.key), now, usable).await?;
        let rule: SavedRule = serde_json::from_slice(&rule.meta).ok()?;
        let selection = rule.vary()?.select(&sortie.forwarded);
        let key = SavedRule::key_of(&sortie.key, rule.generation, &selection);
        // Not before: who wants what is nowhere does not wait for others.
        let _turn = disk.turn(&key).await?;
        // Who had the turn before may have brought it.
        if let Some(page) = self.shelf.find(&sortie.key, &sortie.forwarded).page {
            return Some(page);
        }
        let entry = disk.find(&key, now, usable).await?;
        let head = SavedPage::read(&entry.meta, sortie.rule.as_ref(), entry.epoch, turn)?;
        let size = entry.body.len();
        let mut room = Room::of(&self.cache.budget);
        let share = room.take(ENTRY_BYTES + head.bytes()).await?;
        let body = room.take(size).await?;
        let bytes = entry.into_bytes().await.ok()?;
        let pieces = if bytes.is_empty() { Vec::new() } else { vec![body.keep(bytes)] };
        let cost = room.cost;
        let page = StoredPage { head, pieces: pieces.into(), size, cost, _share: share };
        let page = Arc::new(page);
        let usable = self.shelf.put_recalled(&sortie.key, rule.generation, Arc::clone(&page));
        usable.then_some(page)
    }
}

impl Shelf {
    /// Removes from disk all responses for a URI. Returns when they are gone,
    /// or when the disk took too long. `known`: there were some in memory.
    pub(super) async fn forget_saved(&self, key: &PageKey, known: bool, now: SystemTime) {
        let Some(disk) = &self.cache().disk else { return };
        let rule = SavedRule::key(key);
        // Few URIs that are posted to have pages, and nobody waits for those.
        if !known && disk.find(&rule, now, |_| true).await.is_none() {
            disk.forget_behind(rule);
        } else if !disk.forget(rule).await {
            tracing::warn!("pages on disk that a request made unusable cannot be removed");
        }
        // What was read from there meanwhile is not to stay.
        self.empty(key, now);
    }
}

/// Writes a response to disk when its turn comes.
pub(super) fn write_behind(cache: &Cache, key: &PageKey, generation: u64, page: &StoredPage) {
    let Some(disk) = &cache.disk else { return };
    let head = &page.head;
    let rule = serde_json::to_vec(&SavedRule::of(generation, &head.vary)).ok();
    let (Some(rule), Some(meta)) = (rule, SavedPage::of(head)) else { return };
    let (epoch, stored_at) = (head.fill_epoch, head.exchange.received);
    let key_of = SavedRule::key_of(key, generation, &head.selection);
    let pieces = page.pieces.iter().cloned().collect();
    disk.put_behind(Record { key: key_of, meta, pieces, epoch, stored_at });
    let (key, pieces) = (SavedRule::key(key), Box::default());
    disk.put_behind(Record { key, meta: rule, pieces, epoch, stored_at });
}
