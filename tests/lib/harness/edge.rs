//! The shield's edge, with whatever a test puts behind it.

use std::net::SocketAddr;
use std::sync::Arc;

use awning::rewrite::PublicBase;
use awning::shield::body::{RequestBody, ResponseBody};
use awning::shield::config::{Config, Limits, Serve, SiteConfig};
use awning::shield::metrics::Metrics;
use awning::shield::server::{Front, public_router, serve_routers};
use awning::shield::{Answering, GatedRequest};
use axum::Router;
use http::Response;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Both listeners, running.
pub(crate) struct Edge {
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) serving: JoinHandle<Instant>,
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A configuration with one site for every host.
pub(crate) fn config(serve: Serve) -> Config {
    let site = SiteConfig {
        hosts: vec!["*".to_owned()],
        serve,
        assets: Vec::new(),
        public: PublicBase::parse("https://cdn.example.nl").unwrap(),
        rewrite: true,
        pages: Default::default(),
    };
    Config {
        sites: vec![site],
        memory_bytes_max: 1 << 20,
        disk: None,
        trusted_proxies: Vec::new(),
        limits: Limits::standard(),
    }
}

/// Serves `respond` behind the gate.
pub(crate) async fn edge<R, F>(config: Config, respond: R) -> Edge
where
    R: Fn(GatedRequest, RequestBody) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let metrics = Arc::new(Metrics::default());
    let router = public_router(Arc::new(config.clone()), Arc::clone(&metrics), respond);
    serve(config, metrics, router, Router::new()).await
}

/// Serves visitors and operators.
pub(crate) async fn serve(
    config: Config,
    metrics: Arc<Metrics>,
    public: impl Answering,
    admin: Router,
) -> Edge {
    let (public, public_front) = front(public).await;
    let (admin, admin_front) = front(admin).await;
    let shutdown = CancellationToken::new();
    let (inner, token) = (Arc::clone(&metrics), shutdown.clone());
    let serving = tokio::spawn(async move {
        serve_routers(public_front, admin_front, &config, &inner, token).await
    });
    Edge { public, admin, metrics, shutdown, serving }
}

async fn front<R>(router: R) -> (SocketAddr, Front<R>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap(), Front { listener, router })
}
