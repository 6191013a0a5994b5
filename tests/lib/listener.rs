//! The listener on real sockets: what silent clients cannot do, and how it ends.

use std::sync::Arc;

use awning::shield::GatedRequest;
use awning::shield::body::{RequestBody, full};
use awning::shield::config::{Config, Limits, Serve};
use http::Response;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::harness::edge::{Edge, config, edge};
use crate::harness::open_files::make_room;
use crate::harness::wire::{Wire, ask};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn limited(connections_max: usize, connections_per_peer_max: usize) -> Config {
    let limits = Limits { connections_max, connections_per_peer_max, ..Limits::standard() };
    Config { limits, ..config(Serve::Assets) }
}

async fn greeting(config: Config) -> Edge {
    edge(config, |_: GatedRequest, _: RequestBody| async { Response::new(full("ok")) }).await
}

#[tokio::test]
async fn three_hundred_silent_clients_do_not_stop_a_normal_one() {
    make_room();
    let edge = greeting(limited(50, 1_000)).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(edge.public).await.unwrap());
    }
    let answer = ask(edge.public, REQUEST).await;
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    let text = edge.metrics.render();
    assert!(text.contains(r#"awning_rejected_total{reason="shed"}"#), "{text}");
}

#[tokio::test]
async fn one_peer_holds_only_its_share() {
    let edge = greeting(limited(50, 2)).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut wire = Wire::connect(edge.public).await;
        wire.send(REQUEST).await;
        assert_eq!(wire.answer("GET").await.status, 200);
        held.push(wire);
    }
    let mut refused = Wire::connect(edge.public).await;
    assert_eq!(refused.rest().await, b"");
    let text = edge.metrics.render();
    let counted = r#"awning_rejected_total{reason="connections-of-peer"} 1"#;
    assert!(text.contains(counted), "{text}");
    assert!(text.contains("awning_connections 2"), "{text}");
}

#[tokio::test]
async fn shutting_down_finishes_the_response_in_progress() {
    let (reached, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let gates = (Arc::clone(&reached), Arc::clone(&release));
    let mut edge = edge(limited(50, 50), move |_: GatedRequest, _: RequestBody| {
        let (reached, release) = gates.clone();
        async move {
            reached.notify_one();
            release.notified().await;
            Response::new(full("ok"))
        }
    })
    .await;
    let mut wire = Wire::connect(edge.public).await;
    let mut idle = Wire::connect(edge.public).await;
    wire.send(REQUEST).await;
    reached.notified().await;
    edge.shutdown.cancel();
    assert_eq!(idle.rest().await, b"", "connections without a request end first");
    release.notify_one();
    let answer = wire.answer("GET").await;
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    assert_eq!(answer.field("connection"), Some("close"));
    (&mut edge.serving).await.unwrap();
    assert!(TcpStream::connect(edge.public).await.is_err(), "nothing listens any more");
}

#[tokio::test]
async fn what_was_sent_before_the_end_is_answered() {
    let mut edge = greeting(limited(50, 50)).await;
    let mut idle = Wire::connect(edge.public).await;
    idle.send(REQUEST).await;
    assert_eq!(idle.answer("GET").await.status, 200);
    let mut silent = Wire::connect(edge.public).await;
    ask(edge.public, REQUEST).await;
    // From here on the server does not run until the end has begun, so this
    // connection waits to be accepted.
    let mut queued = std::net::TcpStream::connect(edge.public).unwrap();
    std::io::Write::write_all(&mut queued, REQUEST.as_bytes()).unwrap();
    idle.send(REQUEST).await;
    silent.send(REQUEST).await;
    edge.shutdown.cancel();
    for wire in [&mut idle, &mut silent] {
        let answer = wire.answer("GET").await;
        assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    }
    (&mut edge.serving).await.unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut queued, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn what_does_not_end_in_time_is_broken_off() {
    let reached = Arc::new(Notify::new());
    let gate = Arc::clone(&reached);
    let mut config = limited(50, 50);
    config.limits.drain = std::time::Duration::from_millis(50);
    let mut edge = edge(config, move |_: GatedRequest, _: RequestBody| {
        gate.notify_one();
        std::future::pending()
    })
    .await;
    let mut wire = Wire::connect(edge.public).await;
    wire.send(REQUEST).await;
    reached.notified().await;
    edge.shutdown.cancel();
    (&mut edge.serving).await.unwrap();
    assert_eq!(wire.rest().await, b"");
}

#[tokio::test]
async fn http2_is_spoken_with_prior_knowledge() {
    let edge = edge(config(Serve::Assets), |request: GatedRequest, _: RequestBody| async move {
        Response::new(full(format!("{} {}", request.host, request.target())))
    })
    .await;
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .http2_only(true)
        .build_http::<http_body_util::Empty<bytes::Bytes>>();
    let uri = format!("http://{}/x?y", edge.public).parse().unwrap();
    let response = client.get(uri).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    assert_eq!(body, "127.0.0.1 /x?y");
}
