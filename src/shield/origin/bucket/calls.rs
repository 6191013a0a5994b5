//! Single calls to the bucket: guarded by the breaker, bounded in time, and
//! raced by a second one when the first is late.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use metrics::Counter;
use tokio::time::{Instant, sleep, timeout};

use super::hedge::Hedge;
use super::{fault, resume};
use crate::shield::metrics::Metrics;
use crate::shield::origin::Fault;
use crate::shield::origin::guard::Guard;
use crate::store::{GetOutcome, GetRequest, ObjectHead, ObjectRead, StoreError, StoreErrorKind};

/// How long the bucket may take until an object's head is there.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The calls that a shield makes for its visitors.
#[derive(Debug)]
pub(super) struct Calls {
    store: Arc<dyn ObjectRead>,
    guard: Guard,
    hedge: Mutex<Hedge>,
    fetches: Counter,
    hedges: Counter,
}

impl Calls {
    pub(super) fn new(store: Arc<dyn ObjectRead>, metrics: &Metrics) -> Self {
        let origin = [("origin", "bucket")];
        let hedges = metrics.counter("awning_origin_hedges_total", &origin);
        hedges.increment(0);
        Self {
            store,
            guard: Guard::of("bucket", Duration::ZERO, metrics),
            hedge: Mutex::default(),
            fetches: metrics.counter("awning_upstream_fetches_total", &origin),
            hedges,
        }
    }

    /// Asks for an object, or fails at once while the bucket is down. With
    /// `race`, which may give the place of a second call, that one is made
    /// when the first is late: the first answer counts, and the other call is
    /// cancelled.
    pub(super) async fn open<P>(
        &self,
        key: &str,
        request: GetRequest,
        race: impl FnOnce() -> Option<P>,
    ) -> Result<GetOutcome, Fault> {
        self.guard.admit()?;
        let began = Instant::now();
        let reading = timeout(HEAD_TIMEOUT, self.raced(key, request, race));
        let end = reading.await.map_err(|_| Fault::Timeout);
        let end = end.and_then(|answer| answer.map_err(|error| fault(&error)));
        self.guard.learn(&end);
        if matches!(end, Ok(_) | Err(Fault::NotFound)) {
            self.hedge().answered(began.elapsed());
        }
        end
    }

    /// Asks for the rest of an object. The caller bounds its time.
    pub(super) async fn get(&self, key: &str, request: GetRequest) -> Result<GetOutcome, Fault> {
        self.guard.admit()?;
        self.fetches.increment(1);
        let answer = self.store.get(key, request).await;
        let end = answer.map_err(|error| resume::of_rest(&error));
        self.guard.learn(&end);
        end
    }

    /// What the bucket knows of an object.
    pub(super) async fn head(&self, key: &str) -> Result<ObjectHead, Fault> {
        self.guard.admit()?;
        self.fetches.increment(1);
        let reading = timeout(HEAD_TIMEOUT, self.store.head(key));
        let end = reading.await.map_err(|_| Fault::Timeout);
        let end = end.and_then(|answer| answer.map_err(|error| fault(&error)));
        self.guard.learn(&end);
        end
    }

    async fn raced<P>(
        &self,
        key: &str,
        request: GetRequest,
        race: impl FnOnce() -> Option<P>,
    ) -> Result<GetOutcome, StoreError> {
        self.fetches.increment(1);
        let late = self.hedge().begin();
        let first = self.store.get(key, request.clone());
        let Some(late) = late else { return first.await };
        let first = match select(first, Box::pin(sleep(late))).await {
            Either::Left((answer, _)) => return answer,
            Either::Right(((), first)) => first,
        };
        // One that fails already is not asked twice.
        let place = if self.guard.is_failing() { None } else { race() };
        let Some(_place) = place.filter(|_| self.hedge().take()) else { return first.await };
        self.fetches.increment(1);
        self.hedges.increment(1);
        // Who fails leaves it to the other; that there is nothing is no failure.
        match select(first, self.store.get(key, request)).await {
            Either::Left((Err(error), other)) if !is_answer(&error) => other.await,
            Either::Right((Err(error), other)) if !is_answer(&error) => other.await,
            Either::Left((answer, _)) | Either::Right((answer, _)) => answer,
        }
    }

    fn hedge(&self) -> MutexGuard<'_, Hedge> {
        self.hedge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_answer(error: &StoreError) -> bool {
    matches!(error.kind(), StoreErrorKind::NotFound | StoreErrorKind::Precondition)
}
