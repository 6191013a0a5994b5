//! A whole shield on its sockets: bucket and upstream behind it, visitors and
//! an operator before it.

use std::net::SocketAddr;
use std::sync::Arc;

use awning::asset::KeyLayout;
use awning::clock::Clock;
use awning::shield::Shield;
use awning::shield::body::full;
use awning::shield::config::Serve;
use awning::shield::metrics::Metrics;
use awning::shield::server::serve;
use http::{Request, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::harness::origin::Origin;
use crate::harness::release::{CDN, Release, SHOP, SITE, config};
use crate::harness::upstream::Upstream;
use crate::harness::wire::{Answer, Wire, ask};

struct Street {
    origin: Arc<Origin>,
    shield: Arc<Shield>,
    upstream: Upstream,
    public: SocketAddr,
    admin: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Street {
    async fn open() -> Self {
        let upstream = Upstream::answering(|_: Request<Vec<u8>>| async {
            let page = "<link rel=stylesheet href=/static/css/app.css><a href=/static/none.css>";
            Response::builder().header("content-type", "text/html").body(full(page)).unwrap()
        })
        .await;
        let mut config = config(64 * 1024 * 1024);
        let url = Url::parse(&format!("http://{}", upstream.address)).unwrap();
        config.sites[2].serve = Serve::Storefront { upstream: url };
        let origin = Origin::new(Clock::System);
        let store = Some(Arc::clone(&origin) as _);
        let (keys, metrics) = (KeyLayout::default(), Arc::new(Metrics::default()));
        let shield = Shield::new(config, store, keys, Clock::System, metrics).unwrap();
        let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = (public.local_addr().unwrap(), admin.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let (token, served) = (shutdown.clone(), Arc::clone(&shield));
        let serving = tokio::spawn(async move {
            serve(served, public, admin, &["secret".into()], token).await;
        });
        let (public, admin) = addresses;
        Self { origin, shield, upstream, public, admin, shutdown, serving }
    }

    async fn visit(&self, host: &str, path: &str) -> Answer {
        ask(self.public, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await
    }

    async fn operate(&self, method: &str, path: &str) -> (u16, Value) {
        let token = "Authorization: Bearer secret\r\n";
        let request = format!("{method} {path} HTTP/1.1\r\nHost: admin\r\n{token}\r\n");
        let answer = ask(self.admin, request).await;
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }
}

fn release() -> Release {
    Release::default()
        .with("index.html", "<link rel=stylesheet href=/css/app.css>")
        .with("css/app.css", "p{}")
}

#[tokio::test]
async fn pages_of_both_kinds_name_assets_that_are_served() {
    let (street, release) = (Street::open().await, release());
    release.publish(&street.origin, 1).await;
    assert_eq!(street.operate("POST", "/v1/refresh").await.0, 200);
    let name = release.name("css/app.css");
    let link = format!("<link rel=stylesheet href=https://{CDN}{name}>");
    assert_eq!(street.visit(SITE, "/").await.text(), link);
    let page = street.visit(SHOP, "/").await;
    assert_eq!(page.text(), format!("{link}<a href=/static/none.css>"));
    assert_eq!(page.field("cache-status"), Some("awning; fwd=bypass; fwd-status=200"));
    let asset = street.visit(CDN, &name).await;
    assert_eq!((asset.status, asset.text()), (200, "p{}"));
    let same_origin = street.visit(SHOP, &format!("/_a{name}")).await;
    assert_eq!((same_origin.status, same_origin.text()), (200, "p{}"));
    assert_eq!(street.visit("unknown.example", "/").await.status, 421);
    assert_eq!(street.upstream.count(), 1, "assets never reach the upstream");
}

#[tokio::test]
async fn options_that_go_no_further_are_answered_by_the_shield() {
    let street = Street::open().await;
    for (method, forwards, asked) in
        [("OPTIONS", "0", 0), ("OPTIONS", "1", 1), ("OPTIONS", "none", 2), ("GET", "0", 3)]
    {
        let fields = format!("Host: {SHOP}\r\nMax-Forwards: {forwards}\r\n");
        let answer = ask(street.public, format!("{method} / HTTP/1.1\r\n{fields}\r\n")).await;
        assert!(matches!(answer.status, 200 | 204), "{method} {forwards}: {}", answer.status);
        assert_eq!(street.upstream.count(), asked, "{method} {forwards}");
    }
}

#[tokio::test]
async fn a_storefront_without_a_release_passes_its_pages_as_they_are() {
    let street = Street::open().await;
    let page = street.visit(SHOP, "/").await;
    assert!(page.text().starts_with("<link rel=stylesheet href=/static/css/app.css>"));
}

#[tokio::test]
async fn an_operator_sees_what_is_served_and_what_is_lacking() {
    let (street, release) = (Street::open().await, release());
    assert_eq!(street.operate("GET", "/livez").await.0, 200);
    let (status, reasons) = street.operate("GET", "/readyz").await;
    assert_eq!((status, &reasons["reasons"][0]["site"]), (503, &Value::from(CDN)));
    let id = release.publish(&street.origin, 1).await;
    let (_, report) = street.operate("POST", "/v1/refresh").await;
    assert_eq!(report["channels"][0]["release"], id.to_string(), "{report}");
    assert_eq!(street.operate("GET", "/readyz").await.0, 200);
    let (_, releases) = street.operate("GET", "/v1/releases").await;
    assert_eq!(releases["channels"]["production"], id.to_string(), "{releases}");
    let (_, status) = street.operate("GET", "/v1/status").await;
    assert_eq!(status["sites"][2]["serve"], "storefront", "{status}");
    street.visit(SITE, "/").await;
    let metrics = ask(street.admin, "GET /metrics HTTP/1.1\r\nHost: admin\r\n\r\n").await;
    let counted = format!("awning_requests_total{{site=\"{SITE}\",cache=\"miss\"}} 1");
    assert!(metrics.text().contains(&counted), "{}", metrics.text());
}

#[tokio::test]
async fn no_request_fails_while_the_configuration_changes() {
    let (street, release) = (Street::open().await, release());
    release.publish(&street.origin, 1).await;
    street.shield.refresh().await;
    let name = release.name("css/app.css");
    let visits = async |host: &'static str, path: &str| {
        let mut wire = Wire::connect(street.public).await;
        for number in 0..200 {
            wire.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
            let answer = wire.answer("GET").await;
            assert_eq!(answer.status, 200, "{host}{path} {number}: {}", answer.head);
        }
    };
    let reloads = async {
        let with = (*street.shield.config()).clone();
        let mut without = with.clone();
        without.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        without.sites[1].hosts.push("example.nl".into());
        without.sites[2].rewrite = false;
        without.sites.rotate_left(1);
        for _ in 0..50 {
            for config in [&without, &with] {
                street.shield.reload(config.clone(), Vec::new()).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::join!(visits(CDN, &name), visits(SITE, "/"), visits(SHOP, "/"), reloads);
    assert_eq!(street.shield.standing().applied, 100);
}

#[tokio::test]
async fn the_end_comes_when_it_is_asked_for() {
    let street = Street::open().await;
    street.visit(SHOP, "/").await;
    street.shutdown.cancel();
    street.serving.await.unwrap();
}
