//! The same for HTTP/2, some of it as raw frames.

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::connection::{AGE_MAX, Ended};
use super::super::framed::Fault;
use super::super::vigil::Overdue;
use super::{Connection, PREFACE, SECOND, connect, site};

/// The window of an HTTP/2 stream: less than a response.
const PIECE: u32 = 64 * 1024;
/// An empty SETTINGS frame: the handshake is complete.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
/// `GET /` from `a`, as far as HPACK has numbers for it.
const BLOCK: [u8; 6] = [0x82, 0x86, 0x84, 0x41, 1, b'a'];

#[tokio::test(start_paused = true)]
async fn a_silent_http2_connection_is_closed_like_any_other() {
    let mut connection = connect(site(), 1024);
    connection.send(PREFACE).await;
    connection.send(SETTINGS).await;
    let mut client = connection.client;
    let drained = tokio::spawn(async move {
        let mut frames = Vec::new();
        client.read_to_end(&mut frames).await.unwrap();
        frames.len()
    });
    assert_eq!(connection.server.await.unwrap(), Ended::Overdue(Overdue::Head));
    assert!(drained.await.unwrap() > 0, "the server spoke HTTP/2");
}

#[tokio::test(start_paused = true)]
async fn an_http2_client_that_opens_no_window_is_closed_although_it_answers_pings() {
    let large = Router::new().route("/", get(async || vec![b'x'; 1 << 20]));
    let Connection { client, server, opened, .. } = connect(large, 1 << 16);
    let handshake = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(PIECE)
        .handshake(TokioIo::new(client));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://a.nl/").body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(server.await.unwrap(), Ended::Overdue(Overdue::Reading));
    assert_eq!(opened.elapsed().as_secs(), 15);
    drop(response);
}

#[tokio::test(start_paused = true)]
async fn an_http2_visitor_that_stopped_is_ended_alone() {
    let sizes = Router::new()
        .route("/", get(async || "ok"))
        .route("/large", get(async || vec![b'x'; 1 << 20]));
    let Connection { client, server, opened, .. } = connect(sizes, 1 << 16);
    let handshake = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(PIECE)
        .initial_connection_window_size(16 * PIECE)
        .handshake(TokioIo::new(client));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let mut ask = async |path: &str| {
        let request = Request::get(format!("http://a.nl{path}")).body(Empty::<Bytes>::new());
        sender.send_request(request.unwrap()).await.unwrap()
    };
    let stopped = ask("/large").await;
    let mut reading = ask("/large").await.into_body();
    let mut got = 0;
    while let Some(Ok(frame)) = reading.frame().await {
        let before = got / PIECE;
        got += u32::try_from(frame.into_data().unwrap().len()).unwrap();
        tokio::time::sleep(2 * (got / PIECE - before) * SECOND).await;
    }
    assert_eq!(got, 1 << 20, "another visitor of the same proxy");
    assert!(opened.elapsed() > 30 * SECOND);
    assert!(stopped.into_body().collect().await.is_err(), "it was ended meanwhile");
    let again = ask("/").await.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(again, "ok", "the connection goes on");
    assert_eq!(server.await.unwrap(), Ended::Overdue(Overdue::Request));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_streams_without_a_window_are_closed_after_fifteen_seconds() {
    let large = Router::new().route("/", get(async || vec![b'x'; 1 << 20]));
    let mut connection = connect(large, 1 << 16);
    connection.send(PREFACE).await;
    // SETTINGS_INITIAL_WINDOW_SIZE is 0.
    connection.send([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]).await;
    for stream in (1..200_u8).step_by(2) {
        connection.send([0, 0, 6, 1, 5, 0, 0, 0, stream]).await;
        connection.send(BLOCK).await;
    }
    let Connection { client, server, opened, .. } = connection;
    let (mut from, mut to) = tokio::io::split(client);
    let read = tokio::spawn(async move {
        let mut got = Vec::new();
        from.read_to_end(&mut got).await.unwrap();
        got.len()
    });
    while to.write_all(&PING).await.is_ok() {
        tokio::time::sleep(4 * SECOND).await;
    }
    assert_eq!(server.await.unwrap(), Ended::Overdue(Overdue::Reading));
    assert!((15..20).contains(&opened.elapsed().as_secs()));
    assert!(read.await.unwrap() < 64 * 1024, "heads came, and no bodies");
}

#[tokio::test(start_paused = true)]
async fn pings_do_not_keep_an_idle_http2_connection() {
    let mut connection = connect(site(), 1 << 16);
    connection.send(PREFACE).await;
    connection.send(SETTINGS).await;
    connection.send([0, 0, 6, 1, 5, 0, 0, 0, 1]).await;
    connection.send(BLOCK).await;
    let Connection { client, server, opened, .. } = connection;
    let (mut from, mut to) = tokio::io::split(client);
    let read = tokio::spawn(async move {
        let mut got = Vec::new();
        from.read_to_end(&mut got).await.unwrap();
        got
    });
    while to.write_all(&PING).await.is_ok() {
        tokio::time::sleep(4 * SECOND).await;
    }
    assert_eq!(server.await.unwrap(), Ended::Overdue(Overdue::Request));
    assert!(opened.elapsed() < 20 * SECOND);
    assert!(read.await.unwrap().ends_with(&PING[9..]), "each was answered");
}

#[tokio::test(start_paused = true)]
async fn floods_of_frames_that_carry_nothing_end_the_connection() {
    for kind in [2, 3, 4, 6, 77] {
        let mut connection = connect(site(), 1 << 16);
        connection.send(PREFACE).await;
        connection.send(SETTINGS).await;
        let (mut from, mut to) = tokio::io::split(connection.client);
        tokio::spawn(async move {
            let mut sink = Vec::new();
            let _ = from.read_to_end(&mut sink).await;
        });
        let frame: &[u8] = match kind {
            // What each needs to be well-formed.
            2 => &[0, 0, 5, 2, 0, 0, 0, 0, 3, 0, 0, 0, 1, 1],
            3 => &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8],
            4 => &SETTINGS,
            6 => &PING,
            _ => &[0, 0, 0, 77, 0, 0, 0, 0, 0],
        };
        let mut sent = 0;
        while sent < 100_000 && to.write_all(frame).await.is_ok() {
            sent += 1;
        }
        assert!(sent < 100_000, "{kind}");
        let ended = connection.server.await.unwrap();
        // A stream that was never opened cannot be reset, which h2 sees itself.
        let expected = if kind == 3 { Ended::Closed } else { Ended::Faulty(Fault::Flood) };
        assert_eq!(ended, expected, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_http2_connection_says_where_it_stops() {
    let Connection { client, server, opened, .. } = connect(site(), 1 << 16);
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(client));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    while sender.ready().await.is_ok() {
        let request = Request::get("http://a.nl/").body(Empty::<Bytes>::new()).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
        tokio::time::sleep(7 * SECOND).await;
    }
    assert_eq!(server.await.unwrap(), Ended::Closed);
    let after = opened.elapsed();
    assert!((AGE_MAX..AGE_MAX + 20 * SECOND).contains(&after), "{after:?}");
}
