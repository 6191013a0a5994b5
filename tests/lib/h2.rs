//! HTTP/2 as raw frames: what a client may not ask, and floods that end the
//! connection of whoever sends them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use awning::shield::GatedRequest;
use awning::shield::body::{RequestBody, full};
use awning::shield::config::Serve;
use awning::shield::server::serve;
use http::Response;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::harness::edge::{Edge, config, edge};
use crate::harness::release::{CDN, Release, Street};
use crate::harness::wire::ask;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status: 200` as HPACK has it.
const OK: u8 = 0x88;
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads of the bucket that the shield has under way, and those of them that
/// it makes because others take long.
const READS_MAX: usize = 256 + HEDGES_MAX;
const HEDGES_MAX: usize = 5;

const PLAIN: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A list of fields, each as a literal with its own name.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

fn request(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block(fields))
}

/// A connection past its handshake.
async fn connect(edge: &Edge) -> TcpStream {
    connect_to(edge.public).await
}

async fn connect_to(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream
}

async fn next(stream: &mut TcpStream) -> Option<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
}

/// Whether stream 1 is answered with 200; otherwise it is refused, reset or
/// the connection ends.
async fn is_answered(stream: &mut TcpStream) -> bool {
    let reading = async {
        while let Some((kind, number, payload)) = next(stream).await {
            match (kind, number) {
                (HEADERS, 1) => {
                    // Behind what may be said of the table's size.
                    let status = payload.iter().find(|byte| *byte & 0xe0 != 0x20);
                    return status == Some(&OK);
                }
                (RST_STREAM, 1) | (GOAWAY, _) => return false,
                _ => {}
            }
        }
        false
    };
    timeout(PATIENCE, reading).await.unwrap()
}

/// A storefront that counts whom it sees, and reads their bodies.
async fn counting() -> (Edge, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let serve = Serve::Storefront { upstream: Url::parse("http://127.0.0.1:1").unwrap() };
    let edge = edge(config(serve), move |_: GatedRequest, body: RequestBody| {
        let count = Arc::clone(&count);
        async move {
            if body.collect().await.is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
            Response::new(full("ok"))
        }
    })
    .await;
    (edge, seen)
}

#[tokio::test]
async fn what_cannot_be_said_in_http1_never_reaches_a_site() {
    let (edge, seen) = counting().await;
    let mut stream = connect(&edge).await;
    stream.write_all(&request(1, PLAIN)).await.unwrap();
    assert!(is_answered(&mut stream).await, "a plain request is answered");
    let method = (":method", "GET");
    let (scheme, authority, path) = ((":scheme", "http"), (":authority", "a"), (":path", "/"));
    for fields in [
        &[method, scheme, authority, (":path", "/a b")][..],
        &[method, scheme, authority, (":path", "/a\r\nX: y")],
        &[method, scheme, authority, (":path", "//a")],
        &[method, scheme, authority, (":path", "*")],
        &[method, scheme, authority, (":path", "")],
        &[method, scheme, authority, path, path],
        &[method, scheme, authority, authority, path],
        &[method, scheme, (":authority", "a@b"), path],
        &[method, scheme, (":authority", "a/b"), path],
        &[method, scheme, path],
        &[method, scheme, authority, path, ("host", "b")],
        &[method, scheme, authority, path, ("connection", "close")],
        &[method, scheme, authority, path, ("transfer-encoding", "chunked")],
        &[method, scheme, authority, path, ("te", "gzip")],
        &[method, scheme, authority, path, ("upgrade", "h2c")],
        &[method, scheme, authority, path, ("x", "a\r\nb: c")],
        &[method, scheme, authority, path, ("x", "a\0")],
        &[method, scheme, authority, path, ("X", "a")],
        &[method, scheme, authority, path, ("x y", "a")],
        &[method, scheme, authority, path, ("content-length", "5")],
        &[method, scheme, authority, path, ("content-length", "0"), ("content-length", "0")],
        &[method, scheme, authority, path, (":late", "a")],
        &[method, scheme, authority, path, (":protocol", "websocket")],
        &[("x", "a"), method, scheme, authority, path],
        &[(":method", "CONNECT"), authority],
        &[(":method", "TRACE"), scheme, authority, path],
        &[scheme, authority, path],
    ] {
        let mut stream = connect(&edge).await;
        stream.write_all(&request(1, fields)).await.unwrap();
        assert!(!is_answered(&mut stream).await, "{fields:?}");
    }
    assert_eq!(seen.load(Ordering::Relaxed), 1, "only the plain one");
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_is_never_whole() {
    let (edge, seen) = counting().await;
    let fields = [PLAIN, &[("content-length", "5")]].concat();
    for body in ["1234", "123456"] {
        let mut stream = connect(&edge).await;
        stream.write_all(&frame(HEADERS, END_HEADERS, 1, &block(&fields))).await.unwrap();
        stream.write_all(&frame(DATA, END_STREAM, 1, body.as_bytes())).await.unwrap();
        is_answered(&mut stream).await;
    }
    assert_eq!(seen.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_get_that_ends_with_an_empty_frame_is_a_plain_one() {
    let respond = |_: GatedRequest, body: RequestBody| async move {
        assert!(http_body::Body::is_end_stream(&body));
        Response::new(full("ok"))
    };
    let edge = edge(config(Serve::Assets), respond).await;
    let zero = [PLAIN, &[("content-length", "0")]].concat();
    for (fields, bodies, welcome) in [
        (PLAIN, &[""][..], true),
        (PLAIN, &["", ""], true),
        (&zero, &[""], true),
        (PLAIN, &["x"], false),
        (PLAIN, &["", "x"], false),
    ] {
        let mut stream = connect(&edge).await;
        stream.write_all(&frame(HEADERS, END_HEADERS, 1, &block(fields))).await.unwrap();
        for (number, body) in (1..).zip(bodies) {
            let end = if number == bodies.len() { END_STREAM } else { 0 };
            stream.write_all(&frame(DATA, end, 1, body.as_bytes())).await.unwrap();
        }
        assert_eq!(is_answered(&mut stream).await, welcome, "{bodies:?}");
    }
}

/// Sends `bytes` again and again; whether the server ended the connection.
async fn is_ended_by(edge: &Edge, first: &[u8], again: impl Fn(u32) -> Vec<u8>) -> bool {
    let stream = connect(edge).await;
    let (mut from, mut to) = stream.into_split();
    let read = tokio::spawn(async move {
        let mut sink = Vec::new();
        let _ = from.read_to_end(&mut sink).await;
    });
    let flooding = async {
        if to.write_all(first).await.is_err() {
            return true;
        }
        for number in 0..20_000 {
            if to.write_all(&again(number)).await.is_err() || read.is_finished() {
                return true;
            }
        }
        read.is_finished()
    };
    timeout(PATIENCE, flooding).await.unwrap()
}

#[tokio::test]
async fn floods_end_the_connection_they_come_by_and_no_other() {
    let (edge, _) = counting().await;
    let open = frame(HEADERS, END_HEADERS, 1, &block(PLAIN));
    let rapid = |number: u32| {
        let stream = 1 + 2 * number;
        let mut frames = request(stream, PLAIN);
        frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        frames
    };
    assert!(is_ended_by(&edge, &[], rapid).await, "rapid reset");
    let unfinished = frame(HEADERS, END_STREAM, 1, &block(PLAIN));
    let long = |_| frame(CONTINUATION, 0, 1, &block(&[("x", "0123456789abcdef")]));
    assert!(is_ended_by(&edge, &unfinished, long).await, "continuation");
    let empty = |_| frame(CONTINUATION, 0, 1, &[]);
    assert!(is_ended_by(&edge, &unfinished, empty).await, "empty continuation");
    let nothing = |_| frame(DATA, 0, 1, &[]);
    assert!(is_ended_by(&edge, &open, nothing).await, "empty bodies");
    let zero = |number: u32| {
        let stream = 1 + 2 * number;
        let mut frames = request(stream, PLAIN);
        frames.extend(frame(WINDOW_UPDATE, 0, stream, &[0; 4]));
        frames
    };
    assert!(is_ended_by(&edge, &[], zero).await, "windows of nothing");
    let settings = |_| frame(SETTINGS, 0, 0, &[]);
    assert!(is_ended_by(&edge, &[], settings).await, "settings");
    let pings = |_| frame(PING, 0, 0, &[0; 8]);
    assert!(is_ended_by(&edge, &[], pings).await, "pings");
    let text = edge.metrics.render();
    assert!(text.contains(r#"awning_rejected_total{reason="flood"} 2"#), "{text}");
    let answer = ask(edge.public, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer.status, 200);
}

/// Reads frames until the end, or until as many of `kind` came as asked for;
/// pings are answered.
async fn read_until(stream: &mut TcpStream, kind: u8, count: usize) -> Vec<(u8, u32, Vec<u8>)> {
    let reading = async {
        let mut frames: Vec<(u8, u32, Vec<u8>)> = Vec::new();
        while frames.iter().filter(|(found, ..)| *found == kind).count() < count {
            let Some(read) = next(stream).await else { break };
            if read.0 == PING && kind != PING {
                stream.write_all(&frame(PING, ACK, 0, &read.2)).await.unwrap();
            }
            frames.push(read);
        }
        frames
    };
    timeout(PATIENCE, reading).await.unwrap()
}

#[tokio::test]
async fn every_stream_that_was_accepted_is_answered_before_the_end() {
    let turns = Arc::new(Semaphore::new(1_000));
    let gate = Arc::clone(&turns);
    let mut edge = edge(config(Serve::Assets), move |_: GatedRequest, _: RequestBody| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            Response::new(full("ok"))
        }
    })
    .await;
    let mut stream = connect(&edge).await;
    let (sequential, open) = (1_000, 50);
    let numbers = (1_u32..).step_by(2);
    for number in numbers.clone().take(sequential) {
        stream.write_all(&request(number, PLAIN)).await.unwrap();
        read_until(&mut stream, HEADERS, 1).await;
    }
    let accepted: BTreeSet<u32> = numbers.skip(sequential).take(open).collect();
    for number in &accepted {
        stream.write_all(&request(*number, PLAIN)).await.unwrap();
    }
    stream.write_all(&frame(PING, 0, 0, &[0; 8])).await.unwrap();
    read_until(&mut stream, PING, 1).await;
    edge.shutdown.cancel();
    let goaway = read_until(&mut stream, GOAWAY, 1).await;
    assert!(goaway.iter().any(|(kind, ..)| *kind == GOAWAY), "{goaway:?}");
    turns.add_permits(open);
    let rest = read_until(&mut stream, u8::MAX, 1).await;
    let answers = goaway.iter().chain(&rest).filter(|(kind, ..)| *kind == HEADERS);
    let answered: BTreeSet<u32> = answers.map(|(_, number, _)| *number).collect();
    assert_eq!(answered, accepted);
    assert!(!rest.iter().any(|(kind, ..)| *kind == RST_STREAM), "{rest:?}");
    (&mut edge.serving).await.unwrap();
}

#[tokio::test]
async fn streams_that_are_reset_while_they_wait_for_the_bucket_do_not_add_up() {
    let paths: Vec<_> = (0..400).map(|number| format!("{number}.css")).collect();
    let release =
        paths.iter().fold(Release::default().with("warm.css", "warm"), |release, path| {
            release.with(path, path.clone())
        });
    let street = Street::with(&release).await;
    let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = public.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let (shield, ending) = (Arc::clone(&street.shield), shutdown.clone());
    let serving = tokio::spawn(async move { serve(shield, public, admin, &[], ending).await });
    let warm = format!("GET {} HTTP/1.1\r\nHost: {CDN}\r\n\r\n", release.name("warm.css"));
    assert_eq!(ask(address, &warm).await.status, 200);

    let before = street.origin.gets("");
    street.origin.close();
    let mut stream = connect_to(address).await;
    let mut number = 1;
    for batch in paths.chunks(10) {
        let first = number;
        for path in batch {
            let path = release.name(path);
            let plain = [(":method", "GET"), (":scheme", "http"), (":authority", CDN)];
            let fields = [&plain[..], &[(":path", &path)]].concat();
            stream.write_all(&request(number, &fields)).await.unwrap();
            number += 2;
        }
        stream.write_all(&frame(PING, 0, 0, &[0; 8])).await.unwrap();
        read_until(&mut stream, PING, 1).await;
        for open in (first..number).step_by(2) {
            let cancel = 8_u32.to_be_bytes();
            stream.write_all(&frame(RST_STREAM, 0, open, &cancel)).await.unwrap();
        }
    }
    stream.write_all(&frame(PING, 0, 0, &[0; 8])).await.unwrap();
    let last = read_until(&mut stream, PING, 1).await;
    assert!(last.iter().all(|(kind, ..)| *kind != GOAWAY), "a proxy may do this: {last:?}");
    let asked = street.origin.gets("") - before;
    assert!((200..=READS_MAX).contains(&asked), "{asked} reads of the bucket are under way");
    let hit = ask(address, &warm).await;
    assert_eq!((hit.status, hit.text()), (200, "warm"));

    street.origin.open();
    assert!(street.shield.drain(PATIENCE).await);
    assert!(street.origin.gets("") - before <= paths.len() + HEDGES_MAX, "each is read once");
    shutdown.cancel();
    serving.await.unwrap();
}
