//! A store in front of another that counts calls by the class in which B2
//! meters them.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Serialize;

use super::{
    GetOutcome, GetRequest, ListPage, ObjectHead, ObjectHeaders, ObjectRead, ObjectWrite, Part,
    PutCondition, PutReceipt, StoreError, Unfinished, UploadPage, VersionCursor, VersionPage,
};

/// A store that counts. Calls are counted when they begin, whatever they come to.
#[derive(Debug)]
pub struct Counted<'a> {
    inner: &'a dyn ObjectWrite,
    a: AtomicU64,
    b: AtomicU64,
    c: AtomicU64,
}

/// Calls by B2's transaction classes. What a client does again on its own is
/// one call.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Calls {
    /// Class A: uploads and deletions.
    pub a: u64,
    /// Class B: reads of objects and of their heads.
    pub b: u64,
    /// Class C: listings.
    pub c: u64,
}

impl<'a> Counted<'a> {
    /// Counts what goes to `inner` from now on.
    pub fn new(inner: &'a dyn ObjectWrite) -> Self {
        Self { inner, a: AtomicU64::new(0), b: AtomicU64::new(0), c: AtomicU64::new(0) }
    }

    /// The calls so far.
    pub fn calls(&self) -> Calls {
        let count = |class: &AtomicU64| class.load(Ordering::Relaxed);
        Calls { a: count(&self.a), b: count(&self.b), c: count(&self.c) }
    }
}

impl Calls {
    /// All calls.
    pub fn total(&self) -> u64 {
        self.a + self.b + self.c
    }
}

impl ObjectRead for Counted<'_> {
    fn get<'a>(
        &'a self,
        key: &'a str,
        request: GetRequest,
    ) -> BoxFuture<'a, Result<GetOutcome, StoreError>> {
        self.b.fetch_add(1, Ordering::Relaxed);
        self.inner.get(key, request)
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<ObjectHead, StoreError>> {
        self.b.fetch_add(1, Ordering::Relaxed);
        self.inner.head(key)
    }
}

impl ObjectWrite for Counted<'_> {
    fn put<'a>(
        &'a self,
        key: &'a str,
        body: Bytes,
        headers: &'a ObjectHeaders,
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        self.a.fetch_add(1, Ordering::Relaxed);
        self.inner.put(key, body, headers)
    }

    fn put_now<'a>(
        &'a self,
        key: &'a str,
        body: Bytes,
        headers: &'a ObjectHeaders,
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        self.a.fetch_add(1, Ordering::Relaxed);
        self.inner.put_now(key, body, headers)
    }

    fn put_if<'a>(
        &'a self,
        key: &'a str,
        body: Bytes,
        headers: &'a ObjectHeaders,
        condition: PutCondition,
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        self.a.fetch_add(1, Ordering::Relaxed);
        self.inner.put_if(key, body, headers, condition)
    }

    fn begin_upload<'a>(
        &'a self,
        key: &'a str,
        headers: &'a ObjectHeaders,
    ) -> BoxFuture<'a, Result<String, StoreError>> {
        self.a.fetch_add(1, Ordering::Relaxed);
        self.inner.begin_upload(key, headers)
    }

    fn put_part<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
        number: u32,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Part, StoreError>> {
        self.a.fetch_add(1, Ordering::Relaxed);
        self.inner.put_part(key, upload, number, body)
    }

    fn list_parts<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Part>, StoreError>> {
        self.c.fetch_add(1, Ordering::Relaxed);
        self.inner.list_parts(key, upload)
    }

    fn complete_upload<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
        parts: &'a [Part],
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        self.a.fetch_add(1, Ordering::Relaxed);
        self.inner.complete_upload(key, upload, parts)
    }

    fn abort_upload<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.a.fetch_add(1, Ordering::Relaxed);
        self.inner.abort_upload(key, upload)
    }

    fn list_uploads<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Unfinished>,
    ) -> BoxFuture<'a, Result<UploadPage, StoreError>> {
        self.c.fetch_add(1, Ordering::Relaxed);
        self.inner.list_uploads(prefix, after)
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ListPage, StoreError>> {
        self.c.fetch_add(1, Ordering::Relaxed);
        self.inner.list(prefix, after)
    }

    fn list_versions<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a VersionCursor>,
    ) -> BoxFuture<'a, Result<VersionPage, StoreError>> {
        self.c.fetch_add(1, Ordering::Relaxed);
        self.inner.list_versions(prefix, after)
    }

    fn delete<'a>(
        &'a self,
        key: &'a str,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.a.fetch_add(1, Ordering::Relaxed);
        self.inner.delete(key, version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn calls_are_counted_by_class_whatever_they_come_to() {
        let memory = MemoryStore::default();
        let store = Counted::new(&memory);
        store.put("k", Bytes::from("v"), &ObjectHeaders::default()).await.unwrap();
        store.get("k", GetRequest::default()).await.unwrap();
        store.head("absent").await.unwrap_err();
        store.list("", None).await.unwrap();
        store.delete("k", None).await.unwrap();
        assert_eq!(store.calls(), Calls { a: 2, b: 2, c: 1 });
        assert_eq!(store.calls().total(), 5);
    }
}
