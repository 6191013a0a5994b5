//! The gate on the wire: what could be read in two ways, as bytes of a client.

use std::net::SocketAddr;

use awning::shield::GatedRequest;
use awning::shield::body::{RequestBody, full};
use awning::shield::config::Serve;
use http::Response;
use http_body_util::BodyExt as _;
use url::Url;

use crate::harness::edge::{Edge, config, edge};
use crate::harness::wire::{Wire, ask};

/// A storefront that tells what reached it.
async fn telling(serve: Serve) -> Edge {
    edge(config(serve), |request: GatedRequest, body: RequestBody| async move {
        let length = request.headers.get_all("content-length").iter().count();
        let coding = request.headers.get_all("transfer-encoding").iter().count();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let told = format!(
            "{} {} lengths={length} codings={coding} body={}",
            request.method,
            request.target(),
            String::from_utf8_lossy(&body)
        );
        Response::new(full(told))
    })
    .await
}

fn storefront() -> Serve {
    Serve::Storefront { upstream: Url::parse("http://127.0.0.1:1").unwrap() }
}

/// Requests that could be read in two ways, or in none.
const AMBIGUOUS: &[(&str, u16)] = &[
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
         1\r\na\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n\
         1\r\na\r\n0\r\n\r\n",
        400,
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\x0b: chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\na", 400),
    ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\nHost: a\n\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\x07b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.0\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a@b/c?d\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET //evil.example/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /caf\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
         Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nExpect: y 100-continue\r\n\r\n", 417),
];

#[tokio::test]
async fn ambiguous_requests_are_refused_and_the_connection_closed() {
    let edge = telling(storefront()).await;
    for (request, status) in AMBIGUOUS {
        refused_and_closed(edge.public, request, *status).await;
    }
    let text = edge.metrics.render();
    assert!(text.contains(r#"awning_rejected_total{reason="host-missing"} 2"#), "{text}");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused_and_the_connection_closed() {
    let edge = telling(storefront()).await;
    let field = |bytes: usize| format!("X: {}\r\n", "x".repeat(bytes));
    for fields in
        [field(33 * 1024), field(400 * 1024), "X: 1\r\n".repeat(64), "X: 1\r\n".repeat(101)]
    {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        refused_and_closed(edge.public, &request, 431).await;
    }
}

/// What follows the request must not be read as another one.
async fn refused_and_closed(shield: SocketAddr, request: &str, status: u16) {
    let mut wire = Wire::connect(shield).await;
    wire.send(format!("{request}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    let answer = wire.answer("GET").await;
    let shown = &request[..request.len().min(80)];
    assert_eq!(answer.status, status, "{shown:?}");
    assert_eq!(answer.field("connection"), Some("close"), "{shown:?}");
    let told = answer.field("cache-status").unwrap_or_default();
    assert!(told.starts_with("awning; detail="), "{shown:?}: {told}");
    let rest = wire.rest().await;
    assert!(rest.is_empty(), "{shown:?} was followed by {:?}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn a_refusal_is_neutral_and_says_why_in_cache_status() {
    let edge = telling(storefront()).await;
    let answer = ask(edge.public, "GET //canary.example/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer.text(), "Bad Request\n");
    assert_eq!(answer.field("cache-status"), Some("awning; detail=path-of-host"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(answer.field("connection"), Some("close"));
}

#[tokio::test]
async fn a_head_that_is_somewhat_too_large_is_refused_like_any_other() {
    let edge = telling(storefront()).await;
    let many = "X: 1\r\n".repeat(80);
    let long = format!("X: {}\r\n", "x".repeat(33 * 1024));
    for fields in [many, long] {
        let answer = ask(edge.public, format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        assert_eq!(answer.status, 431);
        assert_eq!(answer.field("cache-status"), Some("awning; detail=head-too-large"));
    }
}

#[tokio::test]
async fn odd_methods_are_refused_on_a_connection_that_goes_on() {
    let edge = telling(storefront()).await;
    let mut wire = Wire::connect(edge.public).await;
    for (method, status) in
        [("TRACE", 405), ("PURGE", 405), ("M-SEARCH", 200), ("get", 501), ("PROPFIND", 200)]
    {
        wire.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let answer = wire.answer(method).await;
        assert_eq!(answer.status, status, "{method}");
    }
    let connect = ask(edge.public, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n").await;
    assert_eq!(connect.status, 405);
}

#[tokio::test]
async fn a_body_in_malformed_chunks_is_never_whole_and_nothing_follows_it() {
    let edge = edge(config(storefront()), |_: GatedRequest, body: RequestBody| async move {
        let whole = body.collect().await.is_ok();
        Response::new(full(format!("whole={whole}")))
    })
    .await;
    for chunks in [
        "1\na\r\n0\r\n\r\n",
        "1;\n\r\na\r\n0\r\n\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        "1 \r\na\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\na\r\n0\r\n\r\n",
        "1\r\naXX0\r\n\r\n",
        "0\r\nX: y\n\r\n",
    ] {
        let mut wire = Wire::connect(edge.public).await;
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        wire.send(format!("{head}{chunks}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let rest = wire.rest().await;
        let rest = String::from_utf8_lossy(&rest);
        assert!(!rest.contains("whole=true"), "{chunks:?}: {rest}");
        assert!(rest.matches("HTTP/1.1 ").count() <= 1, "{chunks:?}: {rest}");
    }
}

#[tokio::test]
async fn what_was_piped_behind_a_refused_upgrade_is_the_next_request() {
    let edge = telling(storefront()).await;
    let mut wire = Wire::connect(edge.public).await;
    wire.send(
        "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n\
         GET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    )
    .await;
    assert!(wire.answer("GET").await.text().starts_with("GET /1 "));
    assert!(wire.answer("GET").await.text().starts_with("GET /2 "));
}

#[tokio::test]
async fn assets_take_no_body_and_no_encoded_separators() {
    for serve in [Serve::Assets, Serve::Release] {
        let edge = telling(serve).await;
        for (request, status) in [
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 400),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
                400,
            ),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 200),
            // Such a method is not for assets at all, and the site says so.
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 200),
            ("GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET /a%5Cb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET /a%20b HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        ] {
            let answer = ask(edge.public, request).await;
            assert_eq!(answer.status, status, "{request:?}");
            let closes = (status == 400).then_some("close");
            assert_eq!(answer.field("connection"), closes, "{request:?}");
        }
    }
}
