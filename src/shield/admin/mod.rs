//! The admin listener: health, metrics and releases for operators.
//!
//! Reading needs no token, for the listener is not public; whatever changes
//! something does. Purges and the dashboard are not here yet: 404.

mod token;

use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::token::Access;
pub(crate) use self::token::Tokens;
use super::Shield;
use super::config::Serve;
use super::metrics::Metrics;
use crate::manifest::{Channel, Manifest, ReleaseId};

/// The text format of Prometheus.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The release that the channel of this name serves, and its manifest.
pub type ManifestOf = dyn Fn(&str) -> Option<(ReleaseId, Arc<Manifest>)> + Send + Sync;

/// Where the answers come from.
pub struct Sources {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Why some site cannot be served; an empty list when all can.
    pub unready: Box<dyn Fn() -> Vec<Value> + Send + Sync>,
    /// What the shield is doing.
    pub status: Box<dyn Fn() -> Value + Send + Sync>,
    /// Which release each channel serves.
    pub releases: Box<dyn Fn() -> Value + Send + Sync>,
    /// The release that a channel serves, and its manifest.
    pub manifest: Box<ManifestOf>,
    /// Reads the channels' heads now, and reports.
    pub refresh: Box<dyn Fn() -> BoxFuture<'static, Value> + Send + Sync>,
}

impl Sources {
    /// The answers of a shield.
    pub fn of(shield: &Arc<Shield>) -> Self {
        let [ready, status, releases, manifest, refresh] = [(); 5].map(|()| Arc::clone(shield));
        Self {
            metrics: Arc::clone(&shield.metrics),
            unready: Box::new(move || ready.readiness().reasons.iter().map(value).collect()),
            status: Box::new(move || summary(&status)),
            releases: Box::new(move || json!({"channels": releases.releases()})),
            manifest: Box::new(move |channel| manifest.manifest(channel)),
            refresh: Box::new(move || {
                let shield = Arc::clone(&refresh);
                Box::pin(async move { value(&shield.refresh().await) })
            }),
        }
    }
}

fn summary(shield: &Shield) -> Value {
    let config = shield.config();
    let sites = config.sites.iter().map(|site| {
        let serve = match &site.serve {
            Serve::Assets => "assets",
            Serve::Release => "release",
            Serve::Storefront { .. } => "storefront",
        };
        let mounted = site
            .assets
            .iter()
            .map(|assets| json!({"mount": assets.mount.path(), "channel": assets.channel}));
        let assets: Vec<_> = mounted.collect();
        json!({"hosts": site.hosts, "serve": serve, "rewrite": site.rewrite, "assets": assets})
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": shield.readiness().ready,
        "reasons": shield.readiness().reasons,
        "kept": shield.readiness().kept,
        "releases": shield.releases(),
        "config": shield.standing(),
        "memory": {
            "held_bytes": shield.memory_bytes_held(),
            "max_bytes": config.memory_bytes_max,
        },
        "sites": sites.collect::<Vec<_>>(),
    })
}

/// Nothing that is shown here can fail to be JSON.
fn value(shown: &impl Serialize) -> Value {
    serde_json::to_value(shown).unwrap_or(Value::Null)
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

struct Admin {
    sources: Sources,
    tokens: Arc<Tokens>,
}

/// The admin side. Without `tokens` nothing can be changed through it.
pub fn router(sources: Sources, tokens: &[SecretString]) -> Router {
    router_with(sources, Arc::new(Tokens::new(tokens)))
}

/// The same with tokens that change.
pub(crate) fn router_with(sources: Sources, tokens: Arc<Tokens>) -> Router {
    let admin = Arc::new(Admin { sources, tokens });
    Router::new()
        .route("/livez", get(async || reply(StatusCode::OK, &json!({"live": true}))))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/status", get(status))
        .route("/v1/releases", get(releases))
        .route("/v1/manifest", get(manifest))
        .route("/v1/refresh", post(refresh))
        .fallback(async || refuse(StatusCode::NOT_FOUND, "no such endpoint"))
        .method_not_allowed_fallback(async || {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "no such method on this endpoint")
        })
        .with_state(admin)
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    let reasons = (admin.sources.unready)();
    match reasons.is_empty() {
        true => reply(StatusCode::OK, &json!({"ready": true})),
        false => {
            let body = json!({"ready": false, "reasons": reasons});
            reply(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    ([(CONTENT_TYPE, PROMETHEUS)], admin.sources.metrics.render()).into_response()
}

async fn status(State(admin): State<Arc<Admin>>) -> Response {
    reply(StatusCode::OK, &(admin.sources.status)())
}

async fn releases(State(admin): State<Arc<Admin>>) -> Response {
    reply(StatusCode::OK, &(admin.sources.releases)())
}

/// The manifest of the release that a channel serves, as it is stored: what
/// `clients/` read. Its validator is the release, so that asking again is cheap.
async fn manifest(
    State(admin): State<Arc<Admin>>,
    Query(asked): Query<ManifestQuery>,
    headers: HeaderMap,
) -> Response {
    let Some((release, manifest)) = (admin.sources.manifest)(&asked.channel) else {
        return refuse(StatusCode::NOT_FOUND, "no release of this channel is served");
    };
    let etag = format!("\"{release}\"");
    let known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let fields = [(CACHE_CONTROL, "no-cache".to_owned()), (ETAG, etag)];
    if known {
        return (StatusCode::NOT_MODIFIED, fields).into_response();
    }
    match manifest.to_bytes() {
        Ok((_, bytes)) => (fields, [(CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "the manifest cannot be written"),
    }
}

#[derive(Deserialize)]
struct ManifestQuery {
    #[serde(default = "default_channel")]
    channel: String,
}

fn default_channel() -> String {
    Channel::default().to_string()
}

async fn refresh(State(admin): State<Arc<Admin>>, request: Request) -> Response {
    match admin.tokens.access(request.headers()) {
        Access::Granted => reply(StatusCode::OK, &(admin.sources.refresh)().await),
        Access::Denied => refuse(StatusCode::FORBIDDEN, "this token is not known"),
        Access::Anonymous => {
            let mut response = refuse(StatusCode::UNAUTHORIZED, "a bearer token is needed");
            let challenge = HeaderValue::from_static("Bearer realm=\"awning\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            response
        }
    }
}

fn refuse(status: StatusCode, error: &str) -> Response {
    reply(status, &json!({"error": error}))
}

fn reply(status: StatusCode, body: &Value) -> Response {
    let no_store = [(CACHE_CONTROL, "no-store")];
    (status, no_store, Json(body)).into_response()
}
