//! Connections of the bucket, and what every answer carries.
//!
//! One HTTP/1.1 connection a task, as many as the limit allows; a connection
//! that says nothing for five seconds is closed, as B2 does.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, EXPECT, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::StdError;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use super::Bucket;
use super::protocol::Counted;

/// Most connections at once. Further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 512;

/// How long a connection may take for a request's header, idle time included.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a body may stand still while it arrives.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long requests under way may take after the shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of a refused upload is read so that its sender hears the answer.
const DRAIN_BYTES_MAX: usize = 64 * 1024 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait when the system has no connection to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where the counts of calls are read. Not a bucket name: those have three
/// characters or more.
const CALLS_PATH: &str = "/_/calls";

/// B2 forbids storing what was stored without a rule, and every error.
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("max-age=0, no-cache, no-store");

pub(super) async fn serve(bucket: Bucket, listener: TcpListener, shutdown: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &permits) => if let Some((stream, permit)) = accepted {
                connections.spawn(connection(bucket.clone(), stream, permit, shutdown.clone()));
            },
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, ended).await.is_err() {
        connections.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(%error, "the bucket cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(
    bucket: Bucket,
    stream: TcpStream,
    permit: OwnedSemaphorePermit,
    shutdown: CancellationToken,
) {
    // Small answers must not wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(|request| answer(&bucket, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the bucket broke off");
    }
    drop(permit);
}

async fn answer(
    bucket: &Bucket,
    request: Request<Incoming>,
) -> Result<Response<s3s::Body>, Infallible> {
    if request.method() == Method::GET && request.uri().path() == CALLS_PATH {
        return Ok(calls(bucket));
    }
    let waits = request.headers().contains_key(EXPECT);
    let (mut parts, body) = request.into_parts();
    let counted = Counted::default();
    parts.extensions.insert(counted.clone());
    let lent = Lent(Arc::new(Mutex::new(Arriving::new(body))));
    let body = s3s::Body::http_body(lent.clone());
    let mut response = bucket.protocol.answer(Request::from_parts(parts, body)).await;
    if !counted.is_set() {
        bucket.calls.count_refused();
    }
    if !response.status().is_success() && !waits {
        lent.drain().await;
    }
    dress(&mut response);
    Ok(response)
}

fn calls(bucket: &Bucket) -> Response<s3s::Body> {
    let json = serde_json::to_vec(&bucket.calls()).unwrap_or_default();
    let mut response = Response::new(s3s::Body::from(json));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, NO_STORE);
    response
}

/// Adds what B2 adds to every answer.
fn dress(response: &mut Response<s3s::Body>) {
    let status = response.status();
    if status == StatusCode::NOT_MODIFIED {
        *response.body_mut() = s3s::Body::empty();
        response.headers_mut().remove(CONTENT_TYPE);
    }
    let headers = response.headers_mut();
    if status.is_client_error() || status.is_server_error() {
        headers.insert(CACHE_CONTROL, NO_STORE);
    }
    headers.insert(HeaderName::from_static("keep-alive"), HeaderValue::from_static("timeout=5"));
}

/// The body of a request, lent to the protocol core, which may answer before
/// it has read all of it. A sender whose bytes nobody reads would see a reset
/// connection in place of the answer.
#[derive(Clone)]
struct Lent(Arc<Mutex<Arriving<Incoming>>>);

impl Lent {
    async fn drain(mut self) {
        let mut left = DRAIN_BYTES_MAX;
        let read = async {
            while let Some(Ok(frame)) = self.frame().await {
                let length = frame.data_ref().map_or(0, Bytes::len);
                left = left.saturating_sub(length);
                if left == 0 {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, read).await;
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}

/// A body that ends with an error when it stands still, so that a sender who
/// went silent does not hold its connection for ever.
struct Arriving<B> {
    body: B,
    /// Runs while bytes are waited for, and not while they are written to disk.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<B> Arriving<B> {
    fn new(body: B) -> Self {
        Self { body, patience: None }
    }
}

impl<B> Body for Arriving<B>
where
    B: Body<Data = Bytes, Error: Into<StdError>> + Unpin,
{
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.patience = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let wait = || Box::pin(tokio::time::sleep(BODY_TIMEOUT));
        let stalled = || Some(Err("the body stood still for too long".into()));
        let patience = self.patience.get_or_insert_with(wait);
        patience.as_mut().poll(cx).map(|()| stalled())
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};
    use http_body_util::StreamBody;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_ends_with_an_error() {
        let pause = BODY_TIMEOUT - Duration::from_secs(1);
        let frames = stream::iter(["slow", "but", "steady"]).then(move |text| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(text.as_bytes())))
        });
        let frames = Box::pin(frames.chain(stream::pending()));
        let mut body = Arriving::new(StreamBody::new(frames));
        for text in ["slow", "but", "steady"] {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), text);
        }
        let began = Instant::now();
        assert!(body.frame().await.unwrap().is_err());
        assert_eq!(began.elapsed(), BODY_TIMEOUT);
    }
}
