//! What is stale: when it is served all the same, and when never.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use awning::shield::body::full;
use awning::shield::config::Pages;
use http::{Request, Response};
use tokio::sync::Semaphore;

use super::{Shop, body};
use crate::harness::upstream::Upstream;
use crate::harness::visit::get;

#[tokio::test]
async fn while_it_is_refreshed_the_old_one_is_served_at_once() {
    let (count, gate) = (Arc::new(AtomicUsize::new(1)), Arc::new(Semaphore::new(1)));
    let held = Arc::clone(&gate);
    let upstream = Upstream::answering(move |_: Request<Vec<u8>>| {
        let (number, gate) = (count.fetch_add(1, Ordering::Relaxed), Arc::clone(&held));
        async move {
            gate.acquire().await.unwrap().forget();
            let terms = "max-age=60, stale-while-revalidate=30";
            Response::builder().header("cache-control", terms).body(body(number)).unwrap()
        }
    });
    let shop = Shop::before(upstream.await, Pages::default());
    shop.see("/").await;
    shop.wait(61);
    for _ in 0..5 {
        let seen = shop.see("/").await;
        assert_eq!(seen.text(), "answer 1");
        let told = "awning; hit; ttl=-1; detail=stale-while-revalidate";
        assert_eq!(seen.header("cache-status"), told);
    }
    gate.add_permits(1);
    while shop.see("/").await.text() == "answer 1" {
        tokio::task::yield_now().await;
    }
    let seen = shop.see("/").await;
    assert_eq!((seen.text(), seen.header("cache-status")), ("answer 2", "awning; hit; ttl=60"));
    assert_eq!(shop.upstream.count(), 2, "it was refreshed once");

    shop.wait(91);
    gate.add_permits(1);
    let seen = shop.see("/").await;
    assert_eq!(seen.text(), "answer 3", "the window is over");
    assert!(seen.header("cache-status").contains("fwd=stale; fwd-status=200"), "{seen:?}");
}

/// A shop whose upstream answers once with these terms, and then fails: with
/// this status, or by hanging up.
async fn failing(cache_control: &'static str, status: Option<u16>) -> Shop {
    let shop = Shop::scripted(move |number, _| match (number, status) {
        (1, _) => Some(Response::builder().header("cache-control", cache_control).body(body(1))),
        (_, Some(status)) => Some(Response::builder().status(status).body(full("error"))),
        (_, None) => None,
    })
    .await;
    assert_eq!(shop.see("/").await.text(), "answer 1");
    shop
}

#[tokio::test]
async fn an_upstream_that_fails_is_excused_for_as_long_as_its_response_says() {
    for status in [500, 502, 503, 504] {
        let shop = failing("max-age=60, stale-if-error=60", Some(status)).await;
        shop.wait(61);
        let seen = shop.see("/").await;
        let told = format!("awning; fwd=stale; fwd-status={status}; ttl=-1; detail=stale-if-error");
        assert_eq!((seen.text(), seen.header("cache-status")), ("answer 1", told.as_str()));
        // For a second it is not asked again.
        let told = "awning; hit; ttl=-1; detail=stale-if-error";
        for _ in 0..10 {
            let seen = shop.see("/").await;
            assert_eq!((seen.text(), seen.header("cache-status")), ("answer 1", told));
        }
        assert_eq!(shop.fetches(), 2);
        shop.wait(1);
        assert_eq!(shop.see("/").await.text(), "answer 1");
        assert_eq!(shop.fetches(), 3);
        shop.wait(60);
        assert_eq!(shop.see("/").await.status, status, "the window is over");
    }
    let shop = failing("max-age=60, stale-if-error=60", Some(501)).await;
    shop.wait(61);
    assert_eq!(shop.see("/").await.status, 501, "no failure that is excused");
}

#[tokio::test]
async fn an_error_without_an_excuse_is_passed_on_to_all() {
    let shop = failing("max-age=60", Some(503)).await;
    shop.wait(61);
    for _ in 0..3 {
        let seen = shop.see("/").await;
        assert_eq!((seen.status, seen.text()), (503, "error"));
    }
}

#[tokio::test]
async fn what_is_stored_is_served_when_there_is_no_upstream() {
    let shop = failing("max-age=60", None).await;
    shop.wait(100_000);
    for visit in [get("shop.nl", "/"), get("shop.nl", "/").method("HEAD")] {
        let seen = shop.visit(visit).await;
        assert_eq!(seen.status, 200);
        assert!(seen.header("cache-status").contains("detail=stale-if-error"), "{seen:?}");
    }
    let seen = shop.visit(get("shop.nl", "/").header("cache-control", "no-cache")).await;
    assert_eq!(seen.text(), "answer 1");
    assert_eq!(shop.fetches(), 2, "the upstream is asked once a second");
}

#[tokio::test]
async fn what_must_be_validated_is_never_served_when_it_cannot_be() {
    for terms in [
        "max-age=60, must-revalidate",
        "max-age=60, proxy-revalidate",
        "s-maxage=60",
        "max-age=60, must-revalidate, stale-if-error=600",
        "max-age=60, no-cache",
    ] {
        let shop = failing(terms, None).await;
        shop.wait(61);
        for _ in 0..10 {
            let seen = shop.see("/").await;
            assert_eq!(seen.status, 502, "{terms}");
            assert_eq!(seen.header("cache-control"), "no-store", "{terms}");
            assert!(
                seen.header("cache-status").contains("detail=upstream-unreachable"),
                "{seen:?}"
            );
        }
        assert_eq!(shop.fetches(), 2, "{terms}: the upstream is asked once a second");
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_told_from_one_that_is_gone() {
    let upstream = Upstream::answering(|request: Request<Vec<u8>>| async move {
        if request.uri() == "/" {
            std::future::pending::<()>().await;
        }
        Response::new(full(""))
    });
    let shop = Shop::before(upstream.await, Pages::default());
    let shield = Arc::clone(&shop.shield);
    let visit = tokio::spawn(async move { get("shop.nl", "/").of(&shield).await });
    while shop.upstream.count() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    let seen = visit.await.unwrap();
    assert_eq!(seen.status, 504);
    let told = "awning; fwd=uri-miss; detail=upstream-timeout";
    assert_eq!(seen.header("cache-status"), told);
    let seen = shop.see("/").await;
    assert_eq!(
        (seen.status, seen.header("cache-status")),
        (504, "awning; detail=upstream-timeout")
    );
    assert_eq!(shop.fetches(), 1);
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.see("/other").await.status, 200);
}
