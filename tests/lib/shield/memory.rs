//! The bound on memory, whatever clients ask for and however slowly they read.

use std::sync::Arc;
use std::time::Duration;

use awning::shield::body::ResponseBody;
use http::Response;
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;

use crate::harness::origin::Script;
use crate::harness::release::{CDN, Release, Street};
use crate::harness::visit::get;

const KIB: usize = 1024;
const MEMORY_BYTES: usize = 4 * 1024 * KIB;

/// This many files of this size, each with other content.
fn files(count: u8, size: usize) -> Release {
    (0..count).fold(Release::default(), |release, number| {
        release.with(&format!("{number}.bin"), content(number, size))
    })
}

fn content(number: u8, size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8 ^ number).collect()
}

async fn street(release: &Release) -> Street {
    Street::of_memory(release, MEMORY_BYTES as u64).await
}

fn assert_bounded(street: &Street) {
    let held = street.shield.memory_bytes_held();
    assert!(held <= MEMORY_BYTES as u64, "{held} bytes are held");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_of_fills_stays_within_the_bound() {
    let release = files(64, 300 * KIB);
    let street = street(&release).await;
    let mut visits = JoinSet::new();
    for number in (0..64).chain(0..64) {
        let shield = Arc::clone(&street.shield);
        let visit = get(CDN, &release.name(&format!("{number}.bin")));
        visits.spawn(async move { (number, visit.of(&shield).await) });
    }
    while let Some(seen) = visits.join_next().await {
        let (number, seen) = seen.unwrap();
        assert_bounded(&street);
        // Under such load a request may be turned away, never answered wrongly.
        match seen.status {
            200 => assert_eq!(seen.body.unwrap(), content(number, 300 * KIB)),
            status => assert_eq!(status, 503),
        }
    }
    assert!(street.shield.drain(Duration::from_secs(60)).await);
    let cached = street.metric("awning_cache_bytes{tier=\"memory\"}");
    assert!(cached > 0.0 && cached <= (MEMORY_BYTES * 3 / 4) as f64, "{cached}");
    assert_eq!(street.origin.chunks.live(), 0, "the bucket's own buffers are not kept");
    assert_bounded(&street);
    let told = street.metric("awning_memory_budget_bytes{use=\"held\"}");
    assert_eq!(told, street.shield.memory_bytes_held() as f64);
}

#[tokio::test(start_paused = true)]
async fn a_cache_full_of_tiny_bodies_leaves_room_for_the_next() {
    let release = files(200, 1);
    let street = Street::of_memory(&release, 256 * KIB as u64).await;
    for number in 0..200 {
        let path = format!("/{number}.bin");
        let seen = get(CDN, &path).of(&street.shield).await;
        assert_eq!(seen.status, 200, "{path}: {seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_read_slowly_count_until_they_are_read() {
    let release = files(20, 900 * KIB);
    let street = street(&release).await;
    let mut unread: Vec<Response<ResponseBody>> = Vec::new();
    let mut refused = 0;
    for number in 0..20 {
        let visit = get(CDN, &release.name(&format!("{number}.bin")));
        let response = visit.begin(&street.shield).await;
        refused += usize::from(response.status() == 503);
        unread.push(response);
        assert_bounded(&street);
    }
    assert!(refused > 0, "nothing was refused, so the bound was not reached");
    // What is stored is served to others all the while.
    let mut hits = 0;
    for number in 0..20 {
        let visit = get(CDN, &release.name(&format!("{number}.bin"))).method("HEAD");
        hits +=
            usize::from(visit.of(&street.shield).await.header("cache-status").contains("; hit"));
    }
    assert!(hits > 0, "nothing is served from the cache");

    drop(unread);
    let seen = get(CDN, &release.name("19.bin")).of(&street.shield).await;
    assert_eq!(seen.body.unwrap(), content(19, 900 * KIB));
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_is_passed_on_with_the_readers_own_pace() {
    let release = files(2, 900 * KIB).with("small.css", "a{}");
    let street = street(&release).await;
    // Five fills that wait for the bucket hold almost all memory.
    let blockers = files(8, 700 * KIB);
    blockers.publish(&street.origin, 1).await;
    street.origin.close();
    let reads = street.origin.gets("");
    let mut stuck = JoinSet::new();
    for number in 0..5 {
        let path = format!("{number}.bin");
        street.origin.script(&blockers.key(&path), Script::WaitsAfter(0));
        let (shield, visit) = (Arc::clone(&street.shield), get(CDN, &blockers.name(&path)));
        stuck.spawn(async move { visit.of(&shield).await });
    }
    street.origin.asked(reads + 5).await;
    street.origin.script(&release.key("0.bin"), Script::WaitsAfter(usize::MAX));

    let others = street.origin.chunks.live();
    let visit = get(CDN, &release.name("0.bin"));
    let response = visit.begin(&street.shield).await;
    assert_eq!(response.headers()["cache-status"], "awning; fwd=uri-miss; fwd-status=200");
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_bounded(&street);
    // At most what is sent and what is held back exists of it at a time.
    assert!(street.origin.chunks.live() <= others + 2 * 64 * KIB);
    let rest = body.collect().await.unwrap().to_bytes();
    assert_eq!([first, rest].concat(), content(0, 900 * KIB));
    assert_eq!(street.origin.gets(&release.key("0.bin")), 1);
    street.origin.open();
    for seen in stuck.join_all().await {
        assert_eq!(seen.status, 200);
    }
}

#[tokio::test]
async fn what_is_larger_than_a_quarter_of_memory_is_never_stored() {
    let size = MEMORY_BYTES / 4 + 1;
    let release = files(1, size);
    let street = street(&release).await;
    for reads in 1..=2 {
        let seen = get(CDN, &release.name("0.bin")).of(&street.shield).await;
        assert_eq!(seen.header("cache-status"), "awning; fwd=uri-miss; fwd-status=200");
        assert_eq!(seen.body.unwrap(), content(0, size));
        assert_eq!(street.origin.gets(&release.key("0.bin")), reads);
    }
    assert_eq!(street.metric("awning_cache_responses{tier=\"memory\"}"), 0.0);
    assert_eq!(street.shield.memory_bytes_held(), 0);
}

/// No manifest tells the size, so the bucket's answer does, and is used.
#[tokio::test]
async fn a_large_object_of_an_older_release_is_read_once_for_its_only_client() {
    let size = MEMORY_BYTES / 2;
    let release = files(1, size);
    let street = street(&Release::default().with("a.css", "a{}")).await;
    release.publish(&street.origin, 1).await;
    let seen = get(CDN, &release.name("0.bin")).of(&street.shield).await;
    assert_eq!(seen.body.unwrap(), content(0, size));
    assert_eq!(street.origin.gets(&release.key("0.bin")), 1);
    assert_eq!(street.shield.memory_bytes_held(), 0);

    street.origin.script(&release.key("0.bin"), Script::Lies(size - 1));
    let seen = get(CDN, &release.name("0.bin")).of(&street.shield).await;
    assert!(seen.body.is_err(), "damage is an error of the body");
}
