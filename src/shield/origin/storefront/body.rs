//! Bodies on their way through a forward, and what hangs on them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use metrics::Counter;
use tokio::sync::OwnedSemaphorePermit;

use crate::shield::body::{BoxError, RequestBody, ResponseBody};
use crate::shield::silence::Silence;

/// A request's body: every piece that the upstream takes breaks the silence
/// in which it is waited for.
pub(super) struct Sent {
    body: RequestBody,
    silence: Silence,
    broken: Broken,
}

/// Whether the visitor's side of a forward broke off.
#[derive(Clone, Default)]
pub(super) struct Broken(Arc<AtomicBool>);

impl Broken {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Sent {
    pub(super) fn new(body: RequestBody, silence: Silence) -> Self {
        Self { body, silence, broken: Broken::default() }
    }

    pub(super) fn broken(&self) -> Broken {
        self.broken.clone()
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.silence.broken();
        if matches!(frame, Some(Err(_))) {
            self.broken.0.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response's body, which holds its turn at the upstream until it is over.
pub(super) struct Held {
    body: ResponseBody,
    _turn: OwnedSemaphorePermit,
    bytes: Counter,
}

impl Held {
    pub(super) fn new(body: ResponseBody, turn: OwnedSemaphorePermit, bytes: Counter) -> Self {
        Self { body, _turn: turn, bytes }
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            self.bytes.increment(frame.data_ref().map_or(0, |bytes| bytes.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
