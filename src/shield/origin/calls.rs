//! Every call to the bucket, counted by its B2 class on the way.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use metrics::Counter;

use crate::shield::metrics::Metrics;
use crate::store::{GetOutcome, GetRequest, ObjectHead, ObjectRead, StoreError};

/// A bucket whose calls are counted. All that a shield can do is read, and
/// reads are of class B.
#[derive(Debug)]
pub(crate) struct Calls {
    store: Arc<dyn ObjectRead>,
    reads: Counter,
}

impl Calls {
    /// Counts the calls to `store`.
    pub(crate) fn to(store: Arc<dyn ObjectRead>, metrics: &Metrics) -> Arc<dyn ObjectRead> {
        let reads = metrics.counter("awning_store_calls_total", &[("class", "B")]);
        Arc::new(Self { store, reads })
    }
}

impl ObjectRead for Calls {
    fn get<'a>(
        &'a self,
        key: &'a str,
        request: GetRequest,
    ) -> BoxFuture<'a, Result<GetOutcome, StoreError>> {
        self.reads.increment(1);
        self.store.get(key, request)
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<ObjectHead, StoreError>> {
        self.reads.increment(1);
        self.store.head(key)
    }
}
