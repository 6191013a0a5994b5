//! A bucket that is read with other credentials from some moment on, while
//! those who read it keep what they were given.

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{GetOutcome, GetRequest, ObjectHead, ObjectRead, StoreError};

/// One bucket, through the connection that was put here last.
#[derive(Debug)]
pub struct Renewable {
    connection: ArcSwap<Arc<dyn ObjectRead>>,
}

impl Renewable {
    /// Reads through `connection`.
    pub fn new(connection: Arc<dyn ObjectRead>) -> Self {
        Self { connection: ArcSwap::from_pointee(connection) }
    }

    /// Reads that begin from now on go through `connection`, which must be to
    /// the same bucket: what was read of it before counts on.
    pub fn renew(&self, connection: Arc<dyn ObjectRead>) {
        self.connection.store(Arc::new(connection));
    }
}

impl ObjectRead for Renewable {
    fn get<'a>(
        &'a self,
        key: &'a str,
        request: GetRequest,
    ) -> BoxFuture<'a, Result<GetOutcome, StoreError>> {
        async move { self.connection.load_full().get(key, request).await }.boxed()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<ObjectHead, StoreError>> {
        async move { self.connection.load_full().head(key).await }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::memory::MemoryStore;
    use crate::store::{ObjectHeaders, ObjectWrite as _};

    #[tokio::test]
    async fn reads_go_through_the_connection_that_was_put_last() {
        let [old, new] = [(); 2].map(|()| Arc::new(MemoryStore::new(Clock::System)));
        old.put("a", "old".into(), &ObjectHeaders::default()).await.unwrap();
        new.put("a", "newer".into(), &ObjectHeaders::default()).await.unwrap();
        let store = Renewable::new(old);
        assert_eq!(store.head("a").await.unwrap().size, 3);
        store.renew(new);
        assert_eq!(store.head("a").await.unwrap().size, 5);
        let GetOutcome::Found(object) = store.get("a", GetRequest::default()).await.unwrap() else {
            panic!("it is there");
        };
        assert_eq!(object.collect("a", 9).await.unwrap(), "newer");
    }
}
