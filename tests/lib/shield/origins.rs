//! The bucket as an origin that breaks off, fails, is late, or is gone for a
//! while: what visitors see of it, and how often it is asked.

use std::sync::Arc;
use std::time::Duration;

use awning::store::StoreErrorKind;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::harness::origin::Script;
use crate::harness::release::{CDN, Release, Street};
use crate::harness::visit::{Seen, get};

const KIB: usize = 1024;
const SECOND: Duration = Duration::from_secs(1);
const BREAKER: &str = "awning_origin_breaker{origin=\"bucket\"}";
const HEDGES: &str = "awning_origin_hedges_total{origin=\"bucket\"}";
const RESUMED: &str = "awning_origin_resumed_total{origin=\"bucket\"}";

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// This many objects, and one more.
fn many(count: usize) -> Release {
    (0..count).fold(Release::default().with("app.css", "a{}"), |release, number| {
        release.with(&format!("{number}.css"), format!("{number}{{}}"))
    })
}

fn told(seen: &Seen) -> (u16, &str) {
    (seen.status, seen.header("cache-status"))
}

/// Proven before its first byte, while it arrives, and passed on.
#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_every_64_kib_arrives_whole() {
    for (length, memory, stored) in
        [(1_000_003, 64 << 20, 1.0), (10_000_003, 64 << 20, 1.0), (10_000_003, 4 << 20, 0.0)]
    {
        let release = Release::default().with("film.mp4", bytes(length));
        let street = Street::of_memory(&release, memory).await;
        street.origin.script(&release.key("film.mp4"), Script::BreaksAfter(64 * KIB));
        let seen = get(CDN, &release.name("film.mp4")).of(&street.shield).await;
        assert_eq!(seen.status, 200, "{length}");
        assert!(seen.body.unwrap() == bytes(length), "{length}: other bytes");
        let broken = (length / (64 * KIB)) as f64;
        assert_eq!(street.metric(RESUMED), broken, "{length}");
        assert_eq!(street.metric("awning_cache_responses{tier=\"memory\"}"), stored, "{length}");
        assert_eq!(street.metric(BREAKER), 0.0, "{length}");
    }
}

#[tokio::test]
async fn names_that_a_store_denies_are_absent_and_do_not_make_it_down() {
    let release = many(1);
    let street = Street::with(&release).await;
    for letter in 'a'..='t' {
        let name = format!("img/foto.aaaaaaaaaaaaaaa{letter}.png");
        street.origin.script(&format!("a/{name}"), Script::Fails(StoreErrorKind::Denied));
        let seen = get(CDN, &format!("/{name}")).of(&street.shield).await;
        assert_eq!((seen.status, seen.header("cache-control")), (404, "no-store"), "{name}");
    }
    assert_eq!(street.metric(BREAKER), 0.0);
    let key = release.key("app.css");
    street.origin.script(&key, Script::Fails(StoreErrorKind::Denied));
    let seen = get(CDN, &release.name("app.css")).of(&street.shield).await;
    assert_eq!(told(&seen), (502, "awning; fwd=uri-miss; detail=unavailable"));
    assert_eq!(get(CDN, &release.name("0.css")).of(&street.shield).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stays_broken_is_given_up_after_ten_seconds() {
    let release = Release::default().with("film.mp4", bytes(1_000_003));
    let street = Street::with(&release).await;
    let key = release.key("film.mp4");
    street.origin.script(&key, Script::BreaksAt(500_000));
    let begin = Instant::now();
    let seen = get(CDN, &release.name("film.mp4")).of(&street.shield).await;
    assert_eq!(told(&seen), (502, "awning; fwd=uri-miss; detail=unavailable"));
    assert!(begin.elapsed() <= 10 * SECOND, "{:?}", begin.elapsed());
    assert!((2..=17).contains(&street.origin.gets(&key)), "{}", street.origin.gets(&key));
    assert_eq!(street.metric("awning_cache_responses{tier=\"memory\"}"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_another_object_is_not_taken() {
    for length in [1_000_003, 10_000_003] {
        let release = Release::default().with("film.mp4", bytes(length));
        let street = Street::with(&release).await;
        let key = release.key("film.mp4");
        street.origin.script(&key, Script::ChangesAfter(300_000));
        let seen = get(CDN, &release.name("film.mp4")).of(&street.shield).await;
        let whole = seen.status == 200 && seen.body.is_ok();
        assert!(!whole, "{length}");
        assert_eq!(street.origin.gets(&key), 2, "{length}");
        assert!(street.origin.last_get().if_match.is_some());
        assert_eq!(street.metric("awning_fill_failures_total{reason=\"corrupt\"}"), 1.0);
        assert_eq!(street.metric("awning_cache_responses{tier=\"memory\"}"), 0.0);
    }
}

/// A cap of the account is a bucket that is down, and not an object that is gone.
#[tokio::test(start_paused = true)]
async fn a_bucket_that_fails_is_asked_once_a_second_for_an_object_whoever_wants_it() {
    let release = many(0);
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Throttled, StoreErrorKind::Capped] {
        let street = Street::with(&release).await;
        let key = release.key("app.css");
        street.origin.script(&key, Script::Fails(kind));
        for second in 1..=4 {
            for _ in 0..2 {
                let mut visits = JoinSet::new();
                for _ in 0..100 {
                    let (shield, visit) = (Arc::clone(&street.shield), get(CDN, "/app.css"));
                    visits.spawn(async move { visit.of(&shield).await });
                }
                for seen in visits.join_all().await {
                    assert!(matches!(seen.status, 502 | 503), "{kind:?}: {seen:?}");
                }
                assert_eq!(street.origin.gets(&key), second, "{kind:?}");
            }
            street.clock.advance(SECOND);
        }
        street.origin.recover(&key);
        assert_eq!(get(CDN, "/app.css").of(&street.shield).await.status, 200, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_down_is_left_alone_and_found_again_by_one_probe() {
    let release = many(9);
    let street = Street::with(&release).await;
    let visit = |number: usize| get(CDN, &format!("/{number}.css"));
    assert_eq!(get(CDN, "/app.css").of(&street.shield).await.status, 200);
    for number in 0..9 {
        let key = release.key(&format!("{number}.css"));
        street.origin.script(&key, Script::Fails(StoreErrorKind::Unavailable));
    }
    for number in 0..5 {
        assert_eq!(visit(number).of(&street.shield).await.status, 502);
    }
    let reads = street.origin.gets("");
    let seen = visit(5).of(&street.shield).await;
    assert_eq!((told(&seen), seen.header("retry-after")), ((503, "awning; detail=down"), "1"));
    assert_eq!((street.metric(BREAKER), street.origin.gets("")), (2.0, reads));
    let seen = get(CDN, "/app.css").of(&street.shield).await;
    assert!(seen.header("cache-status").starts_with("awning; hit"), "{seen:?}");

    // The bucket is back, and one request finds that out while others wait not.
    (0..9).for_each(|number| street.origin.recover(&release.key(&format!("{number}.css"))));
    tokio::time::advance(2 * SECOND).await;
    street.origin.close();
    let shield = Arc::clone(&street.shield);
    let probe = visit(6);
    let probe = tokio::spawn(async move { probe.of(&shield).await });
    street.origin.asked(reads + 1).await;
    assert_eq!(told(&visit(7).of(&street.shield).await), (503, "awning; detail=down"));
    assert_eq!(street.metric(BREAKER), 1.0);
    street.origin.open();
    assert_eq!(probe.await.unwrap().status, 200);
    assert_eq!(visit(7).of(&street.shield).await.status, 200);
    assert_eq!(street.metric(BREAKER), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_late_read_is_raced_by_a_second_one_and_the_first_answer_counts() {
    const NEVER: &[Option<Duration>] = &[None];
    const LATE: &[Option<Duration>] = &[Some(Duration::from_millis(20)), None];
    const IN_TIME: &[Option<Duration>] = &[Some(Duration::from_millis(9)), None];
    const FIRST: &[Option<Duration>] = &[Some(Duration::from_millis(50))];
    // The second read wins; the first one still wins; there is no second one.
    let table = [(NEVER, 2, 10), (LATE, 2, 20), (IN_TIME, 1, 9)];
    let release = many(table.len() + 2);
    let street = Street::with(&release).await;
    street.origin.script(&release.key("app.css"), Script::Heads(FIRST));
    // Nothing is late before enough is known.
    assert_eq!(get(CDN, "/app.css").of(&street.shield).await.status, 200);
    assert_eq!(street.origin.gets(&release.key("app.css")), 1);
    for number in 0..1023 {
        let visit = get(CDN, &format!("/{number}/x.aaaaaaaaaaaaaaaa.css"));
        assert_eq!(visit.of(&street.shield).await.status, 404);
    }
    for (number, (heads, reads, millis)) in table.into_iter().enumerate() {
        let path = format!("{number}.css");
        let key = release.key(&path);
        street.origin.script(&key, Script::Heads(heads));
        let begin = Instant::now();
        let seen = get(CDN, &format!("/{path}")).of(&street.shield).await;
        assert_eq!(seen.text(), format!("{number}{{}}"));
        let found = (street.origin.gets(&key), begin.elapsed().as_millis());
        assert_eq!(found, (reads, millis), "{heads:?}");
    }
    assert_eq!(street.metric(HEDGES), 2.0);

    // A bucket that fails is not asked twice.
    street.origin.script(&release.key("3.css"), Script::Fails(StoreErrorKind::Unavailable));
    assert_eq!(get(CDN, "/3.css").of(&street.shield).await.status, 502);
    street.origin.script(&release.key("4.css"), Script::Heads(LATE));
    assert_eq!(get(CDN, "/4.css").of(&street.shield).await.text(), "4{}");
    assert_eq!((street.origin.gets(&release.key("4.css")), street.metric(HEDGES)), (1, 2.0));
}

#[tokio::test]
async fn a_thousand_objects_that_many_ask_for_are_a_thousand_reads() {
    let release = many(1000);
    let street = Street::with(&release).await;
    street.origin.close();
    let reads = street.origin.gets("");
    let mut visits = JoinSet::new();
    for number in (0..10).flat_map(|_| 0..1000) {
        let (shield, visit) = (Arc::clone(&street.shield), get(CDN, &format!("/{number}.css")));
        visits.spawn(async move { (number, visit.of(&shield).await) });
    }
    street.origin.asked(reads + 256).await;
    street.origin.open();
    for (number, seen) in visits.join_all().await {
        assert_eq!(seen.text(), format!("{number}{{}}"));
    }
    assert_eq!(street.origin.gets("") - reads, 1000);
}
