//! The admin listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use awning::manifest::Manifest;
use awning::shield::admin::{Sources, router};
use awning::shield::config::Serve;
use awning::shield::metrics::Metrics;
use serde_json::{Value, json};

use crate::harness::edge::{Edge, config, serve};
use crate::harness::wire::{Answer, ask};

struct Admin {
    edge: Edge,
    ready: Arc<AtomicBool>,
    refreshed: Arc<AtomicU64>,
}

async fn admin(tokens: &[&str]) -> Admin {
    let (ready, refreshed) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let (is_ready, count) = (Arc::clone(&ready), Arc::clone(&refreshed));
    let metrics = Arc::new(Metrics::default());
    metrics.counter("awning_collapsed_total", &[]).increment(7);
    let sources = Sources {
        metrics: Arc::clone(&metrics),
        unready: Box::new(move || match is_ready.load(Ordering::Relaxed) {
            true => Vec::new(),
            false => vec![json!({"site": "a.nl"})],
        }),
        status: Box::new(|| json!({"status": 1})),
        releases: Box::new(|| json!({"releases": 1})),
        manifest: Box::new(|channel| {
            let manifest = Manifest::default();
            let (release, _) = manifest.to_bytes().unwrap();
            (channel == "production").then(|| (release, Arc::new(manifest)))
        }),
        refresh: Box::new(move || {
            let count = Arc::clone(&count);
            Box::pin(async move { json!({"times": count.fetch_add(1, Ordering::Relaxed) + 1}) })
        }),
    };
    let tokens: Vec<_> = tokens.iter().map(|token| (*token).into()).collect();
    let router = router(sources, &tokens);
    let edge = serve(config(Serve::Assets), metrics, axum::Router::new(), router).await;
    Admin { edge, ready, refreshed }
}

impl Admin {
    async fn ask(&self, method: &str, path: &str, fields: &str) -> Answer {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: admin\r\n{fields}\r\n");
        ask(self.edge.admin, request).await
    }
}

fn parsed(answer: &Answer) -> Value {
    assert_eq!(answer.field("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn reading_needs_no_token() {
    let admin = admin(&["secret"]).await;
    for (path, body) in [
        ("/livez", json!({"live": true})),
        ("/readyz", json!({"ready": true})),
        ("/v1/status", json!({"status": 1})),
        ("/v1/releases", json!({"releases": 1})),
    ] {
        let answer = admin.ask("GET", path, "").await;
        assert_eq!((answer.status, parsed(&answer)), (200, body), "{path}");
    }
    let metrics = admin.ask("GET", "/metrics", "").await;
    assert!(metrics.field("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert!(metrics.text().contains("awning_collapsed_total 7"), "{}", metrics.text());
}

#[tokio::test]
async fn the_manifest_of_a_channel_is_read_and_asked_for_again() {
    let admin = admin(&[]).await;
    let (release, bytes) = Manifest::default().to_bytes().unwrap();
    let etag = format!("\"{release}\"");
    for path in ["/v1/manifest", "/v1/manifest?channel=production"] {
        let answer = admin.ask("GET", path, "").await;
        assert_eq!((answer.status, answer.field("etag")), (200, Some(&*etag)), "{path}");
        assert_eq!(answer.body, bytes);
    }
    let known = format!("If-None-Match: {etag}\r\n");
    assert_eq!(admin.ask("GET", "/v1/manifest", &known).await.status, 304);
    assert_eq!(admin.ask("GET", "/v1/manifest?channel=preview", &known).await.status, 404);
}

#[tokio::test]
async fn a_shield_that_is_not_ready_is_alive_and_says_what_is_lacking() {
    let admin = admin(&[]).await;
    admin.ready.store(false, Ordering::Relaxed);
    let answer = admin.ask("GET", "/readyz", "").await;
    let reasons = json!({"ready": false, "reasons": [{"site": "a.nl"}]});
    assert_eq!((answer.status, parsed(&answer)), (503, reasons));
    assert_eq!(admin.ask("GET", "/livez", "").await.status, 200);
}

#[tokio::test]
async fn a_refresh_needs_a_known_token() {
    let guarded = admin(&["one", "two"]).await;
    for (fields, status) in [
        ("", 401),
        ("Authorization: Basic b25l\r\n", 401),
        ("Authorization: Bearer three\r\n", 403),
        ("Authorization: Bearer one\r\n", 200),
        ("Authorization: Bearer two\r\n", 200),
    ] {
        let answer = guarded.ask("POST", "/v1/refresh", fields).await;
        assert_eq!(answer.status, status, "{fields:?}");
        assert_eq!(answer.field("www-authenticate").is_some(), status == 401, "{fields:?}");
    }
    assert_eq!(guarded.refreshed.load(Ordering::Relaxed), 2);
    let open = admin(&[]).await;
    let answer = open.ask("POST", "/v1/refresh", "Authorization: Bearer \r\n").await;
    assert_eq!(answer.status, 401, "without tokens nobody is known");
}

#[tokio::test]
async fn everything_else_is_not_there() {
    let admin = admin(&["one"]).await;
    for path in ["/", "/v1/purge", "/v1/explain?url=x", "/index.html"] {
        let answer = admin.ask("GET", path, "Authorization: Bearer one\r\n").await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(parsed(&answer)["error"].is_string());
    }
    let answer = admin.ask("GET", "/v1/refresh", "Authorization: Bearer one\r\n").await;
    assert_eq!(answer.status, 405);
    assert_eq!(admin.refreshed.load(Ordering::Relaxed), 0, "a GET changes nothing");
}
