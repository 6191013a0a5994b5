//! A store in front of another that notes every call, and makes one of them
//! fail, wait, or never return.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use awning::store::memory::MemoryStore;
use awning::store::{
    GetOutcome, GetRequest, ListPage, ObjectHead, ObjectHeaders, ObjectRead, ObjectWrite,
    Operation, PutReceipt, StoreError, StoreErrorKind, VersionCursor, VersionPage,
};
use bytes::Bytes;
use futures_util::future::{self, BoxFuture};
use futures_util::{Future, FutureExt as _};
use tokio::sync::Notify;

/// What goes wrong with the calls that [`Probe`] sees.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The call with this number, counted from 0, never returns and has no effect.
    HangBefore(usize),
    /// The call with this number takes effect but never returns.
    HangAfter(usize),
    /// The call with this number waits until it is let go.
    Wait(usize),
    /// The call with this number takes effect, but its caller is told it failed.
    FailAfter(usize),
    /// Calls of this operation whose key contains the text are refused.
    Refuse(Operation, &'static str, StoreErrorKind),
    /// Bytes put under keys that contain the text are stored damaged.
    Damage(&'static str),
    /// Objects get validators that are not their MD5, as where stores encrypt.
    OtherValidators,
    /// After each object whose key contains the text, the one that is made
    /// from the number of the call is stored as well.
    Follow(&'static str, fn(usize) -> (String, Bytes)),
}

/// A store in front of `inner`.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) inner: Arc<MemoryStore>,
    fault: Fault,
    versions: bool,
    calls: Mutex<Vec<String>>,
    next: AtomicUsize,
    reached: Notify,
    let_go: Notify,
}

impl Probe {
    pub(crate) fn new(inner: &Arc<MemoryStore>, fault: Fault) -> Self {
        Self {
            inner: Arc::clone(inner),
            fault,
            versions: true,
            calls: Mutex::default(),
            next: AtomicUsize::new(0),
            reached: Notify::new(),
            let_go: Notify::new(),
        }
    }

    /// The same over a store that has no versions: a delete deletes.
    pub(crate) fn without_versions(inner: &Arc<MemoryStore>, fault: Fault) -> Self {
        Self { versions: false, ..Self::new(inner, fault) }
    }

    /// All calls so far, as `PUT key`.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// Returns when the call that hangs or waits has come.
    pub(crate) async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Lets the waiting call go on.
    pub(crate) fn let_go(&self) {
        self.let_go.notify_one();
    }

    async fn call<T>(
        &self,
        operation: Operation,
        key: &str,
        effect: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        self.calls.lock().unwrap().push(format!("{} {key}", verb(operation)));
        match self.fault {
            Fault::HangBefore(at) if at == number => self.hang().await,
            Fault::HangAfter(at) if at == number => {
                let _ = effect.await;
                self.hang().await
            }
            Fault::FailAfter(at) if at == number => {
                let _ = effect.await;
                Err(StoreError::new(operation, key, StoreErrorKind::Unavailable, "injected"))
            }
            Fault::Wait(at) if at == number => {
                self.reached.notify_one();
                self.let_go.notified().await;
                effect.await
            }
            Fault::Refuse(refused, text, kind) if refused == operation && key.contains(text) => {
                Err(StoreError::new(operation, key, kind, "injected"))
            }
            _ => effect.await,
        }
    }

    async fn hang<T>(&self) -> T {
        self.reached.notify_one();
        future::pending().await
    }
}

fn verb(operation: Operation) -> &'static str {
    match operation {
        Operation::Get => "GET",
        Operation::Head => "HEAD",
        Operation::Put => "PUT",
        Operation::List => "LIST",
        Operation::Delete => "DELETE",
    }
}

impl ObjectRead for Probe {
    fn get<'a>(
        &'a self,
        key: &'a str,
        request: GetRequest,
    ) -> BoxFuture<'a, Result<GetOutcome, StoreError>> {
        self.call(Operation::Get, key, self.inner.get(key, request)).boxed()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<ObjectHead, StoreError>> {
        let effect = async move {
            let head = self.inner.head(key).await?;
            Ok(ObjectHead { version: head.version.filter(|_| self.versions), ..head })
        };
        self.call(Operation::Head, key, effect).boxed()
    }
}

impl ObjectWrite for Probe {
    fn put<'a>(
        &'a self,
        key: &'a str,
        mut body: Bytes,
        headers: &'a ObjectHeaders,
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        if matches!(self.fault, Fault::Damage(text) if key.contains(text)) {
            body = Bytes::from("damaged");
        }
        let effect = async move {
            let mut receipt = self.inner.put(key, body, headers).await?;
            match self.fault {
                Fault::OtherValidators => receipt.etag = Some("\"other\"".to_owned()),
                Fault::Follow(text, next) if key.contains(text) => {
                    let (key, body) = next(self.calls().len());
                    self.inner.put(&key, body, headers).await?;
                }
                _ => {}
            }
            receipt.version = receipt.version.filter(|_| self.versions);
            Ok(receipt)
        };
        self.call(Operation::Put, key, effect).boxed()
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ListPage, StoreError>> {
        self.call(Operation::List, prefix, self.inner.list(prefix, after)).boxed()
    }

    fn list_versions<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a VersionCursor>,
    ) -> BoxFuture<'a, Result<VersionPage, StoreError>> {
        if !self.versions {
            let unsupported = StoreError::new(
                Operation::List,
                prefix,
                StoreErrorKind::Unsupported,
                "no versions",
            );
            return self.call(Operation::List, prefix, future::err(unsupported)).boxed();
        }
        self.call(Operation::List, prefix, self.inner.list_versions(prefix, after)).boxed()
    }

    fn delete<'a>(
        &'a self,
        key: &'a str,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let effect = async move {
            if self.versions {
                return self.inner.delete(key, version).await;
            }
            for listed in self.inner.list_versions(key, None).await?.versions {
                if listed.key == key {
                    self.inner.delete(key, listed.version.as_deref()).await?;
                }
            }
            Ok(())
        };
        self.call(Operation::Delete, key, effect).boxed()
    }
}
