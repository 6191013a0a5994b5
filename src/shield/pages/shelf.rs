//! Finding and keeping the responses of upstreams, by URI and by `Vary`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::changes::{Changed, Changes};
use super::key::PageKey;
use super::recall;
use super::saved::SavedRule;
use super::sortie::Sortie;
use super::stored::{PageHead, StoredPage, Variants};
use crate::asset::Digest;
use crate::semantics::vary::Vary;
use crate::shield::cache::{Cache, CacheKey, Known, Why};
use crate::shield::origin::Fault;

/// How long a URI is known to have responses that are not shared.
const UNSHARED_FOR: Duration = Duration::from_secs(120);

/// URIs that are remembered for that. One that is not merely makes requests
/// wait for each other once.
const UNSHARED_MAX: usize = 4096;

/// The responses of upstreams that are stored.
#[derive(Debug)]
pub(crate) struct Shelf {
    cache: Arc<Cache>,
    /// Held while the variants of a URI are exchanged for others.
    writing: Mutex<()>,
    turns: AtomicU64,
    changes: Changes,
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
}

impl Shelf {
    pub(crate) fn new(cache: Arc<Cache>) -> Self {
        let (writing, turns) = (Mutex::default(), AtomicU64::new(1));
        Self { cache, writing, turns, changes: Changes::default(), unshared: Mutex::default() }
    }

    /// The next turn: later than all that were given.
    pub(crate) fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::AcqRel)
    }

    /// What is stored for a request that is forwarded with these fields.
    pub(crate) fn find(&self, key: &PageKey, forwarded: &HeaderMap) -> Found {
        let mut found = Found::default();
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

    /// The usable parts that are stored for the requests that `head` answers.
    pub(crate) fn parts_beside(&self, key: &PageKey, head: &PageHead) -> Vec<Arc<StoredPage>> {
        let Some(variants) = self.cache.pages(&place(key)) else { return Vec::new() };
        let part = |page: &&Arc<StoredPage>| {
            let usable = self.cache.epochs.usable(page.head.fill_epoch);
            page.head.part.is_some() && page.head.is_beside(head) && usable
        };
        variants.kept.iter().filter(part).cloned().collect()
    }

    /// Stores a response. Tells whether it is stored.
    pub(crate) fn put(&self, key: &PageKey, page: Arc<StoredPage>) -> bool {
        let change = |variants: &Variants| match page.head.turn < self.not_before(key) {
            true => None,
            false => variants.with(Arc::clone(&page)),
        };
        let write = |generation| recall::write_behind(&self.cache, key, generation, &page);
        self.change(key, change, write)
    }

    /// Keeps in memory a response that was found on disk, unless what is there
    /// is of another generation.
    pub(crate) fn put_recalled(
        &self,
        key: &PageKey,
        generation: u64,
        page: Arc<StoredPage>,
    ) -> bool {
        let change = |there: &Variants| {
            let changed = self.changes.newest(&key.digest());
            // It has a turn of now, and may be of before.
            let late = page.head.turn < changed.turn || page.head.exchange.requested <= changed.at;
            // Where there is nothing any more, memory has forgotten its generation.
            let same = there.generation == generation || there.kept.is_empty();
            let (kept, overhead) = (there.kept.clone(), there.overhead);
            let found = Variants { kept, generation, overhead };
            if late || !same { None } else { found.with(page) }
        };
        self.change(key, change, |_| {})
    }

    /// Stores a response no longer.
    pub(crate) fn forget(&self, key: &PageKey, page: &Arc<StoredPage>) {
        let remove = |generation| {
            if let Some(disk) = &self.cache.disk {
                disk.forget_behind(SavedRule::key_of(key, generation, &page.head.selection));
            }
        };
        self.change(key, |variants| Some(variants.without(page)), remove);
    }

    /// Makes unusable what is stored for a URI, and what was asked for before.
    /// On disk, it is when [`Shelf::forget_saved`] returns. Tells whether there
    /// was anything in memory.
    pub(crate) fn empty(&self, key: &PageKey, now: SystemTime) -> bool {
        self.changes.note(key.digest(), Changed { turn: self.turn(), at: now });
        let mut known = false;
        let emptied = |variants: &Variants| {
            known = !variants.kept.is_empty();
            Some(Variants { kept: Vec::new(), ..*variants })
        };
        self.change(key, emptied, |_| {});
        known
    }

    /// The turn of the newest request that may have changed what is at a URI.
    /// What was asked for before is not stored.
    pub(crate) fn not_before(&self, key: &PageKey) -> u64 {
        self.changes.newest(&key.digest()).turn
    }

    pub(super) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Exchanges the variants of a URI for others, and then does the same on
    /// disk, where their generation leads to them. In one order for both: what
    /// was made unusable is not written again behind that.
    fn change(
        &self,
        key: &PageKey,
        change: impl FnOnce(&Variants) -> Option<Variants>,
        on_disk: impl FnOnce(u64),
    ) -> bool {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let place = place(key);
        let there = self.cache.pages(&place);
        let (overhead, generation) = (key.bytes(), fastrand::u64(..));
        let empty = Variants { overhead, generation, ..Variants::default() };
        let changed = change(there.as_deref().unwrap_or(&empty));
        let stored = changed.is_some();
        if let Some(changed) = changed {
            let generation = changed.generation;
            self.cache.put_pages(place, Arc::new(changed));
            on_disk(generation);
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

    /// How the upstream failed a moment ago, when it was asked for this URI.
    /// `Throttled`: it answered that it cannot.
    pub(crate) fn failed(&self, key: &PageKey, now: SystemTime) -> Option<Fault> {
        match self.cache.lookup(&place(key), now) {
            Known::Refused(Why::Failed(fault)) => Some(fault),
            _ => None,
        }
    }

    /// Remembers for a moment that the upstream failed.
    pub(crate) fn note_failed(&self, sortie: &Sortie, fault: Fault, now: SystemTime) {
        if fault.is_of_origin() {
            let why = Why::Failed(fault);
            self.cache.put_refusal(place(&sortie.key), sortie.epoch, now, why);
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
