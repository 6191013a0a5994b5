//! The memory tier: a map that evicts by use, weighed in bytes.
//!
//! Nothing in it expires; whether a response may be used is decided at lookup.

use std::sync::Arc;

use metrics::Gauge;
use moka::sync::Cache;

use super::key::CacheKey;
use super::stored::StoredResponse;
use crate::shield::metrics::Metrics;

/// Stored responses by key.
#[derive(Debug)]
pub(crate) struct Memory {
    responses: Cache<CacheKey, Arc<StoredResponse>>,
    bytes: Gauge,
    count: Gauge,
}

impl Memory {
    /// A map of at most `bytes_max`, bodies and heads together.
    pub(crate) fn new(bytes_max: u64, metrics: &Metrics) -> Self {
        let weigh = |_: &CacheKey, stored: &Arc<StoredResponse>| {
            u32::try_from(stored.weight()).unwrap_or(u32::MAX)
        };
        let responses = Cache::builder().max_capacity(bytes_max).weigher(weigh).build();
        let tier = [("tier", "memory")];
        Self {
            responses,
            bytes: metrics.gauge("awning_cache_bytes", &tier),
            count: metrics.gauge("awning_cache_responses", &tier),
        }
    }

    pub(crate) fn get(&self, key: &CacheKey) -> Option<Arc<StoredResponse>> {
        self.responses.get(key)
    }

    /// Stores a response, unless one of a newer epoch is there: a fill that a
    /// purge overtook must not replace what was filled after the purge.
    pub(crate) fn put(&self, key: CacheKey, stored: Arc<StoredResponse>) {
        let newer = |there: &StoredResponse| there.fill_epoch > stored.fill_epoch;
        if !self.get(&key).is_some_and(|there| newer(&there)) {
            self.responses.insert(key, stored);
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
