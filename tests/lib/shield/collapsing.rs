//! Collapsing: many requests, one forward, whatever becomes of its clients,
//! its origin, or the cache meanwhile.

use std::sync::Arc;
use std::time::Duration;

use awning::store::StoreErrorKind;
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;

use crate::harness::origin::Script;
use crate::harness::release::{CDN, Release, SITE, Street};
use crate::harness::visit::{Seen, Visit, get};

/// More than 8 MiB, so that it is released while it arrives.
const FILM_BYTES: usize = 10 * 1024 * 1024 + 7;

fn release() -> Release {
    Release::default()
        .with("app.css", "a{color:red}")
        .with("index.html", "<link href=/app.css rel=stylesheet>")
        .with("film.mp4", film())
}

fn film() -> Vec<u8> {
    let reel: Vec<u8> = (0..251).collect();
    let mut film = reel.repeat(FILM_BYTES / reel.len() + 1);
    film.truncate(FILM_BYTES);
    film
}

/// Starts this many equal requests, and waits until all but the first share
/// the first one's flight.
async fn collapsed(street: &Street, visit: &Visit, count: usize) -> JoinSet<Seen> {
    let mut visits = JoinSet::new();
    for _ in 0..count {
        let (shield, visit) = (Arc::clone(&street.shield), visit.clone());
        visits.spawn(async move { visit.of(&shield).await });
    }
    while street.metric("awning_collapsed_total") < (count - 1) as f64 {
        tokio::task::yield_now().await;
    }
    visits
}

#[tokio::test]
async fn a_thousand_first_requests_are_one_read_of_the_bucket() {
    let release = release();
    let table = [
        (CDN, release.name("app.css"), release.key("app.css"), "a{color:red}".to_owned()),
        (
            SITE,
            "/".to_owned(),
            release.key("index.html"),
            format!("<link href=https://{CDN}{} rel=stylesheet>", release.name("app.css")),
        ),
    ];
    for (host, path, key, body) in table {
        let street = Street::with(&release).await;
        street.origin.close();
        let mut visits = collapsed(&street, &get(host, &path), 1000).await;
        street.origin.open();
        let mut followers = 0;
        while let Some(seen) = visits.join_next().await {
            let seen = seen.unwrap();
            assert_eq!((seen.status, seen.text()), (200, body.as_str()));
            followers += usize::from(seen.header("cache-status").contains("collapsed"));
        }
        assert_eq!((street.origin.gets(&key), followers), (1, 999));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_that_race_with_a_landing_never_read_again() {
    let release = release();
    let street = Street::with(&release).await;
    let name = release.name("app.css");
    let mut visits = JoinSet::new();
    for _ in 0..1000 {
        let (shield, visit) = (Arc::clone(&street.shield), get(CDN, &name));
        visits.spawn(async move { visit.of(&shield).await });
    }
    while let Some(seen) = visits.join_next().await {
        assert_eq!(seen.unwrap().text(), "a{color:red}");
    }
    assert_eq!(street.origin.gets(&release.key("app.css")), 1);
}

#[tokio::test]
async fn a_thousand_requests_for_what_is_not_there_are_one_read_too() {
    let street = Street::with(&release()).await;
    street.origin.close();
    let visit = get(CDN, "/app.aaaaaaaaaaaaaaaa.css");
    let mut visits = collapsed(&street, &visit, 1000).await;
    street.origin.open();
    while let Some(seen) = visits.join_next().await {
        assert_eq!(seen.unwrap().status, 404);
    }
    assert_eq!(street.origin.gets("app.aaaaaaaaaaaaaaaa.css"), 1);
    assert_eq!(visit.of(&street.shield).await.header("cache-status"), "awning; hit; detail=absent");
}

#[tokio::test]
async fn a_failure_is_shared_and_a_second_later_the_bucket_is_asked_again() {
    let release = release();
    let street = Street::with(&release).await;
    let key = release.key("app.css");
    street.origin.script(&key, Script::Fails(StoreErrorKind::Unavailable));
    let visit = get(CDN, "/app.css");
    assert_eq!(visit.clone().of(&street.shield).await.status, 502);
    street.origin.recover(&key);
    let seen = visit.clone().of(&street.shield).await;
    let told = "awning; detail=unavailable";
    assert_eq!((seen.status, seen.header("cache-status")), (502, told));
    assert_eq!(street.origin.gets(&key), 1);
    street.clock.advance(Duration::from_secs(1));
    assert_eq!(visit.of(&street.shield).await.status, 200);
    assert_eq!(street.origin.gets(&key), 2);
}

#[tokio::test]
async fn the_first_client_may_leave_and_the_others_still_get_it() {
    let release = release();
    let street = Street::with(&release).await;
    street.origin.close();
    let (shield, visit) = (Arc::clone(&street.shield), get(CDN, &release.name("app.css")));
    let reads = street.origin.gets("");
    let leader = tokio::spawn(async move { visit.of(&shield).await });
    street.origin.asked(reads + 1).await;
    let (shield, visit) = (Arc::clone(&street.shield), get(CDN, &release.name("app.css")));
    let follower = tokio::spawn(async move { visit.of(&shield).await });
    while street.metric("awning_collapsed_total") < 1.0 {
        tokio::task::yield_now().await;
    }

    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    street.origin.open();
    assert_eq!(follower.await.unwrap().text(), "a{color:red}");
    assert_eq!(street.origin.gets(&release.key("app.css")), 1);
}

#[tokio::test]
async fn a_flight_that_every_client_left_still_fills_the_cache() {
    let release = release();
    let street = Street::with(&release).await;
    street.origin.close();
    let (shield, visit) = (Arc::clone(&street.shield), get(CDN, &release.name("app.css")));
    let reads = street.origin.gets("");
    let only = tokio::spawn(async move { visit.of(&shield).await });
    street.origin.asked(reads + 1).await;
    only.abort();
    assert!(!street.shield.drain(Duration::from_millis(1)).await, "the flight waits at the gate");
    street.origin.open();
    assert!(street.shield.drain(Duration::from_secs(60)).await);
    let seen = get(CDN, &release.name("app.css")).of(&street.shield).await;
    assert!(seen.header("cache-status").contains("; hit"), "{seen:?}");
}

#[tokio::test]
async fn a_large_body_is_read_while_it_arrives_by_all_from_its_first_byte() {
    let release = release();
    let street = Street::with(&release).await;
    street.origin.script(&release.key("film.mp4"), Script::WaitsAfter(9 * 1024 * 1024));
    street.origin.close();
    let visit = get(CDN, &release.name("film.mp4"));

    let mut leader = visit.clone().begin(&street.shield).await.into_body();
    let mut follower = visit.clone().begin(&street.shield).await.into_body();
    let part = visit.clone().header("range", "bytes=1000000-1000009");
    for body in [&mut leader, &mut follower] {
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, film()[..first.len()]);
    }
    let part = part.of(&street.shield).await;
    assert_eq!((part.status, &part.body.unwrap()[..]), (206, &film()[1_000_000..1_000_010]));

    street.origin.open();
    for body in [leader, follower] {
        let rest = body.collect().await.unwrap().to_bytes();
        assert_eq!(rest, film()[film().len() - rest.len()..]);
        assert!(!rest.is_empty());
    }
    assert_eq!(street.origin.gets(&release.key("film.mp4")), 1);
    let again = visit.of(&street.shield).await;
    assert!(again.header("cache-status").contains("; hit"));
    assert_eq!(again.body.unwrap(), film());
}

/// At each of these offsets the body breaks off, ends early or lies.
#[tokio::test(start_paused = true)]
async fn what_is_not_whole_ends_in_an_error_and_is_not_stored() {
    let release = release();
    let last = FILM_BYTES - 1;
    let table = [
        Script::BreaksAt(0),
        Script::BreaksAt(300_000),
        Script::BreaksAt(last),
        Script::EndsAt(300_000),
        Script::EndsAt(last),
        Script::Lies(0),
        Script::Lies(last),
    ];
    for script in table {
        let street = Street::with(&release).await;
        let key = release.key("film.mp4");
        street.origin.script(&key, script);
        let visit = get(CDN, &release.name("film.mp4"));
        let seen = visit.clone().of(&street.shield).await;
        let looks_whole = seen.status == 200 && seen.body.is_ok();
        assert!(!looks_whole, "{script:?}");

        street.origin.recover(&key);
        street.clock.advance(Duration::from_secs(1));
        let gets = street.origin.gets(&key);
        let seen = visit.of(&street.shield).await;
        assert!(seen.header("cache-status").contains("fwd=uri-miss"), "{script:?}");
        assert_eq!(seen.body.unwrap(), film());
        assert_eq!(street.origin.gets(&key), gets + 1);
    }
}

#[tokio::test]
async fn damaged_bytes_of_a_small_object_are_never_seen_by_anyone() {
    let release = release();
    let street = Street::with(&release).await;
    let old = Release::default().with("old.css", "old{color:red}");
    old.publish(&street.origin, 1).await;
    for (key, name, size) in [
        (release.key("app.css"), release.name("app.css"), 12),
        (old.key("old.css"), old.name("old.css"), 14),
    ] {
        for at in 0..size {
            street.origin.script(&key, Script::Lies(at));
            let seen = get(CDN, &name).of(&street.shield).await;
            assert_eq!((seen.status, seen.text()), (502, "Bad Gateway\n"), "{name} at {at}");
            street.clock.advance(Duration::from_secs(1));
        }
    }
    assert_eq!(street.metric("awning_fill_failures_total{reason=\"corrupt\"}"), 26.0);
    assert_eq!(street.metric("awning_cache_responses{tier=\"memory\"}"), 0.0);
}

#[tokio::test]
async fn a_fill_that_a_purge_overtook_is_neither_joined_nor_used() {
    let release = release();
    let street = Street::with(&release).await;
    let key = release.key("app.css");
    let visit = get(CDN, &release.name("app.css"));
    street.origin.close();
    let reads = street.origin.gets("");
    let before = collapsed(&street, &visit, 2).await;
    street.origin.asked(reads + 1).await;

    street.shield.epochs().advance();
    let (shield, newcomer) = (Arc::clone(&street.shield), visit.clone());
    let after = tokio::spawn(async move { newcomer.of(&shield).await });
    street.origin.asked(reads + 2).await;
    street.origin.open();
    for seen in before.join_all().await.into_iter().chain([after.await.unwrap()]) {
        assert_eq!(seen.text(), "a{color:red}");
    }
    assert_eq!(street.origin.gets(&key), 2);
    // Whichever of the two landed last, the one from after the purge is kept.
    let seen = visit.of(&street.shield).await;
    assert!(seen.header("cache-status").contains("; hit"), "{seen:?}");
    assert_eq!(street.origin.gets(&key), 2);
}

#[tokio::test]
async fn what_a_fill_from_before_a_purge_brings_is_not_usable_after_it() {
    let release = release();
    let street = Street::with(&release).await;
    let visit = get(CDN, &release.name("app.css"));
    street.origin.close();
    let reads = street.origin.gets("");
    let (shield, early) = (Arc::clone(&street.shield), visit.clone());
    let early = tokio::spawn(async move { early.of(&shield).await });
    street.origin.asked(reads + 1).await;
    street.shield.epochs().advance();
    street.origin.open();
    assert_eq!(early.await.unwrap().status, 200);

    let seen = visit.clone().of(&street.shield).await;
    assert!(seen.header("cache-status").contains("fwd=uri-miss"), "{seen:?}");
    let seen = visit.of(&street.shield).await;
    assert!(seen.header("cache-status").contains("; hit"), "{seen:?}");
}

#[tokio::test]
async fn a_purge_makes_what_is_stored_unusable() {
    let release = release();
    let street = Street::with(&release).await;
    let missing = "/app.aaaaaaaaaaaaaaaa.css";
    for _ in 0..2 {
        for path in ["/app.css", missing] {
            let seen = get(CDN, path).of(&street.shield).await;
            assert!(seen.header("cache-status").contains("fwd=uri-miss"), "{seen:?}");
            let seen = get(CDN, path).of(&street.shield).await;
            assert!(seen.header("cache-status").contains("; hit"), "{seen:?}");
        }
        street.shield.epochs().advance();
    }
}
