//! The framing and hyper on the same bytes: hyper is given exactly the heads
//! that the framing admits, and never has a reason to answer by itself.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::time::timeout;

use super::framing::HeadLimits;
use super::framing::tests::{FRAGMENTS, Read, read};
use super::tests::connect;
use super::*;

/// What a site saw of a connection, and what its client read.
struct Seen {
    requests: Vec<String>,
    answers: String,
}

fn telling(seen: Arc<Mutex<Vec<String>>>) -> Router {
    Router::new().fallback(move |request: Request| async move {
        let line = format!("{} {}", request.method(), request.uri());
        seen.lock().unwrap().push(line);
        // Whether it is whole is not the question here.
        let _ = request.into_body().collect().await;
        "ok"
    })
}

async fn send(pieces: &[&[u8]]) -> Seen {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let connection = connect(telling(Arc::clone(&requests)), 1 << 20);
    let (mut from, mut to) = split(connection.client);
    for piece in pieces {
        if to.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut answers = Vec::new();
    // The clock stands still while anything happens: this is when nothing does.
    let _ = timeout(Duration::from_secs(3), from.read_to_end(&mut answers)).await;
    let requests = requests.lock().unwrap().clone();
    Seen { requests, answers: String::from_utf8_lossy(&answers).into_owned() }
}

fn framed(stream: &[u8]) -> Read {
    let limits = Limits::standard();
    let limits =
        HeadLimits { bytes_max: limits.head_bytes_max, fields_max: limits.header_fields_max };
    read(stream, &[], limits)
}

async fn agree(stream: &[u8], cuts: &[usize]) {
    let mut pieces = Vec::new();
    let mut from = 0;
    for end in cuts.iter().copied().chain([stream.len()]) {
        pieces.push(&stream[from..end]);
        from = end;
    }
    let (framed, seen) = (framed(stream), send(&pieces).await);
    let shown = String::from_utf8_lossy(stream);
    let lines: Vec<_> =
        framed.heads.iter().map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect();
    assert_eq!(seen.requests, lines, "{shown:?} cut at {cuts:?}");
    let bare = seen
        .answers
        .split("HTTP/1.1 ")
        .skip(1)
        .any(|answer| !answer.starts_with("200") && !answer.contains("cache-status: awning"));
    assert!(!bare, "{shown:?} cut at {cuts:?}: {}", seen.answers);
    if let (Some(refusal), false) = (framed.refused, framed.broken) {
        let status = format!("HTTP/1.1 {}", refusal.status().as_u16());
        assert!(seen.answers.contains(&status), "{shown:?}: {}", seen.answers);
    }
}

fn in_still_time(future: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(future);
}

#[test]
fn hyper_sees_the_same_requests_wherever_their_bytes_are_cut() {
    let stream = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
                  POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /\
                  POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                  5;x=y\r\nGET /\r\n0\r\nX: y\r\n\r\n\r\n\
                  GET /4 HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n\
                  GET /5 HTTP/1.1\r\nHost: a\r\n\r\n\
                  GET /6 HTTP/1.1\nHost: a\n\n";
    in_still_time(async {
        for cut in 0..=stream.len() {
            agree(stream.as_bytes(), &[cut]).await;
        }
    });
}

#[test]
fn ten_thousand_requests_in_one_write_are_answered_in_turn() {
    let mut stream: Vec<u8> = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10_000);
    stream.extend(b"BAD\n");
    in_still_time(async {
        let seen = send(&[&stream]).await;
        assert_eq!(seen.requests.len(), 10_000);
        assert!(seen.answers.contains("HTTP/1.1 400"), "the refusal comes last");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_framing_and_hyper_agree_about_every_head(
        fragments in prop::collection::vec(prop::sample::select(FRAGMENTS), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let stream = fragments.concat().into_bytes();
        let cut = cut.index(stream.len() + 1);
        in_still_time(agree(&stream, &[cut]));
    }
}
