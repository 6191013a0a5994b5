//! One connection, from its first byte to its last: hyper speaks the protocol,
//! and the vigil decides when it took too long.

use std::convert::Infallible;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use metrics::Counter;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answering::Answering;
use super::arrival::Secure;
use super::framed::{Fault, Framed, Word};
use super::framing::HeadLimits;
use super::in_flight::{Counted, InFlight};
use super::roster::Slot;
use super::socket::Abandon;
use super::streams::Streams;
use super::tunnel::Tunnel;
use super::vigil::Overdue;
use super::watched::Watched;
use crate::semantics::cache_status::CacheStatus;
use crate::shield::body::{RequestBody, ResponseBody, empty};
use crate::shield::config::Limits;
use crate::shield::gate::Refusal;
use crate::shield::respond::neutral;

/// hyper refuses to work with a smaller buffer.
const BUFFER_MIN: usize = 8 * 1024;
/// Concurrent requests on an HTTP/2 connection.
const STREAMS_MAX: u32 = 100;
/// Bytes of an HTTP/2 header list.
const HEADER_LIST_MAX: u32 = 16 * 1024;
/// Bytes of a request body, and of a response, that wait on an HTTP/2 stream.
const STREAM_WINDOW: u32 = 64 * 1024;
/// How old a connection gets before it is asked to end with its next response:
/// so a change of addresses, or of a certificate, reaches everybody.
pub(super) const AGE_MAX: Duration = Duration::from_secs(3600);
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Tells connections that the listener shuts down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endings {
    /// Requests in progress are finished, and no others are taken.
    pub(crate) graceful: CancellationToken,
    /// Another process accepts from now on. Nothing is cut off: connections
    /// end behind their next response, or when they are idle.
    pub(crate) leaving: CancellationToken,
    /// Whatever is left is broken off.
    pub(crate) abrupt: CancellationToken,
    /// The connections and tunnels that are still there.
    pub(crate) tasks: TaskTracker,
}

impl Endings {
    /// Whether an HTTP/1 connection ends behind its next response.
    fn end_soon(&self) -> bool {
        self.graceful.is_cancelled() || self.leaving.is_cancelled()
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// By either side, as the protocol has it, or by an error of the peer.
    Closed,
    /// Behind a head that was refused.
    Refused(Refusal),
    /// The peer was too slow.
    Overdue(Overdue),
    /// It had to make room for another one.
    Shed,
    /// The listener's time to shut down was over.
    Aborted,
    /// What the peer sent was broken off.
    Faulty(Fault),
}

/// The protocol settings of a listener.
#[derive(Debug)]
pub(crate) struct Protocol {
    limits: Limits,
    head: HeadLimits,
    /// Streams that were ended because nobody read them.
    stopped: Counter,
}

/// The protocol that these limits make. Streams that are ended because nobody
/// reads them are counted as `stopped`.
pub(crate) fn protocol(limits: &Limits, stopped: Counter) -> Protocol {
    let head =
        HeadLimits { bytes_max: limits.head_bytes_max, fields_max: limits.header_fields_max };
    Protocol { limits: limits.clone(), head, stopped }
}

/// What speaks the protocol on one connection, whose streams are `streams`.
fn builder(protocol: &Protocol, streams: Streams) -> auto::Builder<Streams> {
    let limits = &protocol.limits;
    let mut builder = auto::Builder::new(streams);
    builder
        .http1()
        // The vigil sees to that, with one timer for all heads of a connection.
        .header_read_timeout(None)
        // Somewhat more than the framing admits, which refuses in our words;
        // hyper closes the connection with a bare 431.
        .max_buf_size(limits.head_bytes_max.saturating_add(BUFFER_MIN))
        .max_headers(limits.header_fields_max.saturating_mul(2));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_LIST_MAX)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_send_buf_size(STREAM_WINDOW as usize);
    builder
}

/// Serves one connection until it ends.
pub(crate) async fn serve_connection<I, R>(
    io: I,
    slot: Slot,
    secure: Option<Secure>,
    router: R,
    protocol: &Protocol,
    endings: &Arc<Endings>,
) -> Ended
where
    I: AsyncRead + AsyncWrite + Abandon + Unpin + Send + 'static,
    R: Answering,
{
    let slot = Arc::new(slot);
    let vigil = slot.vigil();
    let cut = slot.cut().clone();
    let word = Arc::new(Word::default());
    let streams = Streams::default();
    let entrance = Entrance {
        router,
        slot: Arc::clone(&slot),
        secure,
        word: Arc::clone(&word),
        endings: Arc::clone(endings),
        streams: streams.clone(),
    };
    let io = Framed::new(Watched::new(io, slot), protocol.head, Arc::clone(&word));
    let io = TokioIo::new(io);
    let builder = builder(protocol, streams);
    let mut connection = pin!(builder.serve_connection_with_upgrades(io, entrance));
    let old = Instant::now() + AGE_MAX;
    let (mut draining, mut left) = (false, false);
    let next = |look, draining, left| event(endings, &cut, look, draining, left);
    // One at a time. It is here so that only its own wakers have it polled,
    // and not every byte that comes: it takes a lock for each thing it waits for.
    let mut events = FuturesUnordered::new();
    events.push(next(vigil.look_again(Instant::now()), draining, left));
    loop {
        let event = tokio::select! {
            // A request that has come is taken before anything ends.
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                if let Some(fault) = word.fault() {
                    return Ended::Faulty(fault);
                }
                return word.refusal().map_or(Ended::Closed, Ended::Refused);
            }
            Some(event) = events.next() => event,
        };
        let now = Instant::now();
        let ask_to_end = match event {
            Event::Look => {
                if let Some(overdue) = vigil.overdue(now) {
                    return Ended::Overdue(overdue);
                }
                protocol.stopped.increment(vigil.end_stopped(now));
                now >= old || (endings.leaving.is_cancelled() && vigil.is_multiplexed())
            }
            Event::Leaving => {
                left = true;
                // HTTP/2 says where it stops; HTTP/1 can only say so in a response.
                vigil.is_multiplexed()
            }
            Event::Ending => true,
            Event::Cut => return Ended::Shed,
            Event::Abort => return Ended::Aborted,
        };
        if ask_to_end && !draining {
            draining = true;
            connection.as_mut().graceful_shutdown();
        }
        events.push(next(vigil.look_again(now), draining, left));
    }
}

/// What can happen to a connection beside its bytes.
enum Event {
    /// A deadline may be over.
    Look,
    /// Another process accepts from now on.
    Leaving,
    /// The listener shuts down.
    Ending,
    /// Another connection needs the room.
    Cut,
    /// The time to end was over.
    Abort,
}

/// The next thing that happens, of what has not happened yet.
async fn event(
    endings: &Endings,
    cut: &CancellationToken,
    look: Instant,
    draining: bool,
    left: bool,
) -> Event {
    tokio::select! {
        biased;
        () = sleep_until(look) => Event::Look,
        () = endings.leaving.cancelled(), if !left => Event::Leaving,
        () = ending(&endings.graceful), if !draining => Event::Ending,
        () = cut.cancelled() => Event::Cut,
        () = endings.abrupt.cancelled() => Event::Abort,
    }
}

/// The listener shuts down. One more turn lets what has been sent until then be
/// read: its sender cannot know that nobody is there any more.
async fn ending(graceful: &CancellationToken) {
    graceful.cancelled().await;
    yield_now().await;
}

/// What hyper calls with each request of a connection.
struct Entrance<R> {
    router: R,
    slot: Arc<Slot>,
    secure: Option<Secure>,
    word: Arc<Word>,
    /// Shared, because each clone of a token takes a lock that all connections
    /// have in common.
    endings: Arc<Endings>,
    streams: Streams,
}

impl<R: Answering> Service<Request<Incoming>> for Entrance<R> {
    type Response = Response<Counted>;
    type Error = Infallible;
    type Future = Responding;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        let in_flight = InFlight::begin(&self.slot, version == Version::HTTP_2);
        if in_flight.multiplexed {
            in_flight.vigil.stream_began(in_flight.response, self.streams.next());
        }
        let refusal = self.word.refusal_at(request.uri().path());
        if let Some(refusal) = refusal.filter(|_| version < Version::HTTP_2) {
            return self.respond(ready(refused(refusal)), in_flight, version, false);
        }
        if let Some(secure) = &self.secure {
            request.extensions_mut().insert(secure.clone());
        }
        let upgrade = version == Version::HTTP_11 && request.headers().contains_key(UPGRADE);
        if upgrade {
            let tunnel = Tunnel::new(
                hyper::upgrade::on(&mut request),
                Arc::clone(&self.slot),
                self.endings.graceful.clone(),
                self.endings.tasks.clone(),
            );
            request.extensions_mut().insert(tunnel);
        }
        let answer = self.router.clone().answer(request.map(request_body), self.slot.peer());
        self.respond(answer, in_flight, version, upgrade)
    }
}

impl<R> Entrance<R> {
    /// The answer is boxed as it is: it is large, and whatever is built around
    /// it moves it once more.
    fn respond(
        &self,
        answer: impl Future<Output = Response<ResponseBody>> + Send + 'static,
        in_flight: InFlight,
        version: Version,
        upgrade: bool,
    ) -> Responding {
        let (word, endings) = (Arc::clone(&self.word), Arc::clone(&self.endings));
        let rest = Rest { in_flight, word, endings, version, upgrade };
        Responding { answer: Box::pin(answer), rest: Some(rest) }
    }
}

/// The response to one request, while it is made.
pub(crate) struct Responding {
    answer: BoxFuture<'static, Response<ResponseBody>>,
    rest: Option<Rest>,
}

/// What is still to be done with a response.
struct Rest {
    in_flight: InFlight,
    word: Arc<Word>,
    endings: Arc<Endings>,
    version: Version,
    upgrade: bool,
}

impl Future for Responding {
    type Output = Result<Response<Counted>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.answer.as_mut().poll(cx)));
        let response = ready!(polled.unwrap_or_else(|_| Poll::Ready(panicked())));
        // Nobody polls what is done.
        let Some(rest) = self.rest.take() else { return Poll::Pending };
        Poll::Ready(Ok(rest.finish(response)))
    }
}

impl Rest {
    fn finish(self, mut response: Response<ResponseBody>) -> Response<Counted> {
        let Self { in_flight, word, endings, version, upgrade } = self;
        let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if upgrade {
            word.answer(upgraded);
        }
        if endings.end_soon() && version < Version::HTTP_2 && !upgraded {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| in_flight.count(body))
    }
}

/// Most requests have no body, and then nothing is allocated for it.
fn request_body(body: Incoming) -> RequestBody {
    if body.is_end_stream() { empty() } else { body.map_err(Into::into).boxed_unsync() }
}

/// The answer in the place of a head that was not let through.
fn refused(refusal: Refusal) -> Response<ResponseBody> {
    let mut response = refusal.response(Version::HTTP_11);
    // Nothing behind it is read any more.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A bug met by one request is that request's alone.
fn panicked() -> Response<ResponseBody> {
    tracing::error!("a request met a bug and was answered with 500");
    neutral(StatusCode::INTERNAL_SERVER_ERROR, &CacheStatus::generated("bug"))
}
