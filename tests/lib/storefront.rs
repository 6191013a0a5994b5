//! The storefront between a visitor and an upstream, on real sockets.

use std::sync::Arc;
use std::time::Duration;

use awning::rewrite::Reference;
use awning::shield::GatedRequest;
use awning::shield::body::{RequestBody, ResponseBody, empty, full};
use awning::shield::config::Serve;
use awning::shield::metrics::Metrics;
use awning::shield::origin::storefront::{Storefront, StorefrontLimits};
use awning::shield::page::Rewriting;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::{Semaphore, mpsc};
use url::Url;

use crate::harness::edge::{Edge, config, edge};
use crate::harness::upstream::Upstream;
use crate::harness::wire::{Wire, ask};

const RELEASE: &str = "0123456789ab";

/// References below `/static/` become ones of the CDN.
fn rewriting() -> Rewriting {
    let resolver = |reference: &Reference<'_>| {
        let path = reference.url.path().strip_prefix("/static/")?;
        Some(format!("https://cdn.example.nl/{path}"))
    };
    Rewriting { resolver: Arc::new(resolver), release: RELEASE.to_owned() }
}

async fn shop(upstream: &Upstream, rewriting: Option<Rewriting>) -> Edge {
    shop_within(upstream, rewriting, StorefrontLimits::standard()).await
}

async fn shop_within(
    upstream: &Upstream,
    rewriting: Option<Rewriting>,
    limits: StorefrontLimits,
) -> Edge {
    let url = Url::parse(&format!("http://{}", upstream.address)).unwrap();
    let metrics = Arc::new(Metrics::default());
    let storefront = Storefront::new(&url, limits, Arc::clone(&metrics)).unwrap();
    let respond = move |request: GatedRequest, body: RequestBody| {
        let (storefront, rewriting) = (storefront.clone(), rewriting.clone());
        async move {
            let forwarded = storefront.forward(request, body, rewriting).await;
            forwarded.unwrap_or_else(|error| error.response())
        }
    };
    let mut edge = edge(config(Serve::Storefront { upstream: url }), respond).await;
    edge.metrics = metrics;
    edge
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: Shop.example.nl:8443\r\n{fields}\r\n")
}

fn page(html: &'static str) -> Response<ResponseBody> {
    let response = Response::builder().header(CONTENT_TYPE, "text/html; charset=utf-8");
    response.header("etag", "\"v1\"").body(full(html)).unwrap()
}

/// A body whose pieces are sent when the test says so.
fn gated() -> (mpsc::Sender<&'static str>, ResponseBody) {
    let (sender, receiver) = mpsc::channel(1);
    let frames = stream::unfold(receiver, async |mut receiver: mpsc::Receiver<&'static str>| {
        let piece = receiver.recv().await?;
        Some((Ok(Frame::data(Bytes::from_static(piece.as_bytes()))), receiver))
    });
    (sender, StreamBody::new(frames).boxed_unsync())
}

/// An upstream whose only response is `response`, to be taken once.
async fn once(response: Response<ResponseBody>) -> Upstream {
    let response = Arc::new(std::sync::Mutex::new(Some(response)));
    Upstream::answering(move |_: Request<Vec<u8>>| {
        let response = response.lock().unwrap().take();
        async { response.unwrap() }
    })
    .await
}

#[tokio::test]
async fn an_upstream_sees_the_visitors_request_and_who_asks() {
    let upstream = once(page("x")).await;
    let edge = shop(&upstream, None).await;
    let fields = "Cookie: a=1\r\nCookie: b=2\r\nX-Script-Name: //evil\r\nForwarded: for=6.6.6.6\r\n\
                  X-Forwarded-For: 6.6.6.6\r\nAccept-Encoding: br\r\nConnection: X-Own\r\n\
                  X-Own: 1\r\nX_Forwarded_Host: evil\r\n";
    assert_eq!(ask(edge.public, get("/a%2Fb?c=%20&d", fields)).await.status, 200);
    let seen = upstream.only();
    assert_eq!(seen.uri, "/a%2Fb?c=%20&d");
    let expected = [
        ("host", "shop.example.nl:8443"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("accept-encoding", "br"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "shop.example.nl:8443"),
        ("x-forwarded-proto", "http"),
        ("x-real-ip", "127.0.0.1"),
        ("via", "1.1 awning"),
        ("cdn-loop", "awning"),
    ];
    let found: Vec<_> =
        seen.headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn any_method_passes_with_its_body() {
    let upstream = Upstream::answering(|request: Request<Vec<u8>>| async move {
        let told = format!("{} {}", request.method(), String::from_utf8_lossy(request.body()));
        Response::builder().status(207).body(full(told)).unwrap()
    })
    .await;
    let edge = shop(&upstream, Some(rewriting())).await;
    let mut wire = Wire::connect(edge.public).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "OPTIONS"] {
        for framing in [
            "Content-Length: 3\r\n\r\nabc",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ] {
            wire.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n{framing}")).await;
            let answer = wire.answer(method).await;
            assert_eq!((answer.status, answer.text()), (207, &*format!("{method} abc")));
            assert_eq!(answer.field("cache-status"), Some("awning; fwd=bypass; fwd-status=207"));
        }
    }
}

#[tokio::test]
async fn a_response_passes_with_its_duplicates_and_its_bytes() {
    let upstream = Upstream::raw(
        b"HTTP/1.1 203 Fine\r\nContent-Type: text/html\r\nContent-Encoding: br\r\n\
          Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nETag: f1235\r\nCache-Status: inner; hit\r\n\
          Surrogate-Key: x\r\nX-Odd: \xe9\r\nConnection: X-Own\r\nX-Own: 1\r\n\
          Content-Length: 4\r\n\r\n\x00\xff<a",
    )
    .await;
    let edge = shop(&upstream, Some(rewriting())).await;
    let mut wire = Wire::connect(edge.public).await;
    wire.send(get("/", "Connection: close\r\n")).await;
    let raw = wire.rest().await;
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&raw[..end]).into_owned();
    let fields: Vec<_> = head.lines().filter(|line| !line.starts_with("date: ")).collect();
    let expected = [
        "HTTP/1.1 203 Non Authoritative Information",
        "content-type: text/html",
        "content-encoding: br",
        "set-cookie: a=1",
        "set-cookie: b=2",
        "etag: f1235",
        "cache-status: inner; hit",
        "cache-status: awning; fwd=bypass; fwd-status=203",
        "x-odd: \u{fffd}",
        "content-length: 4",
        "via: 1.1 awning",
        "connection: close",
    ];
    assert_eq!(fields, expected);
    assert_eq!(&raw[end + 4..], b"\x00\xff<a");
    let skipped = r#"awning_rewrite_skipped_total{reason="coding"} 1"#;
    assert!(edge.metrics.render().contains(skipped));
}

#[tokio::test]
async fn responses_without_a_body_keep_their_framing() {
    let table: [(&'static [u8], _, _, _); 4] = [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", 200, Some("5")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "GET", 204, None),
        // hyper leaves the length out, as it may (RFC 9110 §8.6).
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET", 304, None),
        (b"HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n", "GET", 304, None),
    ];
    for (response, method, status, length) in table {
        let upstream = Upstream::raw(response).await;
        let edge = shop(&upstream, Some(rewriting())).await;
        let mut wire = Wire::connect(edge.public).await;
        wire.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let answer = wire.answer(method).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.field("content-length"), length, "{method} {status}");
        // The connection is still in step: a refused request is answered next.
        wire.send("GET //x HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(wire.answer("GET").await.status, 400, "{method} {status}");
    }
}

#[tokio::test]
async fn a_body_streams_before_its_end_is_there() {
    for kind in ["text/plain", "text/event-stream", "text/html"] {
        let (pieces, body) = gated();
        let response = Response::builder().header(CONTENT_TYPE, kind).body(body).unwrap();
        let edge = shop(&once(response).await, Some(rewriting())).await;
        let mut wire = Wire::connect(edge.public).await;
        wire.send(get("/", "")).await;
        wire.until(b"\r\n\r\n").await;
        for piece in ["<p>one</p>", "<p>two</p>"] {
            pieces.send(piece).await.unwrap();
            assert_eq!(wire.chunk().await, piece.as_bytes(), "{kind}");
        }
        drop(pieces);
        assert!(wire.chunk().await.is_empty(), "{kind}");
    }
}

#[tokio::test]
async fn an_upload_streams_before_its_end_is_there() {
    let (sender, mut receiver) = mpsc::channel(1);
    let upstream = Upstream::streaming(move |request| {
        let sender = sender.clone();
        async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                sender.send(frame.unwrap().into_data().unwrap()).await.unwrap();
            }
            Response::new(full("done"))
        }
    })
    .await;
    let edge = shop(&upstream, None).await;
    let mut wire = Wire::connect(edge.public).await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n").await;
    for piece in ["one", "two"] {
        wire.send(piece).await;
        assert_eq!(receiver.recv().await.unwrap(), piece);
    }
    assert_eq!(wire.answer("POST").await.text(), "done");
}

#[tokio::test]
async fn trailers_pass_behind_a_chunked_body() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "42".parse().unwrap());
    let frames = [Ok(Frame::data(Bytes::from("abc"))), Ok(Frame::trailers(trailers))];
    let body = StreamBody::new(stream::iter(frames)).boxed_unsync();
    let response = Response::builder().header("trailer", "x-sum").body(body).unwrap();
    let upstream = once(response).await;
    let edge = shop(&upstream, None).await;
    let mut wire = Wire::connect(edge.public).await;
    wire.send(get("/", "TE: trailers\r\nConnection: TE, close\r\n")).await;
    wire.until(b"\r\n\r\n").await;
    let body = String::from_utf8(wire.rest().await).unwrap();
    assert_eq!(body, "3\r\nabc\r\n0\r\nx-sum: 42\r\n\r\n");
}

#[tokio::test]
async fn trailers_pass_behind_an_upload() {
    let upstream = Upstream::streaming(|request| async move {
        let body = request.into_body().collect().await.unwrap();
        let sum = body.trailers().and_then(|trailers| trailers.get("x-sum")).cloned();
        Response::new(full(format!("{sum:?} {:?}", body.to_bytes())))
    })
    .await;
    let edge = shop(&upstream, None).await;
    let upload = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
                  3\r\nabc\r\n0\r\nx-sum: 42\r\n\r\n";
    assert_eq!(ask(edge.public, upload).await.text(), "Some(\"42\") b\"abc\"");
}

#[tokio::test]
async fn an_event_stream_may_be_silent_for_longer_than_a_page() {
    let limits = StorefrontLimits {
        body_silence: Duration::from_millis(50),
        ..StorefrontLimits::standard()
    };
    let (events, body) = gated();
    let kind = "text/event-stream; charset=utf-8";
    let response = Response::builder().header(CONTENT_TYPE, kind).body(body).unwrap();
    let stream = shop_within(&once(response).await, None, limits.clone()).await;
    let mut event_wire = Wire::connect(stream.public).await;
    event_wire.send(get("/events", "")).await;
    event_wire.until(b"\r\n\r\n").await;
    events.send("data: 1\n\n").await.unwrap();
    assert_eq!(event_wire.chunk().await, b"data: 1\n\n");

    // A page begins to be silent later, and is broken off for it.
    let (_silent, body) = gated();
    let page = shop_within(&once(Response::new(body)).await, None, limits).await;
    let mut wire = Wire::connect(page.public).await;
    wire.send(get("/", "")).await;
    wire.until(b"\r\n\r\n").await;
    assert_eq!(wire.rest().await, b"");

    events.send("data: 2\n\n").await.unwrap();
    assert_eq!(event_wire.chunk().await, b"data: 2\n\n");
}

#[tokio::test]
async fn an_upstream_that_closes_idle_connections_is_asked_again() {
    let upstream = Upstream::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let edge = shop(&upstream, None).await;
    for number in 0..20 {
        let answer = ask(edge.public, get("/", "")).await;
        assert_eq!((answer.status, answer.text()), (200, "ok"), "{number}");
    }
}

#[tokio::test]
async fn an_upstream_is_found_by_its_name_wherever_a_request_says_it_goes() {
    let upstream = Upstream::answering(|_: Request<Vec<u8>>| async { Response::new(full("shop")) });
    let upstream = upstream.await;
    let other = Upstream::answering(|_: Request<Vec<u8>>| async { Response::new(full("evil")) });
    let other = other.await;
    let url = Url::parse(&format!("http://localhost:{}", upstream.address.port())).unwrap();
    let metrics = Arc::new(Metrics::default());
    let storefront =
        Storefront::new(&url, StorefrontLimits::standard(), Arc::clone(&metrics)).unwrap();
    let respond = move |request: GatedRequest, body: RequestBody| {
        let storefront = storefront.clone();
        async move {
            let forwarded = storefront.forward(request, body, None).await;
            forwarded.unwrap_or_else(|error| error.response())
        }
    };
    let edge = edge(config(Serve::Storefront { upstream: url }), respond).await;
    let evil = other.address;
    for request in [
        get("/", ""),
        get("/", &format!("X-Forwarded-Host: {evil}\r\n")),
        format!("GET / HTTP/1.1\r\nHost: {evil}\r\n\r\n"),
        format!("GET http://{evil}/ HTTP/1.1\r\nHost: {evil}\r\n\r\n"),
    ] {
        assert_eq!(ask(edge.public, request.clone()).await.text(), "shop", "{request}");
    }
    assert_eq!(other.count(), 0);
    // All within the five seconds in which its addresses are fresh, or a few times that.
    let looked_up = metrics.render();
    assert!(
        looked_up.contains(r#"awning_upstream_lookups_total{outcome="found"} "#),
        "{looked_up}"
    );
}

#[tokio::test]
async fn a_redirect_is_the_visitors_to_follow() {
    let redirect = Response::builder().status(302).header("location", "http://169.254.169.254/");
    let upstream = once(redirect.body(empty()).unwrap()).await;
    let edge = shop(&upstream, Some(rewriting())).await;
    let answer = ask(edge.public, get("/", "")).await;
    assert_eq!((answer.status, answer.field("location")), (302, Some("http://169.254.169.254/")));
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn early_hints_are_dropped_and_the_response_is_not() {
    let upstream = Upstream::raw(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
          HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let edge = shop(&upstream, None).await;
    let answer = ask(edge.public, get("/", "")).await;
    assert_eq!((answer.status, answer.text()), (200, "ok"));
}

#[tokio::test]
async fn a_request_that_came_by_here_before_is_refused() {
    let upstream = once(page("x")).await;
    let edge = shop(&upstream, None).await;
    let answer = ask(edge.public, get("/", "CDN-Loop: other; v=1, awning\r\n")).await;
    assert_eq!(answer.status, 508);
    assert_eq!(answer.field("cache-status"), Some("awning; detail=loop"));
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn an_upstream_that_fails_is_answered_for_in_few_words() {
    let silent = Upstream::raw(b"").await;
    let gone = Upstream::gone().await;
    let nonsense = Upstream::raw(b"SSH-2.0-x\r\n\r\n").await;
    let mute = Upstream::streaming(|_| std::future::pending()).await;
    let patient = StorefrontLimits::standard();
    let hasty = StorefrontLimits { head: Duration::from_millis(50), ..patient.clone() };
    for (upstream, limits, status, detail) in [
        (&silent, &patient, 502, "upstream-unreachable"),
        (&gone, &patient, 502, "upstream-unreachable"),
        (&nonsense, &patient, 502, "upstream-unreachable"),
        (&mute, &hasty, 504, "upstream-timeout"),
    ] {
        let edge = shop_within(upstream, None, limits.clone()).await;
        let answer = ask(edge.public, get("/", "")).await;
        assert_eq!(answer.status, status, "{detail}");
        let told = format!("awning; fwd=bypass; detail={detail}");
        assert_eq!(answer.field("cache-status"), Some(&*told));
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        assert!(answer.body.len() < 64);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_stays_visibly_broken() {
    let upstream = Upstream::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    let edge = shop(&upstream, None).await;
    let mut wire = Wire::connect(edge.public).await;
    wire.send(get("/", "")).await;
    let head = wire.until(b"\r\n\r\n").await;
    assert!(String::from_utf8(head).unwrap().contains("content-length: 10\r\n"));
    assert_eq!(wire.rest().await, b"half", "the connection ends before the body does");
}

#[tokio::test]
async fn an_upstream_gets_only_so_many_requests_at_once() {
    let (first, body) = gated();
    let upstream = once(Response::new(body)).await;
    let limits = StorefrontLimits {
        requests_max: 1,
        turn: Duration::from_millis(20),
        ..StorefrontLimits::standard()
    };
    let edge = shop_within(&upstream, None, limits).await;
    let mut wire = Wire::connect(edge.public).await;
    wire.send(get("/", "")).await;
    wire.until(b"\r\n\r\n").await;
    let busy = ask(edge.public, get("/", "")).await;
    assert_eq!(busy.status, 503);
    assert_eq!(busy.field("retry-after"), Some("1"));
    first.send("x").await.unwrap();
    assert_eq!(wire.chunk().await, b"x", "the one in progress goes on");
}

#[tokio::test]
async fn visitors_who_leave_do_not_pile_work_on_an_upstream() {
    let gate = Arc::new(Semaphore::new(0));
    let turns = Arc::clone(&gate);
    let upstream = Upstream::answering(move |_: Request<Vec<u8>>| {
        let turns = Arc::clone(&turns);
        async move {
            turns.acquire().await.unwrap().forget();
            page("x")
        }
    })
    .await;
    let limits = StorefrontLimits {
        requests_max: 2,
        turn: Duration::from_millis(20),
        ..StorefrontLimits::standard()
    };
    let edge = shop_within(&upstream, None, limits).await;
    for number in 1..=2 {
        let mut wire = Wire::connect(edge.public).await;
        wire.send(get("/", "")).await;
        while upstream.count() < number {
            tokio::task::yield_now().await;
        }
    }
    // Both are gone, and the upstream works for them all the same.
    for _ in 0..5 {
        assert_eq!(ask(edge.public, get("/", "")).await.status, 503);
    }
    assert_eq!(upstream.count(), 2);
    gate.add_permits(3);
    while ask(edge.public, get("/", "")).await.status != 200 {}
    assert_eq!(upstream.count(), 3);
}

#[tokio::test]
async fn a_websocket_is_joined_to_its_upstream() {
    let upstream = Upstream::streaming(|mut request| async move {
        assert_eq!(request.headers()["upgrade"], "websocket");
        assert_eq!(request.headers()["sec-websocket-key"], "x");
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
            let (mut reader, mut writer) = tokio::io::split(&mut io);
            tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        });
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-accept", "y")
            .body(empty())
            .unwrap()
    })
    .await;
    let mut edge = shop(&upstream, Some(rewriting())).await;
    let mut wire = Wire::connect(edge.public).await;
    let fields =
        "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n";
    wire.send(get("/chat", fields)).await;
    let answer = wire.answer("GET").await;
    assert_eq!(answer.status, 101);
    assert_eq!(answer.field("sec-websocket-accept"), Some("y"));
    assert_eq!(answer.field("upgrade"), Some("websocket"));
    for piece in ["ping", "pong"] {
        wire.send(piece).await;
        assert_eq!(wire.exactly(4).await, piece.as_bytes());
    }
    edge.shutdown.cancel();
    assert_eq!(wire.rest().await, b"", "a tunnel does not hold up the end");
    (&mut edge.serving).await.unwrap();
}

#[tokio::test]
async fn no_other_protocol_is_switched_to() {
    let upstream = Upstream::answering(|request: Request<Vec<u8>>| async move {
        let asked = request.headers().contains_key("upgrade");
        Response::new(full(if asked { "asked" } else { "plain" }))
    })
    .await;
    let edge = shop(&upstream, None).await;
    let answer = ask(edge.public, get("/", "Connection: Upgrade\r\nUpgrade: foo\r\n")).await;
    assert_eq!((answer.status, answer.text()), (200, "plain"));
    let unasked = Upstream::raw(b"HTTP/1.1 101 Switching Protocols\r\n\r\nbytes").await;
    let edge = shop(&unasked, None).await;
    assert_eq!(ask(edge.public, get("/", "")).await.status, 502);
}

#[tokio::test]
async fn a_page_is_asked_for_plain_and_its_references_are_rewritten() {
    let html = "<link rel=stylesheet href=/static/a.css><a href=/b>b</a>";
    let upstream = once(page(html)).await;
    let edge = shop(&upstream, Some(rewriting())).await;
    let answer = ask(edge.public, get("/", "Accept-Encoding: gzip, br\r\n")).await;
    let rewritten = "<link rel=stylesheet href=https://cdn.example.nl/a.css><a href=/b>b</a>";
    assert_eq!(answer.text(), rewritten);
    assert_eq!(answer.field("etag"), Some("W/\"v1-0123456789ab\""));
    assert_eq!(answer.field("content-length"), None);
    assert_eq!(upstream.only().headers["accept-encoding"], "identity");
    assert!(edge.metrics.render().contains("awning_references_rewritten_total 1"));
}

#[tokio::test]
async fn a_page_is_revalidated_by_the_tag_it_was_given() {
    let upstream = Upstream::answering(|request: Request<Vec<u8>>| async move {
        let tags = request.headers().get("if-none-match").and_then(|tags| tags.to_str().ok());
        let status = if tags.is_some_and(|tags| tags.contains("\"v1\"")) { 304 } else { 200 };
        let response = Response::builder().status(status).header("etag", "\"v1\"");
        let response = response.header("last-modified", "Wed, 25 Nov 2026 00:00:00 GMT");
        response.header(CONTENT_TYPE, "text/html").body(empty()).unwrap()
    })
    .await;
    let edge = shop(&upstream, Some(rewriting())).await;
    for (tag, status) in [("W/\"v1-0123456789ab\"", 304), ("W/\"v1-aaaaaaaaaaaa\"", 200)] {
        let answer = ask(edge.public, get("/", &format!("If-None-Match: {tag}\r\n"))).await;
        assert_eq!(answer.status, status, "{tag}");
        assert_eq!(answer.field("etag"), Some("W/\"v1-0123456789ab\""), "{tag}");
        assert_eq!(answer.field("last-modified"), None, "{tag}");
    }
}

#[tokio::test]
async fn a_page_of_another_release_is_not_asked_for_by_its_date() {
    let upstream = once(page("<p>")).await;
    let edge = shop(&upstream, Some(rewriting())).await;
    let fields = "If-None-Match: W/\"v1-aaaaaaaaaaaa\"\r\n\
                  If-Modified-Since: Wed, 25 Nov 2026 00:00:00 GMT\r\n";
    ask(edge.public, get("/", fields)).await;
    let seen = upstream.only();
    assert!(!seen.headers.contains_key("if-none-match"), "{seen:?}");
    assert!(!seen.headers.contains_key("if-modified-since"), "{seen:?}");
}

#[tokio::test]
async fn what_cannot_be_a_page_is_asked_for_as_the_visitor_did() {
    let upstream = once(Response::new(full("x"))).await;
    let edge = shop(&upstream, Some(rewriting())).await;
    let fields = "Accept-Encoding: br\r\nSec-Fetch-Dest: script\r\nIf-None-Match: \"a\"\r\n";
    ask(edge.public, get("/app.js", fields)).await;
    let seen = upstream.only();
    assert_eq!(seen.headers["accept-encoding"], "br");
    assert_eq!(seen.headers["if-none-match"], "\"a\"");
}
