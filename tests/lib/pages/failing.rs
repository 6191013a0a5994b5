//! An upstream that is down: it is left alone, and hits are none the worse.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use awning::shield::body::full;
use http::Response;

use super::{Shop, body};
use crate::harness::visit::get;

/// A shop whose upstream hangs up while it is down.
async fn switched() -> (Shop, Arc<AtomicBool>) {
    let up = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&up);
    let shop = Shop::scripted(move |number, _| {
        let response = Response::builder().header("cache-control", "max-age=60");
        switch.load(Ordering::Relaxed).then(|| response.body(body(number)))
    });
    (shop.await, up)
}

#[tokio::test]
async fn a_uri_that_fails_is_asked_for_once_a_second() {
    let (shop, up) = switched().await;
    up.store(false, Ordering::Relaxed);
    for round in 1..=3 {
        for _ in 0..20 {
            assert_eq!(shop.see("/").await.status, 502);
        }
        assert_eq!(shop.fetches(), round);
        shop.wait(1);
    }
    up.store(true, Ordering::Relaxed);
    assert_eq!(shop.see("/").await.status, 200);
}

#[tokio::test]
async fn a_purge_lets_a_uri_be_asked_for_at_once() {
    let (shop, up) = switched().await;
    up.store(false, Ordering::Relaxed);
    assert_eq!(shop.see("/").await.status, 502);
    up.store(true, Ordering::Relaxed);
    shop.shield.epochs().advance();
    assert_eq!(shop.see("/").await.status, 200);
}

// The pauses of the breaker are not waited for: with time at rest, it is open.
#[tokio::test]
async fn an_upstream_that_is_down_is_left_alone_and_hits_are_none_the_worse() {
    let (shop, up) = switched().await;
    shop.see("/stale").await;
    shop.wait(50);
    shop.see("/fresher").await;
    shop.wait(11);
    up.store(false, Ordering::Relaxed);
    tokio::time::pause();
    // All at once, that may be what these URIs do to it.
    for number in 0..10 {
        assert_eq!(shop.see(&format!("/{number}")).await.status, 502);
    }
    tokio::time::advance(Duration::from_millis(500)).await;
    assert_eq!(shop.see("/10").await.status, 502);
    let asked = shop.fetches();
    for number in 11..50 {
        let seen = shop.see(&format!("/{number}")).await;
        assert_eq!((seen.status, seen.header("retry-after")), (503, "1"));
        assert_eq!(seen.header("cache-status"), "awning; detail=upstream-down");
    }
    assert_eq!(shop.visit(get("shop.nl", "/form").method("POST")).await.status, 503);
    let seen = shop.see("/fresher").await;
    assert_eq!((seen.status, seen.header("cache-status")), (200, "awning; hit; ttl=49"));
    let seen = shop.see("/stale").await;
    assert_eq!(seen.status, 200);
    assert!(seen.header("cache-status").contains("detail=stale-if-error"), "{seen:?}");
    assert_eq!(shop.fetches(), asked);

    up.store(true, Ordering::Relaxed);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(shop.see("/again").await.status, 200);
}

#[tokio::test]
async fn an_upload_that_is_hung_up_on_does_not_make_an_upstream_down() {
    let shop = Shop::scripted(|_, request| {
        (request.method() == "GET").then(|| Response::builder().body(full("ok")))
    })
    .await;
    for _ in 0..10 {
        let seen = shop.visit(get("shop.nl", "/").method("POST").body("upload")).await;
        assert_eq!(seen.status, 502);
    }
    assert_eq!(shop.see("/").await.text(), "ok");
}
