//! The memory tier: a map that evicts by use, weighed in bytes.
//!
//! Nothing in it expires; whether a response may be used is decided at lookup.

use std::sync::{Arc, Mutex, PoisonError};

use metrics::Gauge;
use moka::sync::Cache;

use super::key::CacheKey;
use super::stored::StoredResponse;
use crate::shield::metrics::Metrics;
use crate::shield::pages::Variants;

/// Stored responses by key.
#[derive(Debug)]
pub(crate) struct Memory {
    responses: Cache<CacheKey, Arc<Slot>>,
    bytes: Gauge,
    count: Gauge,
}

/// The place of a response in the map, emptied when it is evicted. The map
/// itself may keep what it removed for as long as any thread of the process is
/// at work in any such map, and the bytes would stay taken all the while.
#[derive(Debug)]
struct Slot {
    weight: u32,
    kept: Mutex<Option<Kept>>,
}

#[derive(Clone, Debug)]
enum Kept {
    Object(Arc<StoredResponse>),
    Pages(Arc<Variants>),
}

impl Memory {
    /// A map of at most `bytes_max`, bodies and heads together.
    pub(crate) fn new(bytes_max: u64, metrics: &Metrics) -> Self {
        let responses = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_: &CacheKey, slot: &Arc<Slot>| slot.weight)
            .eviction_listener(|_, slot, _| slot.empty())
            .build();
        let tier = [("tier", "memory")];
        Self {
            responses,
            bytes: metrics.gauge("awning_cache_bytes", &tier),
            count: metrics.gauge("awning_cache_responses", &tier),
        }
    }

    pub(crate) fn get(&self, key: &CacheKey) -> Option<Arc<StoredResponse>> {
        match self.responses.get(key)?.kept()? {
            Kept::Object(stored) => Some(stored),
            Kept::Pages(_) => None,
        }
    }

    /// The responses of an upstream that are stored for one URI.
    pub(crate) fn pages(&self, key: &CacheKey) -> Option<Arc<Variants>> {
        match self.responses.get(key)?.kept()? {
            Kept::Pages(variants) => Some(variants),
            Kept::Object(_) => None,
        }
    }

    /// Stores the responses of an upstream for one URI in place of those that
    /// were stored. Who does so sees to their order.
    pub(crate) fn put_pages(&self, key: CacheKey, variants: Arc<Variants>) {
        if variants.kept.is_empty() {
            drop(self.responses.remove(&key));
        } else {
            let slot = Slot::of(variants.weight(), Kept::Pages(variants));
            self.responses.insert(key, Arc::new(slot));
        }
        self.responses.run_pending_tasks();
        self.count_up();
    }

    /// Stores a response, unless one of a newer epoch is there: a fill that a
    /// purge overtook must not replace what was filled after the purge.
    pub(crate) fn put(&self, key: CacheKey, stored: Arc<StoredResponse>) {
        let newer = |there: &StoredResponse| there.fill_epoch > stored.fill_epoch;
        if !self.get(&key).is_some_and(|there| newer(&there)) {
            self.responses.insert(key, Arc::new(Slot::of(stored.weight(), Kept::Object(stored))));
        }
        // Evicts now: the bytes of what is evicted belong to the next fill.
        self.responses.run_pending_tasks();
        self.count_up();
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floats, exact up to 8 PiB")]
    fn count_up(&self) {
        self.bytes.set(self.responses.weighted_size() as f64);
        self.count.set(self.responses.entry_count() as f64);
    }
}

impl Slot {
    fn of(weight: u64, kept: Kept) -> Self {
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        Self { weight, kept: Mutex::new(Some(kept)) }
    }

    fn kept(&self) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn empty(&self) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Not under the lock: this may give back memory, and wake who waits for it.
        drop(kept);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::{Duration, UNIX_EPOCH};

    use bytes::Bytes;
    use http::HeaderValue;

    use super::super::budget::{Budget, UNIT_BYTES};
    use super::*;
    use crate::asset::{Digest, ObjectKey};
    use crate::semantics::validator::EntityTag;
    use crate::shield::cache::{Epoch, Head};

    fn stored(body: Bytes) -> StoredResponse {
        let object = Digest::of(&body);
        let head = Head {
            content_type: HeaderValue::from_static("text/css"),
            content_encoding: None,
            content_disposition: None,
            content_language: None,
            tag: EntityTag { content: object.fingerprint(), coding: None },
            modified: None,
            size: body.len() as u64,
        };
        let (pieces, fill_epoch) = (Box::from([body]), Epoch::default());
        StoredResponse::new(head, object, pieces, fill_epoch, UNIX_EPOCH)
    }

    /// A key whose comparison waits, in the middle of a map's work.
    struct Stopped(Option<Gate>);

    struct Gate {
        reached: Sender<()>,
        opened: Mutex<Receiver<()>>,
    }

    impl std::hash::Hash for Stopped {
        fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
    }

    impl PartialEq for Stopped {
        fn eq(&self, other: &Self) -> bool {
            for gate in [&self.0, &other.0].into_iter().flatten() {
                let _ = gate.reached.send(());
                let _ = gate.opened.lock().unwrap().recv();
            }
            true
        }
    }

    impl Eq for Stopped {}

    #[tokio::test]
    async fn what_is_evicted_gives_back_its_bytes_whatever_other_threads_do() {
        let other = Cache::new(8);
        other.insert(Stopped(None), ());
        let ((tell, reached), (release, opened)) = (channel(), channel());
        let stopped = std::thread::spawn(move || {
            other.get(&Stopped(Some(Gate { reached: tell, opened: Mutex::new(opened) })));
        });
        reached.recv().unwrap();

        let metrics = Metrics::default();
        let budget = Budget::new(64 * UNIT_BYTES, &metrics);
        let memory = Memory::new(8 * UNIT_BYTES, &metrics);
        for number in 0..100 {
            let share = budget.reserve(UNIT_BYTES, Duration::ZERO).await;
            let share = Arc::new(share.unwrap_or_else(|| panic!("no room for {number}")));
            let body = share.keep(vec![0]);
            drop(share);
            let key = CacheKey::Object(ObjectKey::parse(&format!("a/{number}.bin")).unwrap());
            memory.put(key, Arc::new(stored(body)));
        }
        drop(release);
        stopped.join().unwrap();
    }
}
