//! The server: two listeners, what is behind them, and how they end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Request, Response, Version};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::admin;
use super::body::{BodyStalled, BoxError, RequestBody, ResponseBody, Unstalled, empty, settled};
use super::config::{Config, Limits};
use super::gate::{self, Refusal};
use super::listener::{Answering, Endings, Entry, Listener, Trusted};
use super::metrics::Metrics;
use super::settings::{Admission, Settings};
use super::{GatedRequest, Shield};

/// How long a visitor may send nothing of a body it announced.
const BODY_SILENCE_MAX: Duration = Duration::from_secs(20);
/// How fast it must send the rest: slower than any modem, and a drip is not.
const BODY_BYTES_PER_SECOND: u32 = 500;
/// Connections of the admin listener, out of the reserve that visitors leave.
const ADMIN_CONNECTIONS_MAX: usize = 16;
/// Time that connections get to end by themselves, before those that are left
/// are treated as at a shutdown.
const LEAVING_MAX: Duration = Duration::from_secs(120);
/// Time that tasks get to notice that they were broken off.
const ABORT: Duration = Duration::from_secs(1);

/// Serves `shield` to visitors and operators until `shutdown`.
///
/// It ends once what was in progress is finished, or [`Limits::drain`] is
/// over. Without `tokens` operators can only look.
pub async fn serve(
    shield: Arc<Shield>,
    public: TcpListener,
    admin: TcpListener,
    tokens: &[SecretString],
    shutdown: CancellationToken,
) {
    serve_by(shield, public, admin, tokens, Entry::default(), shutdown).await;
}

/// The same, for visitors who come by another `entry` than a plain socket.
pub async fn serve_by(
    shield: Arc<Shield>,
    public: TcpListener,
    admin: TcpListener,
    tokens: &[SecretString],
    entry: Entry,
    shutdown: CancellationToken,
) {
    let (config, metrics) = (shield.config(), Arc::clone(&shield.metrics));
    let limit = config.limits.drain;
    let (settled, respondent) = (Arc::clone(&shield), Arc::clone(&shield));
    let respond = move |settings: Arc<Settings>, request, body| {
        let shield = Arc::clone(&respondent);
        async move { shield.respond_under(&settings, request, body).await }
    };
    let public_router = Gated::new(move || settled.settings(), Arc::clone(&metrics), respond);
    let public = Front { listener: public, router: public_router };
    shield.set_admin_tokens(tokens);
    let admin_router = admin::router_with(admin::Sources::of(&shield), Arc::clone(&shield.tokens));
    let admin = Front { listener: admin, router: admin_router };
    let trusting = Arc::clone(&shield);
    let trusted = Trusted::by(move |address| {
        gate::forwarded::is_trusted(&trusting.settings().config().trusted_proxies, address)
    });
    let draining = listen(public, admin, entry, &config.limits, &trusted, &metrics, shutdown);
    let left = limit.saturating_sub(draining.await.elapsed());
    if !shield.drain(left).await {
        tracing::warn!("flights were still under way at the end");
    }
}

/// The public side: every request passes the gate, and goes to `respond`.
pub fn public_router<R, F>(config: Arc<Config>, metrics: Arc<Metrics>, respond: R) -> impl Answering
where
    R: Fn(GatedRequest, RequestBody) -> F + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let admission = Arc::new(Admission::of(config));
    let respond = move |_: Arc<Admission>, request, body| respond(request, body);
    Gated::new(move || Arc::clone(&admission), metrics, respond)
}

/// The gate under settings that change: each request passes it and is answered
/// under those that were there when it came.
struct Gated<L, R>(Arc<Behind<L, R>>);

/// What the gate asks, and who answers what it lets through.
struct Behind<L, R> {
    settings: L,
    metrics: Arc<Metrics>,
    respond: R,
}

impl<L, R> Gated<L, R> {
    fn new(settings: L, metrics: Arc<Metrics>, respond: R) -> Self {
        Self(Arc::new(Behind { settings, metrics, respond }))
    }
}

impl<L, R> Clone for Gated<L, R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S, L, R, F> Answering for Gated<L, R>
where
    S: AsRef<Admission> + Send + Sync + 'static,
    L: Fn() -> Arc<S> + Send + Sync + 'static,
    R: Fn(Arc<S>, GatedRequest, RequestBody) -> F + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    async fn answer(
        self,
        mut request: Request<RequestBody>,
        peer: IpAddr,
    ) -> Response<ResponseBody> {
        let settings = (self.0.settings)();
        let (version, is_head) = (request.version(), request.method() == Method::HEAD);
        if may_be_empty(&request) {
            let (head, body) = request.into_parts();
            let body = Box::pin(settled(bounded(body, &self.0.metrics))).await;
            request = Request::from_parts(head, body);
        }
        let response = match admit(&mut request, peer, (*settings).as_ref()) {
            Ok(gated) => {
                (self.0.respond)(settings, gated, bounded(request.into_body(), &self.0.metrics))
                    .await
            }
            Err(refusal) => {
                let labels = [("reason", refusal.reason())];
                self.0.metrics.counter("awning_rejected_total", &labels).increment(1);
                refusal.response(version)
            }
        };
        if is_head { without_body(response) } else { response }
    }
}

/// Whether only its end tells if the request has a body (RFC 9113 §8.1), where
/// that makes a difference.
fn may_be_empty(request: &Request<RequestBody>) -> bool {
    let silent = request.headers().get(CONTENT_LENGTH).is_none_or(|length| length == "0");
    request.version() == Version::HTTP_2
        && request.method().is_safe()
        && silent
        && !request.body().is_end_stream()
}

/// The answer to HEAD: it says how long its body would be, and has none.
fn without_body(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    let length = response.body().size_hint().exact().filter(|length| *length > 0);
    if let Some(length) = length {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    response.map(|_| empty())
}

/// A body whose sender may not be silent, or slow, for long. Most requests have none, and
/// then there is nothing to watch.
fn bounded(body: RequestBody, metrics: &Arc<Metrics>) -> RequestBody {
    if body.is_end_stream() {
        return body;
    }
    let metrics = Arc::clone(metrics);
    let counted = move |error: BoxError| {
        if error.is::<BodyStalled>() {
            metrics.counter("awning_rejected_total", &[("reason", "slow-body")]).increment(1);
        }
        error
    };
    let body = Unstalled::new(body, BODY_SILENCE_MAX).paced(BODY_BYTES_PER_SECOND);
    body.map_err(counted).boxed_unsync()
}

fn admit(
    request: &mut Request<RequestBody>,
    peer: IpAddr,
    admission: &Admission,
) -> Result<GatedRequest, Refusal> {
    let Admission { config, hosts } = admission;
    let gated = gate::admit_whole(request, peer, config)?;
    if let Some(site) = hosts.find(&gated.host).and_then(|number| config.sites.get(number)) {
        gate::admit_to_site(site, &gated, !request.body().is_end_stream())?;
    }
    Ok(gated)
}

/// A socket, and what it serves.
#[derive(Debug)]
pub struct Front<R> {
    /// Where connections come from.
    pub listener: TcpListener,
    /// What answers those who come.
    pub router: R,
}

/// Serves both until `shutdown`, then finishes what is in progress, for at
/// most [`Limits::drain`]. Gives the instant when that began.
pub async fn serve_routers(
    public: Front<impl Answering>,
    admin: Front<impl Answering>,
    config: &Config,
    metrics: &Arc<Metrics>,
    shutdown: CancellationToken,
) -> Instant {
    serve_routers_by(public, admin, Entry::default(), config, metrics, shutdown).await
}

/// The same, for visitors who come by `entry`. Operators never do.
pub async fn serve_routers_by(
    public: Front<impl Answering>,
    admin: Front<impl Answering>,
    entry: Entry,
    config: &Config,
    metrics: &Arc<Metrics>,
    shutdown: CancellationToken,
) -> Instant {
    let trusted = Trusted::from(config.trusted_proxies.clone());
    listen(public, admin, entry, &config.limits, &trusted, metrics, shutdown).await
}

async fn listen(
    public: Front<impl Answering>,
    admin: Front<impl Answering>,
    entry: Entry,
    limits: &Limits,
    trusted: &Trusted,
    metrics: &Arc<Metrics>,
    shutdown: CancellationToken,
) -> Instant {
    let leaving = entry.leaving.clone();
    let endings = Endings { graceful: shutdown, leaving, ..Endings::default() };
    let public = Listener::new(
        "awning_connections",
        public.listener,
        public.router,
        entry,
        limits,
        trusted,
        metrics,
    );
    let few = Limits {
        connections_max: ADMIN_CONNECTIONS_MAX,
        connections_per_peer_max: ADMIN_CONNECTIONS_MAX,
        ..limits.clone()
    };
    let admin = Listener::new(
        "awning_admin_connections",
        admin.listener,
        admin.router,
        Entry::default(),
        &few,
        trusted,
        metrics,
    );
    tokio::join!(public.run(endings.clone()), admin.run(endings.clone()));
    leave(&endings).await;
    let began = Instant::now();
    drain(&endings, limits.drain).await;
    began
}

/// Lets connections end by themselves once another process accepts them.
async fn leave(endings: &Endings) {
    if endings.leaving.is_cancelled() {
        endings.tasks.close();
        tokio::select! {
            () = endings.tasks.wait() => {}
            () = endings.graceful.cancelled() => {}
            () = sleep(LEAVING_MAX) => endings.graceful.cancel(),
        }
    }
}

async fn drain(endings: &Endings, limit: Duration) {
    endings.tasks.close();
    if timeout(limit, endings.tasks.wait()).await.is_err() {
        tracing::warn!(connections = endings.tasks.len(), "breaking off what is in progress");
        endings.abrupt.cancel();
        // A task that does not yield even now is left to the runtime.
        let _ = timeout(ABORT, endings.tasks.wait()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_too_slowly_is_counted() {
        let metrics = Arc::default();
        let silent = futures_util::stream::pending::<Result<bytes::Bytes, BoxError>>();
        let body = bounded(
            axum::body::Body::from_stream(silent).map_err(Into::into).boxed_unsync(),
            &metrics,
        );
        let began = Instant::now();
        assert!(body.collect().await.is_err());
        assert_eq!(began.elapsed(), BODY_SILENCE_MAX);
        let text = metrics.render();
        assert!(text.contains(r#"awning_rejected_total{reason="slow-body"} 1"#), "{text}");
    }
}
