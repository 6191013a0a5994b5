//! Finding and keeping the responses of upstreams, by URI and by `Vary`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::key::PageKey;
use super::stored::{StoredPage, Variants};
use crate::asset::Digest;
use crate::semantics::vary::Vary;
use crate::shield::cache::{Cache, CacheKey};

/// How long a URI is known to have responses that are not shared.
const UNSHARED_FOR: Duration = Duration::from_secs(120);

/// URIs that are remembered for that. One that is not merely makes requests
/// wait for each other once.
const UNSHARED_MAX: usize = 4096;

/// Places for the turns of requests that changed something. URIs that share
/// one keep each other's older fills out, and nothing worse.
const CHANGES: usize = 4096;

/// The responses of upstreams that are stored.
#[derive(Debug)]
pub(crate) struct Shelf {
    cache: Arc<Cache>,
    /// Held while the variants of a URI are exchanged for others.
    writing: Mutex<()>,
    turns: AtomicU64,
    /// The turn of the newest request that made unusable what was stored for a
    /// URI. What was asked for before is not stored. Outside of the map, which
    /// may forget what it holds.
    changes: Box<[AtomicU64]>,
    unshared: Mutex<HashMap<Digest, SystemTime>>,
}

/// What is stored for a request.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The newest whole response that answers it, as far as fields tell.
    pub(crate) page: Option<Arc<StoredPage>>,
    /// The newest parts of one.
    pub(crate) parts: Vec<Arc<StoredPage>>,
    /// Whether there are others, for other requests.
    pub(crate) others: bool,
    /// What the newest of all of them says that requests differ by.
    pub(crate) vary: Option<Vary>,
    /// The newest request that may have changed what is there.
    pub(crate) not_before: u64,
}

impl Shelf {
    pub(crate) fn new(cache: Arc<Cache>) -> Self {
        let changes = (0..CHANGES).map(|_| AtomicU64::new(0)).collect();
        let (writing, turns) = (Mutex::default(), AtomicU64::new(1));
        Self { cache, writing, turns, changes, unshared: Mutex::default() }
    }

    /// The next turn: later than all that were given.
    pub(crate) fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::AcqRel)
    }

    /// What is stored for a request that is forwarded with these fields.
    pub(crate) fn find(&self, key: &PageKey, forwarded: &HeaderMap) -> Found {
        let not_before = self.changed(key).load(Ordering::Acquire);
        let mut found = Found { not_before, ..Found::default() };
        let Some(variants) = self.cache.pages(&place(key)) else { return found };
        found.vary = variants.kept.first().map(|page| page.head.vary.clone());
        for page in &variants.kept {
            if !page.answers(forwarded, &self.cache.epochs) {
                found.others |= self.cache.epochs.usable(page.head.fill_epoch);
            } else if page.head.part.is_some() {
                found.parts.push(Arc::clone(page));
            } else if found.page.is_none() {
                found.page = Some(Arc::clone(page));
            }
        }
        found
    }

    /// Stores a response. Tells whether it is stored.
    pub(crate) fn put(&self, key: &PageKey, page: Arc<StoredPage>) -> bool {
        let not_before = self.changed(key);
        self.change(key, |variants| {
            let late = page.head.turn < not_before.load(Ordering::Acquire);
            if late { None } else { variants.with(page) }
        })
    }

    /// Stores a response no longer.
    pub(crate) fn forget(&self, key: &PageKey, page: &Arc<StoredPage>) {
        self.change(key, |variants| Some(variants.without(page)));
    }

    /// Makes unusable what is stored for a URI, and what was asked for before.
    pub(crate) fn empty(&self, key: &PageKey) {
        self.changed(key).fetch_max(self.turn(), Ordering::AcqRel);
        self.change(key, |variants| Some(Variants { kept: Vec::new(), ..*variants }));
    }

    fn changed(&self, key: &PageKey) -> &AtomicU64 {
        let [first, second, ..] = *key.digest().as_bytes();
        &self.changes[usize::from(u16::from_le_bytes([first, second])) % CHANGES]
    }

    fn change(&self, key: &PageKey, change: impl FnOnce(&Variants) -> Option<Variants>) -> bool {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let place = place(key);
        let there = self.cache.pages(&place);
        let empty = Variants { overhead: key.bytes(), ..Variants::default() };
        let changed = change(there.as_deref().unwrap_or(&empty));
        let stored = changed.is_some();
        if let Some(changed) = changed {
            self.cache.put_pages(place, Arc::new(changed));
        }
        stored
    }

    /// Whether responses for this URI were found not to be shared of late, so
    /// that requests for it need not wait for each other.
    pub(crate) fn is_unshared(&self, key: &PageKey, now: SystemTime) -> bool {
        self.unshared().get(&key.digest()).is_some_and(|since| is_recent(*since, now))
    }

    /// Remembers that a response for this URI was not shared.
    pub(crate) fn note_unshared(&self, key: &PageKey, now: SystemTime) {
        let mut unshared = self.unshared();
        if unshared.len() >= UNSHARED_MAX {
            unshared.retain(|_, since| is_recent(*since, now));
        }
        if unshared.len() < UNSHARED_MAX {
            unshared.insert(key.digest(), now);
        }
    }

    fn unshared(&self) -> MutexGuard<'_, HashMap<Digest, SystemTime>> {
        self.unshared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that went back makes a memory stale, never eternal.
fn is_recent(since: SystemTime, now: SystemTime) -> bool {
    now.duration_since(since).is_ok_and(|age| age < UNSHARED_FOR)
}

fn place(key: &PageKey) -> CacheKey {
    CacheKey::Upstream(Box::new(key.clone()))
}
