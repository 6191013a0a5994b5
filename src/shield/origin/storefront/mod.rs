//! A storefront's upstream: a streaming HTTP/1.1 forward.
//!
//! Bodies are streamed both ways and never held; redirects are the visitor's
//! to follow; only the configured upstream is ever connected to.

mod addresses;
mod body;
mod fault;
pub(crate) mod fields;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use url::Url;

pub use fault::StorefrontError;

use self::addresses::Addresses;
use self::body::{Held, Sent};
use super::Fault;
use super::guard::Guard;
use crate::semantics::cache_status::{CacheStatus, Forward};
use crate::shield::GatedRequest;
use crate::shield::body::{self as bodies, RequestBody, ResponseBody, Unstalled};
use crate::shield::listener::Tunnel;
use crate::shield::metrics::Metrics;
use crate::shield::page::{PageOf, Rewriting};
use crate::shield::silence::Silence;

/// Time and connections that a forward may take.
#[derive(Clone, Debug)]
pub struct StorefrontLimits {
    /// Time to connect.
    pub connect: Duration,
    /// Time from the last byte of a request to the head of its response.
    pub head: Duration,
    /// Time in which the upstream may send nothing of a body. Event streams
    /// are silent for as long as they like.
    pub body_silence: Duration,
    /// Requests at the upstream at one time, responses in progress included.
    pub requests_max: usize,
    /// Time a request waits for its turn when there are that many.
    pub turn: Duration,
    /// Time an idle connection is kept. Node closes its own after 5 s.
    pub pool_idle: Duration,
}

impl StorefrontLimits {
    /// The limits that the shield runs with unless told otherwise.
    pub fn standard() -> Self {
        Self {
            connect: Duration::from_secs(3),
            head: Duration::from_secs(30),
            body_silence: Duration::from_secs(60),
            requests_max: 1024,
            turn: Duration::from_secs(3),
            pool_idle: Duration::from_secs(4),
        }
    }
}

/// An upstream that is not one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the upstream `{0}` is not an http:// URL with a host")]
pub struct UpstreamError(String);

/// How long a storefront fails before it is taken for down. Some hang up on
/// what they cannot bear, and a visitor may ask for that many times at once.
const PATIENCE: Duration = Duration::from_millis(500);

/// Most header fields, and bytes of a head, that an upstream may answer with.
const FIELDS_MAX: usize = 128;
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Idle connections that are kept.
const POOL_MAX: usize = 64;

/// What an upstream is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
}

/// Forwards requests to one upstream.
#[derive(Clone, Debug)]
pub struct Storefront {
    client: Client<HttpConnector<Addresses>, RequestBody>,
    authority: String,
    turns: Arc<Semaphore>,
    guard: Arc<Guard>,
    limits: StorefrontLimits,
    metrics: Arc<Metrics>,
}

impl Storefront {
    /// Takes the scheme, host and port of `upstream`; only `http` is spoken.
    pub fn new(
        upstream: &Url,
        limits: StorefrontLimits,
        metrics: Arc<Metrics>,
    ) -> Result<Self, UpstreamError> {
        let refuse = || UpstreamError(upstream.to_string());
        let host =
            upstream.host_str().filter(|_| upstream.scheme() == "http").ok_or_else(refuse)?;
        let authority = match upstream.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let turns = Arc::new(Semaphore::new(limits.requests_max));
        let client = client(Addresses::of(host, Arc::clone(&metrics)), &limits);
        let guard = Arc::new(Guard::of(&authority, PATIENCE, &metrics));
        Ok(Self { client, authority, turns, guard, limits, metrics })
    }

    /// Forwards `request` and gives its response, with the references of a
    /// page rewritten when `rewriting` says with what.
    pub async fn forward(
        &self,
        request: GatedRequest,
        body: RequestBody,
        rewriting: Option<Rewriting>,
    ) -> Result<Response<ResponseBody>, StorefrontError> {
        if fields::is_loop(&request.headers) {
            return Err(StorefrontError::Loop);
        }
        let turn = self.turn().await?;
        let upgrade = Upgrade::wanted(&request, &body);
        let rewriting = rewriting.filter(|_| upgrade.is_none());
        let page = rewriting.and_then(|with| PageOf::expected(&request, with, &self.metrics));
        let mut headers = fields::to_upstream(&request, page.as_ref());
        if let Some(upgrade) = &upgrade {
            upgrade.ask(&mut headers);
        }
        let asked = Asked { method: request.method.clone(), target: request.target() };
        let (response, turn) = self.fetch_apart(asked, headers, body, turn).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return upgrade.ok_or(StorefrontError::Unfitting)?.join(response);
        }
        let mut response = self.answered(response, turn);
        let status = bypassed(response.status());
        *response.headers_mut() = fields::to_visitor(response.headers(), &status);
        Ok(match page {
            Some(page) => page.apply(response),
            None => response,
        })
    }

    /// Asks the upstream, and gives its response as it came: with the fields of
    /// its connection, and its references as they are.
    pub(crate) async fn ask(
        &self,
        asked: &Asked,
        headers: HeaderMap,
        body: RequestBody,
    ) -> Result<Response<ResponseBody>, StorefrontError> {
        let turn = self.turn().await?;
        let response = self.fetch(asked, headers, body).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(StorefrontError::Unfitting);
        }
        Ok(self.answered(response, turn))
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, StorefrontError> {
        let turn = timeout(self.limits.turn, Arc::clone(&self.turns).acquire_owned()).await;
        turn.ok().and_then(Result::ok).ok_or(StorefrontError::Busy)
    }

    /// Asks the upstream in a task of its own. An upstream works on a request
    /// whether or not its visitor is still there: the turn is kept until it
    /// answers, so that visitors who come and go do not pile work on it.
    async fn fetch_apart(
        &self,
        asked: Asked,
        headers: HeaderMap,
        body: RequestBody,
        turn: OwnedSemaphorePermit,
    ) -> Result<(Response<Incoming>, OwnedSemaphorePermit), StorefrontError> {
        let this = self.clone();
        let fetching = tokio::spawn(async move {
            let response = this.fetch(&asked, headers, body).await?;
            Ok((response, turn))
        });
        fetching.await.unwrap_or_else(|ended| match ended.try_into_panic() {
            Ok(bug) => resume_unwind(bug),
            Err(_) => Err(StorefrontError::TimedOut),
        })
    }

    async fn fetch(
        &self,
        request: &Asked,
        headers: HeaderMap,
        body: RequestBody,
    ) -> Result<Response<Incoming>, StorefrontError> {
        self.guard.admit().map_err(|_| StorefrontError::Down)?;
        let bare = body.is_end_stream();
        let answered = self.try_fetch(request, headers, body).await;
        match &answered {
            Ok(_) => self.guard.learn(&Ok::<_, Fault>(())),
            Err(error) if blames_upstream(error, bare) => {
                self.guard.learn::<()>(&Err(error.fault()));
            }
            Err(_) => {}
        }
        answered
    }

    async fn try_fetch(
        &self,
        request: &Asked,
        headers: HeaderMap,
        body: RequestBody,
    ) -> Result<Response<Incoming>, StorefrontError> {
        let origin = [("origin", "storefront")];
        self.metrics.counter("awning_upstream_fetches_total", &origin).increment(1);
        let repeatable = body.is_end_stream() && request.method.is_safe();
        let first = self.send(request, headers.clone(), body).await;
        match first {
            // The upstream may have closed an idle connection just then.
            Err(StorefrontError::Unreachable(error)) if repeatable && !is_connect(&error) => {
                self.send(request, headers, bodies::empty()).await
            }
            answered => answered,
        }
    }

    async fn send(
        &self,
        request: &Asked,
        headers: HeaderMap,
        body: RequestBody,
    ) -> Result<Response<Incoming>, StorefrontError> {
        let silence = Silence::begin();
        let body = Sent::new(body, silence.clone());
        let broken = body.broken();
        let uri = format!("http://{}{}", self.authority, request.target);
        let mut forward = Request::builder()
            .method(request.method.clone())
            .uri(uri)
            .version(Version::HTTP_11)
            .body(body.boxed_unsync())
            .map_err(|error| StorefrontError::Request(error.into()))?;
        *forward.headers_mut() = headers;
        tokio::select! {
            answered = self.client.request(forward) => answered.map_err(|error| {
                if broken.is_set() {
                    StorefrontError::Request(error.into())
                } else {
                    unreachable(error)
                }
            }),
            () = silence.lasts(self.limits.head) => Err(StorefrontError::TimedOut),
        }
    }

    /// The response with a body that has its turn until its end.
    fn answered(
        &self,
        response: Response<Incoming>,
        turn: OwnedSemaphorePermit,
    ) -> Response<ResponseBody> {
        let (mut parts, body) = response.into_parts();
        parts.version = Version::default();
        parts.extensions.clear();
        let body = match is_event_stream(&parts.headers) {
            true => body.map_err(Into::into).boxed_unsync(),
            false => Unstalled::new(body, self.limits.body_silence).boxed_unsync(),
        };
        let bytes =
            self.metrics.counter("awning_upstream_bytes_total", &[("origin", "storefront")]);
        Response::from_parts(parts, Held::new(body, turn, bytes).boxed_unsync())
    }
}

fn client(
    addresses: Addresses,
    limits: &StorefrontLimits,
) -> Client<HttpConnector<Addresses>, RequestBody> {
    let mut connector = HttpConnector::new_with_resolver(addresses);
    connector.set_connect_timeout(Some(limits.connect));
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(limits.pool_idle)
        .pool_max_idle_per_host(POOL_MAX)
        .http1_max_headers(FIELDS_MAX)
        .http1_max_buf_size(HEAD_BYTES_MAX)
        .build(connector)
}

/// Whether a failure says that the upstream is down. One that took a body may
/// be the visitor's doing: an upstream may hang up on an upload.
fn blames_upstream(error: &StorefrontError, bare: bool) -> bool {
    match error {
        StorefrontError::Unreachable(error) => bare || is_connect(error),
        StorefrontError::TimedOut => bare,
        _ => false,
    }
}

fn is_connect(error: &bodies::BoxError) -> bool {
    error.downcast_ref::<Error>().is_some_and(Error::is_connect)
}

fn unreachable(error: Error) -> StorefrontError {
    let timed_out = |error: &Error| {
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            let io = error.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
                return true;
            }
            cause = error.source();
        }
        false
    };
    if error.is_connect() && timed_out(&error) {
        return StorefrontError::TimedOut;
    }
    StorefrontError::Unreachable(error.into())
}

/// Nothing of an upstream is stored.
pub(crate) fn bypassed(status: StatusCode) -> CacheStatus {
    CacheStatus::forwarded(Forward::Bypass, Some(status))
}

pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = value.and_then(|value| value.split(';').next());
    media.is_some_and(|media| media.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// A WebSocket on its way through. Other protocols are not switched to: bytes
/// behind such a head could be meant as anything.
struct Upgrade {
    tunnel: Tunnel,
}

impl Upgrade {
    fn wanted(request: &GatedRequest, body: &RequestBody) -> Option<Self> {
        let says = |name, word: &str| {
            let lines = request.headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
            let mut elements = lines.flat_map(|line| line.split(','));
            elements.any(|element| element.trim().eq_ignore_ascii_case(word))
        };
        let wanted = request.method == Method::GET
            && body.is_end_stream()
            && says(UPGRADE, "websocket")
            && says(CONNECTION, "upgrade");
        let tunnel = request.tunnel.clone().filter(|_| wanted)?;
        Some(Self { tunnel })
    }

    fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }

    fn join(
        self,
        mut response: Response<Incoming>,
    ) -> Result<Response<ResponseBody>, StorefrontError> {
        let upstream = hyper::upgrade::on(&mut response);
        let mut headers = fields::to_visitor(response.headers(), &bypassed(response.status()));
        self.ask(&mut headers);
        self.tunnel.join(upstream);
        let mut joined = Response::new(bodies::empty());
        *joined.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *joined.headers_mut() = headers;
        Ok(joined)
    }
}
