//! A store in front of another that notes every call, and makes one of them
//! fail, wait, or never return.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use awning::store::memory::MemoryStore;
use awning::store::{
    GetOutcome, GetRequest, ListPage, ObjectHead, ObjectHeaders, ObjectRead, ObjectWrite,
    Operation, Part, PutCondition, PutReceipt, StoreError, StoreErrorKind, Unfinished, UploadPage,
    VersionCursor, VersionPage,
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
    /// So many of a hundred calls that store something of an asset fail like this.
    Storm(u64, StoreErrorKind),
    /// The part with this number is acknowledged once, and not stored.
    LosePart(u32),
    /// Parts with greater numbers never return.
    HangParts(u32),
    /// Unfinished uploads are listed without saying when they were begun.
    UndatedUploads,
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
    lost: AtomicBool,
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
            lost: AtomicBool::new(false),
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
            Fault::Storm(percent, kind)
                if is_write(operation) && key.contains("/a/") && dice(number) < percent =>
            {
                Err(StoreError::new(operation, key, kind, "injected"))
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
        Operation::Begin => "BEGIN",
        Operation::PutPart => "PART",
        Operation::ListParts => "PARTS",
        Operation::Complete => "COMPLETE",
        Operation::Abort => "ABORT",
        Operation::ListUploads => "UPLOADS",
    }
}

fn is_write(operation: Operation) -> bool {
    matches!(operation, Operation::Put | Operation::PutPart)
}

/// A number below 100 that looks like luck, and is the same in every run.
fn dice(number: usize) -> u64 {
    let mut mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)) % 100
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

    fn put_if<'a>(
        &'a self,
        key: &'a str,
        body: Bytes,
        headers: &'a ObjectHeaders,
        condition: PutCondition,
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        let text = format!("{key} if {condition:?}");
        let effect = self.inner.put_if(key, body, headers, condition);
        async move { self.call(Operation::Put, &text, effect).await }.boxed()
    }

    fn begin_upload<'a>(
        &'a self,
        key: &'a str,
        headers: &'a ObjectHeaders,
    ) -> BoxFuture<'a, Result<String, StoreError>> {
        self.call(Operation::Begin, key, self.inner.begin_upload(key, headers)).boxed()
    }

    fn put_part<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
        number: u32,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Part, StoreError>> {
        let effect = async move {
            if matches!(self.fault, Fault::HangParts(last) if number > last) {
                return self.hang().await;
            }
            let lost = matches!(self.fault, Fault::LosePart(lost) if lost == number);
            let first = lost && !self.lost.swap(true, Ordering::SeqCst);
            if first {
                // Another upload gets it, so that there is an answer.
                let scratch = self.inner.begin_upload("scratch", &ObjectHeaders::default()).await?;
                let part = self.inner.put_part("scratch", &scratch, number, body).await;
                self.inner.abort_upload("scratch", &scratch).await?;
                return part;
            }
            self.inner.put_part(key, upload, number, body).await
        };
        self.call(Operation::PutPart, key, effect).boxed()
    }

    fn list_parts<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Part>, StoreError>> {
        self.call(Operation::ListParts, key, self.inner.list_parts(key, upload)).boxed()
    }

    fn complete_upload<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
        parts: &'a [Part],
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        let effect = self.inner.complete_upload(key, upload, parts);
        self.call(Operation::Complete, key, effect).boxed()
    }

    fn abort_upload<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.call(Operation::Abort, key, self.inner.abort_upload(key, upload)).boxed()
    }

    fn list_uploads<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Unfinished>,
    ) -> BoxFuture<'a, Result<UploadPage, StoreError>> {
        let effect = async move {
            let mut page = self.inner.list_uploads(prefix, after).await?;
            if matches!(self.fault, Fault::UndatedUploads) {
                page.uploads.iter_mut().for_each(|upload| upload.begun = None);
            }
            Ok(page)
        };
        self.call(Operation::ListUploads, prefix, effect).boxed()
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
