//! One connection over a pipe, with the clock standing still in between:
//! every deadline is met exactly.

mod multiplexed;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use http::Response;
use metrics::{Counter, Gauge};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::connection::{AGE_MAX, Ended, Endings, protocol, serve_connection};
use super::framed::Fault;
use super::roster::Roster;
use super::vigil::{Overdue, Patience};
use super::*;
use crate::shield::gate::Refusal;

const HEAD: &str = "GET / HTTP/1.1\r\nHost: a.nl\r\n\r\n";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SECOND: Duration = Duration::from_secs(1);
/// More than a pipe and hyper's buffers hold.
const LARGE: usize = 256 * 1024;

/// A connection to a small site, and the means to end it.
pub(super) struct Connection {
    pub(super) client: DuplexStream,
    server: JoinHandle<Ended>,
    endings: Endings,
    roster: Arc<Roster>,
    opened: Instant,
}

/// `pipe` is how many bytes fit between client and server.
pub(super) fn connect(router: Router, pipe: usize) -> Connection {
    let limits = Limits::standard();
    let patience = Patience { head: limits.head_timeout, idle: IDLE, write: limits.write_timeout };
    let roster = Roster::new(1, 1, Vec::new(), patience, Gauge::noop());
    let slot = roster.admit([127, 0, 0, 1].into(), Instant::now()).unwrap();
    let (client, io) = duplex(pipe);
    let endings = Endings::default();
    let inner = Arc::new(endings.clone());
    let server = tokio::spawn(async move {
        let protocol = protocol(&limits, Counter::noop());
        serve_connection(io, slot, None, router, &protocol, &inner).await
    });
    Connection { client, server, endings, roster, opened: Instant::now() }
}

impl Connection {
    /// Waits for the server to end the connection; says how and after how long.
    async fn end(self) -> (Ended, u64) {
        let ended = self.server.await.unwrap();
        (ended, self.opened.elapsed().as_secs())
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads to the end of a response without a body that ends in `ok`.
    async fn receive(&mut self) -> String {
        let mut got = Vec::new();
        while !got.ends_with(b"ok") {
            let mut byte = [0];
            self.client.read_exact(&mut byte).await.unwrap();
            got.push(byte[0]);
        }
        String::from_utf8(got).unwrap()
    }
}

fn site() -> Router {
    Router::new().route("/", get(async || "ok"))
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_no_whole_head_is_closed_after_five_seconds() {
    let unfinished: [&[u8]; 5] =
        [b"", b"G", b"GET / HTTP/1.1\r\nHost: a.nl\r\n", &PREFACE[..3], &PREFACE[..23]];
    for bytes in unfinished {
        let mut connection = connect(site(), 1024);
        connection.send(bytes).await;
        let end = connection.end().await;
        assert_eq!(end, (Ended::Overdue(Overdue::Head), 5), "{bytes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn dripping_bytes_buy_no_time() {
    let mut connection = connect(site(), 1024);
    for byte in HEAD.bytes() {
        tokio::time::sleep(Duration::from_millis(900)).await;
        if connection.client.write_all(&[byte]).await.is_err() {
            break;
        }
    }
    assert_eq!(connection.server.await.unwrap(), Ended::Overdue(Overdue::Head));
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_next_request_is_closed_when_idle() {
    let mut connection = connect(site(), 1024);
    connection.send(HEAD).await;
    assert!(connection.receive().await.starts_with("HTTP/1.1 200"));
    assert_eq!(connection.end().await, (Ended::Overdue(Overdue::Request), 15));
}

#[tokio::test(start_paused = true)]
async fn a_second_head_must_be_whole_in_time_as_well() {
    let mut connection = connect(site(), 1024);
    connection.send(HEAD).await;
    connection.receive().await;
    tokio::time::sleep(10 * SECOND).await;
    connection.send("GET / HT").await;
    assert_eq!(connection.end().await, (Ended::Overdue(Overdue::Head), 15));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_closed_after_fifteen_seconds() {
    let large = Router::new().route("/", get(async || vec![b'x'; 1 << 20]));
    let mut connection = connect(large, 4096);
    connection.send(HEAD).await;
    assert_eq!(connection.end().await, (Ended::Overdue(Overdue::Reading), 15));
}

/// Reads `bytes` every `pause` until the end: how many came in all, how the
/// connection ended, and after how many seconds.
async fn read_slowly(bytes: usize, pause: Duration) -> (usize, Ended, u64) {
    let large = Router::new().route("/", get(async || vec![b'x'; LARGE]));
    let mut connection = connect(large, 4096);
    connection.send("GET / HTTP/1.1\r\nHost: a.nl\r\nConnection: close\r\n\r\n").await;
    let Connection { mut client, server, opened, .. } = connection;
    let reading = tokio::spawn(async move {
        let (mut got, mut piece) = (Vec::new(), vec![0; bytes]);
        loop {
            tokio::time::sleep(pause).await;
            match client.read(&mut piece).await.unwrap() {
                0 => break,
                count => got.extend_from_slice(&piece[..count]),
            }
        }
        got.iter().filter(|byte| **byte == b'x').count()
    });
    let ended = server.await.unwrap();
    let after = opened.elapsed().as_secs();
    (reading.await.unwrap(), ended, after)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_gets_everything() {
    for (bytes, pause) in [(4096, 2 * SECOND), (1200, SECOND), (300, SECOND / 4)] {
        let (got, ended, _) = read_slowly(bytes, pause).await;
        assert_eq!((got, ended), (LARGE, Ended::Closed), "{bytes} every {pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_a_byte_now_and_then_is_closed_after_fifteen_seconds() {
    for (bytes, pause) in [(1, 14 * SECOND), (1, SECOND), (1000, SECOND), (4096, 10 * SECOND)] {
        let (got, ended, after) = read_slowly(bytes, pause).await;
        assert_eq!(ended, Ended::Overdue(Overdue::Reading), "{bytes} every {pause:?}");
        assert_eq!(after, 15, "{bytes} every {pause:?}");
        assert!(got < LARGE, "{bytes} every {pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_comes_slowly_is_not_its_readers_fault() {
    let drip = Router::new().route(
        "/",
        get(async || {
            let bytes = futures_util::stream::unfold(0, async |count| {
                tokio::time::sleep(20 * SECOND).await;
                (count < 5).then_some((Ok::<_, io::Error>("tick"), count + 1))
            });
            Body::from_stream(bytes)
        }),
    );
    let mut connection = connect(drip, 4096);
    connection.send("GET / HTTP/1.1\r\nHost: a.nl\r\nConnection: close\r\n\r\n").await;
    let mut got = String::new();
    connection.client.read_to_string(&mut got).await.unwrap();
    assert_eq!(got.matches("tick").count(), 5);
    assert_eq!(connection.server.await.unwrap(), Ended::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_origin_may_take_longer_than_any_client() {
    let slow = Router::new().route(
        "/",
        get(async || {
            tokio::time::sleep(60 * SECOND).await;
            "ok"
        }),
    );
    let mut connection = connect(slow, 1024);
    connection.send(HEAD).await;
    assert!(connection.receive().await.starts_with("HTTP/1.1 200"));
    assert_eq!(connection.opened.elapsed(), 60 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn shutting_down_finishes_what_is_in_progress_and_takes_nothing_new() {
    let (reached, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (at, until) = (Arc::clone(&reached), Arc::clone(&release));
    let gated = Router::new().route(
        "/",
        get(async move || {
            at.notify_one();
            until.notified().await;
            "ok"
        }),
    );
    let mut connection = connect(gated, 1024);
    connection.send(HEAD).await;
    reached.notified().await;
    connection.endings.graceful.cancel();
    tokio::task::yield_now().await;
    release.notify_one();
    let response = connection.receive().await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(response.to_lowercase().contains("connection: close"), "{response}");
    assert_eq!(connection.end().await, (Ended::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_ends_behind_a_response() {
    let mut connection = connect(site(), 1024);
    while connection.opened.elapsed() < AGE_MAX {
        connection.send(HEAD).await;
        let response = connection.receive().await;
        assert!(!response.contains("connection: close"), "{response}");
        tokio::time::sleep(10 * SECOND).await;
    }
    let (ended, after) = connection.end().await;
    assert_eq!(ended, Ended::Closed);
    assert!((3600..3620).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_left_ends_behind_its_next_response() {
    let mut connection = connect(site(), 1024);
    connection.send(HEAD).await;
    connection.receive().await;
    connection.endings.leaving.cancel();
    tokio::time::sleep(10 * SECOND).await;
    connection.send(HEAD).await;
    let response = connection.receive().await;
    assert!(response.to_lowercase().contains("connection: close"), "{response}");
    assert_eq!(connection.end().await, (Ended::Closed, 10));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_takes_its_turn_behind_slower_responses() {
    let slow = Router::new().route(
        "/",
        get(async || {
            tokio::time::sleep(SECOND).await;
            "ok"
        }),
    );
    let mut connection = connect(slow, 4096);
    connection.send(HEAD).await;
    connection.send("GET / HTTP/1.1\nHost: a\n\n").await;
    connection.send(HEAD).await;
    let first = connection.receive().await;
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    let mut rest = String::new();
    connection.client.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 400"), "{rest}");
    assert!(rest.contains("cache-status: awning; detail=head-malformed"), "{rest}");
    assert!(rest.contains("connection: close"), "{rest}");
    assert_eq!(rest.matches("HTTP/1.1").count(), 1, "{rest}");
    let Connection { client, server, .. } = connection;
    drop(client);
    assert_eq!(server.await.unwrap(), Ended::Refused(Refusal::HeadMalformed));
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_at_once_when_it_must() {
    let connection = connect(site(), 1024);
    connection.endings.abrupt.cancel();
    assert_eq!(connection.end().await, (Ended::Aborted, 0));
    let connection = connect(site(), 1024);
    connection.roster.make_room();
    assert_eq!(connection.end().await, (Ended::Shed, 0));
}

#[tokio::test(start_paused = true)]
async fn a_bug_met_by_one_request_is_that_requests_alone() {
    let buggy = site().route("/bug", get(|| async { bug() }));
    let mut connection = connect(buggy, 4096);
    connection.send("GET /bug HTTP/1.1\r\nHost: a.nl\r\n\r\n").await;
    connection.send(HEAD).await;
    let both = connection.receive().await;
    assert!(both.starts_with("HTTP/1.1 500"), "{both}");
    assert!(both.contains("cache-status: awning; detail=bug"), "{both}");
    assert!(both.contains("HTTP/1.1 200"), "the connection goes on: {both}");
}

fn bug() -> Response<Body> {
    panic!("a bug, on purpose")
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_read_ends_the_connection_and_is_told() {
    let echo = Router::new().route("/", get(async |body: Bytes| body));
    let mut connection = connect(echo, 4096);
    let head = "GET / HTTP/1.1\r\nHost: a.nl\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.send(format!("{head}1\r\naXX")).await;
    let mut rest = String::new();
    connection.client.read_to_string(&mut rest).await.unwrap();
    assert!(!rest.starts_with("HTTP/1.1 200"), "{rest}");
    assert_eq!(connection.server.await.unwrap(), Ended::Faulty(Fault::Body));
}

#[test]
fn running_out_of_descriptors_is_known_by_its_number() {
    for errno in [Errno::MFILE, Errno::NFILE] {
        assert!(is_out_of_descriptors(&io::Error::from(errno)));
    }
    assert!(!is_out_of_descriptors(&io::Error::from(Errno::CONNABORTED)));
}
