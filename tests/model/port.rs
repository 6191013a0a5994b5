//! The store as one actor sees it: every call waits until the scheduler has
//! given it an answer.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{self, Future};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use awning::store::{
    GetOutcome, GetRequest, ListPage, Object, ObjectHead, ObjectHeaders, ObjectRead, ObjectWrite,
    Operation, Part, PutCondition, PutReceipt, StoreError, StoreErrorKind, Unfinished, UploadPage,
    VersionCursor, VersionPage,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::bucket::{Answer, Call};

/// The calls of one actor that wait for an answer.
#[derive(Clone, Default)]
pub(super) struct Port(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    next: u64,
    calls: BTreeMap<u64, Asked>,
}

struct Asked {
    call: Call,
    answer: Option<Result<Answer, StoreError>>,
    waker: Waker,
}

impl Port {
    /// Names of the calls that have no answer yet, in the order of asking.
    pub(super) fn open(&self) -> Vec<u64> {
        let waiting = self.0.lock().unwrap();
        let open = waiting.calls.iter().filter(|(_, asked)| asked.answer.is_none());
        open.map(|(name, _)| *name).collect()
    }

    pub(super) fn call(&self, name: u64) -> Call {
        self.0.lock().unwrap().calls[&name].call.clone()
    }

    pub(super) fn answer(&self, name: u64, answer: Result<Answer, StoreError>) {
        let mut waiting = self.0.lock().unwrap();
        let asked = waiting.calls.get_mut(&name).unwrap();
        asked.answer = Some(answer);
        asked.waker.wake_by_ref();
    }

    fn ask(&self, call: Call) -> Asking {
        Asking { port: self.clone(), call: Some(call), name: 0 }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Port")
    }
}

/// A call until it is answered.
struct Asking {
    port: Port,
    call: Option<Call>,
    name: u64,
}

impl Future for Asking {
    type Output = Result<Answer, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let port = self.port.clone();
        let mut waiting = port.0.lock().unwrap();
        if let Some(call) = self.call.take() {
            waiting.next += 1;
            self.name = waiting.next;
            let asked = Asked { call, answer: None, waker: context.waker().clone() };
            waiting.calls.insert(self.name, asked);
            return Poll::Pending;
        }
        let asked = waiting.calls.get_mut(&self.name).unwrap();
        match asked.answer.take() {
            Some(answer) => {
                waiting.calls.remove(&self.name);
                Poll::Ready(answer)
            }
            None => {
                asked.waker.clone_from(context.waker());
                Poll::Pending
            }
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.port.0.lock().unwrap().calls.remove(&self.name);
    }
}

/// What small trees never need, and B2 partly has not: uploads in parts, and
/// writes on condition.
fn refused<T: Send + 'static>(
    operation: Operation,
    key: &str,
) -> BoxFuture<'static, Result<T, StoreError>> {
    let error = StoreError::new(operation, key, StoreErrorKind::Rejected, "not implemented");
    future::ready(Err(error)).boxed()
}

impl ObjectRead for Port {
    fn get<'a>(
        &'a self,
        key: &'a str,
        request: GetRequest,
    ) -> BoxFuture<'a, Result<GetOutcome, StoreError>> {
        assert_eq!(request, GetRequest::default(), "the model reads whole objects");
        async move {
            let Answer::Object(head, body) = self.ask(Call::Get(key.to_owned())).await? else {
                panic!("a read of `{key}` has another answer")
            };
            let body = stream::iter([Ok(body)]).boxed();
            Ok(GetOutcome::Found(Object { head, body, part: None }))
        }
        .boxed()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<ObjectHead, StoreError>> {
        async move {
            match self.ask(Call::Head(key.to_owned())).await? {
                Answer::Object(head, _) => Ok(head),
                other => panic!("a look-up of `{key}` is answered {other:?}"),
            }
        }
        .boxed()
    }
}

impl ObjectWrite for Port {
    fn put<'a>(
        &'a self,
        key: &'a str,
        body: Bytes,
        headers: &'a ObjectHeaders,
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        async move {
            match self.ask(Call::Put(key.to_owned(), body, headers.clone())).await? {
                Answer::Receipt(receipt) => Ok(receipt),
                other => panic!("a write of `{key}` is answered {other:?}"),
            }
        }
        .boxed()
    }

    fn put_if<'a>(
        &'a self,
        key: &'a str,
        _: Bytes,
        _: &'a ObjectHeaders,
        _: PutCondition,
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        refused(Operation::Put, key)
    }

    fn begin_upload<'a>(
        &'a self,
        key: &'a str,
        _: &'a ObjectHeaders,
    ) -> BoxFuture<'a, Result<String, StoreError>> {
        refused(Operation::Put, key)
    }

    fn put_part<'a>(
        &'a self,
        key: &'a str,
        _: &'a str,
        _: u32,
        _: Bytes,
    ) -> BoxFuture<'a, Result<Part, StoreError>> {
        refused(Operation::Put, key)
    }

    fn list_parts<'a>(
        &'a self,
        key: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Part>, StoreError>> {
        refused(Operation::List, key)
    }

    fn complete_upload<'a>(
        &'a self,
        key: &'a str,
        _: &'a str,
        _: &'a [Part],
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        refused(Operation::Put, key)
    }

    fn abort_upload<'a>(
        &'a self,
        key: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        refused(Operation::Delete, key)
    }

    fn list_uploads<'a>(
        &'a self,
        prefix: &'a str,
        _: Option<&'a Unfinished>,
    ) -> BoxFuture<'a, Result<UploadPage, StoreError>> {
        let kind = StoreErrorKind::Unsupported;
        let error = StoreError::new(Operation::ListUploads, prefix, kind, "not implemented");
        future::ready(Err(error)).boxed()
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ListPage, StoreError>> {
        async move {
            match self.ask(Call::List(prefix.to_owned(), after.map(str::to_owned))).await? {
                Answer::Page(page) => Ok(page),
                other => panic!("a listing of `{prefix}` is answered {other:?}"),
            }
        }
        .boxed()
    }

    fn list_versions<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a VersionCursor>,
    ) -> BoxFuture<'a, Result<VersionPage, StoreError>> {
        async move {
            match self.ask(Call::Versions(prefix.to_owned(), after.cloned())).await? {
                Answer::Versions(page) => Ok(page),
                other => panic!("a listing of `{prefix}` is answered {other:?}"),
            }
        }
        .boxed()
    }

    fn delete<'a>(
        &'a self,
        key: &'a str,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            self.ask(Call::Delete(key.to_owned(), version.map(str::to_owned))).await.map(drop)
        }
        .boxed()
    }
}
