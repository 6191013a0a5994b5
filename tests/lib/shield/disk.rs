//! The disk tier behind a shield: what outlives it, what never does, and what
//! is too large for memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use awning::store::{ByteRange, StoreErrorKind};
use http_body_util::BodyExt as _;

use crate::harness::origin::Script;
use crate::harness::release::{CDN, Release, SITE, Street, channel};
use crate::harness::visit::get;

const KIB: usize = 1024;
const MEMORY: u64 = 4 << 20;

/// More than memory holds.
const LARGE: usize = 3 * 1024 * KIB + 100;

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

fn shop() -> Release {
    Release::default()
        .with("index.html", "<link rel=stylesheet href=/css/app.css>")
        .with("css/app.css", "a{}")
        .with("large.bin", content(LARGE))
}

/// The head of the channel, and the manifests, cannot be read; nothing can.
fn fail_all(street: &Street, release: &Release) {
    let down = Script::Fails(StoreErrorKind::Unavailable);
    for path in ["index.html", "css/app.css", "large.bin"] {
        street.origin.script(&release.key(path), down);
    }
    street.origin.script(&awning::asset::KeyLayout::default().head(channel()), down);
}

/// The entries of the tier.
fn entries(disk: &Path) -> Vec<PathBuf> {
    let shards = fs::read_dir(disk.join("v1")).unwrap();
    let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

#[tokio::test]
async fn everything_stored_is_served_after_a_restart_with_the_bucket_dead() {
    let place = tempfile::tempdir().unwrap();
    let release = shop();
    let mut street = Street::on_disk(&release, place.path(), MEMORY).await;
    let paths = ["css/app.css", "large.bin"];
    let mut before = Vec::new();
    for path in paths {
        before.push(get(CDN, &release.name(path)).of(&street.shield).await.body.unwrap());
    }
    before.push(get(SITE, "/").of(&street.shield).await.body.unwrap());
    fail_all(&street, &release);
    street = street.restart(place.path(), MEMORY).await;
    street.clock.advance(Duration::from_secs(86_400));
    street.shield.refresh().await;
    let readiness = street.shield.readiness();
    assert!(readiness.ready && readiness.kept == [channel()], "{readiness:?}");

    let reads = street.origin.gets("");
    let mut after = Vec::new();
    for path in paths {
        let seen = get(CDN, &release.name(path)).of(&street.shield).await;
        let told = seen.header("cache-status");
        assert!(told.starts_with("awning; hit"), "{path}: {told}");
        assert_eq!(seen.header("age"), "86400");
        after.push(seen.body.unwrap());
    }
    after.push(get(SITE, "/").of(&street.shield).await.body.unwrap());
    assert!(before == after);
    assert_eq!(street.origin.gets(""), reads, "the bucket was asked");
    assert_eq!(street.metric("awning_disk_bad_entries_total"), 0.0);
}

#[tokio::test]
async fn a_head_that_is_read_goes_before_a_release_that_was_kept() {
    let place = tempfile::tempdir().unwrap();
    let old = shop();
    let street = Street::on_disk(&old, place.path(), MEMORY).await;
    let new = shop().with("css/app.css", "b{}");
    let release = new.publish(&street.origin, 2).await;
    let street = street.restart(place.path(), MEMORY).await;
    street.shield.refresh().await;
    assert_eq!(street.shield.releases()[&channel()], Some(release));
    assert!(street.shield.readiness().kept.is_empty());
    let street = street.restart(place.path(), MEMORY).await;
    fail_all(&street, &new);
    street.shield.refresh().await;
    assert_eq!(street.shield.releases()[&channel()], Some(release), "the newest one is kept");
}

#[tokio::test]
async fn what_was_purged_stays_so_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let release = shop();
    let mut street = Street::on_disk(&release, place.path(), MEMORY).await;
    let visit = || get(CDN, &release.name("css/app.css"));
    visit().of(&street.shield).await;
    assert!(street.shield.drain(Duration::from_secs(60)).await);
    assert_eq!(entries(place.path()).len(), 1);
    street.shield.epochs().begin().unwrap();
    // As after `kill -9`: nothing else is told to the disk.
    street = street.restart(place.path(), MEMORY).await;
    street.shield.refresh().await;
    let seen = visit().of(&street.shield).await;
    assert!(seen.header("cache-status").contains("fwd=uri-miss"), "{seen:?}");
    street = street.restart(place.path(), MEMORY).await;
    street.shield.refresh().await;
    let seen = visit().of(&street.shield).await;
    assert!(seen.header("cache-status").starts_with("awning; hit"), "{seen:?}");
}

#[tokio::test]
async fn a_damaged_entry_is_fetched_again_and_counted() {
    let place = tempfile::tempdir().unwrap();
    let release = shop();
    let mut street = Street::on_disk(&release, place.path(), MEMORY).await;
    let visit = || get(CDN, &release.name("css/app.css"));
    visit().of(&street.shield).await;
    street = street.restart(place.path(), MEMORY).await;
    street.shield.refresh().await;
    let [entry] = &entries(place.path())[..] else { panic!("one entry") };
    let mut bytes = fs::read(entry).unwrap();
    bytes[33] ^= 1;
    fs::write(entry, bytes).unwrap();
    let seen = visit().of(&street.shield).await;
    assert_eq!((seen.status, seen.text()), (200, "a{}"));
    assert!(seen.header("cache-status").contains("fwd=uri-miss"), "{seen:?}");
    assert_eq!(street.metric("awning_disk_bad_entries_total"), 1.0);
}

#[tokio::test]
async fn an_object_that_memory_cannot_hold_is_fetched_once_and_served_from_disk() {
    let place = tempfile::tempdir().unwrap();
    let release = shop();
    let street = Street::on_disk(&release, place.path(), MEMORY).await;
    let visit = || get(CDN, &release.name("large.bin"));
    let first = visit().of(&street.shield).await;
    assert!(first.header("cache-status").contains("fwd=uri-miss; fwd-status=200; stored"));
    assert!(first.body.unwrap() == content(LARGE));
    assert!(street.shield.drain(Duration::from_secs(60)).await);
    let second = visit().of(&street.shield).await;
    assert!(second.header("cache-status").starts_with("awning; hit"), "{:?}", second.headers);
    assert!(second.body.unwrap() == content(LARGE));
    for (first, last) in [(0, 0), (65_535, 65_536), (100, 200_000), (LARGE - 1, LARGE - 1)] {
        let range = format!("bytes={first}-{last}");
        let seen = visit().header("range", &range).of(&street.shield).await;
        assert_eq!(seen.status, 206, "{range}");
        assert!(seen.body.unwrap() == content(LARGE)[first..=last], "{range}");
    }
    assert_eq!(street.origin.gets(&release.key("large.bin")), 1);
    assert!(street.shield.memory_bytes_held() <= MEMORY);
}

#[tokio::test]
async fn ranges_are_served_from_disk_while_it_is_being_filled() {
    let place = tempfile::tempdir().unwrap();
    let release = shop();
    let street = Street::on_disk(&release, place.path(), MEMORY).await;
    let key = release.key("large.bin");
    street.origin.close();
    street.origin.script(&key, Script::WaitsAfter(2 * 1024 * KIB));
    let visit = || get(CDN, &release.name("large.bin"));
    let leader = visit().begin(&street.shield).await;
    let seen = visit().header("range", "bytes=1000000-1000099").of(&street.shield).await;
    assert_eq!(seen.status, 206);
    assert!(seen.header("cache-status").contains("collapsed"), "{:?}", seen.headers);
    assert!(seen.body.unwrap() == content(LARGE)[1_000_000..1_000_100]);
    let waiting = visit().header("range", "bytes=-10").begin(&street.shield).await;
    street.origin.open();
    let tail = waiting.into_body().collect().await.unwrap().to_bytes();
    assert!(tail == content(LARGE)[LARGE - 10..]);
    assert!(leader.into_body().collect().await.unwrap().to_bytes() == content(LARGE));
    assert_eq!(street.origin.gets(&key), 1);
}

#[tokio::test]
async fn a_range_far_behind_what_has_arrived_is_asked_of_the_bucket() {
    let place = tempfile::tempdir().unwrap();
    let size = 9 * 1024 * KIB;
    let release = Release::default().with("large.bin", content(size));
    let street = Street::on_disk(&release, place.path(), MEMORY).await;
    let key = release.key("large.bin");
    street.origin.close();
    street.origin.script(&key, Script::WaitsAfter(64 * KIB));
    let visit = || get(CDN, &release.name("large.bin"));
    let leader = visit().begin(&street.shield).await;
    let far = visit().header("range", "bytes=-10").of(&street.shield).await;
    assert!(far.body.unwrap() == content(size)[size - 10..]);
    assert_eq!(street.origin.last_get().range, Some(ByteRange::Bounded(9437174, 9437183)));
    street.origin.open();
    assert!(leader.into_body().collect().await.unwrap().to_bytes() == content(size));
}

#[tokio::test(start_paused = true)]
async fn a_large_object_that_is_not_whole_is_never_stored_nor_ended() {
    let place = tempfile::tempdir().unwrap();
    let release = shop();
    let street = Street::on_disk(&release, place.path(), MEMORY).await;
    let key = release.key("large.bin");
    let visit = || get(CDN, &release.name("large.bin"));
    let scripts = [
        Script::BreaksAt(LARGE / 2),
        Script::EndsAt(LARGE - 1),
        Script::Lies(LARGE - 1),
        Script::Lies(0),
    ];
    for script in scripts {
        street.origin.script(&key, script);
        let seen = visit().of(&street.shield).await;
        assert!(seen.status != 200 || seen.body.is_err(), "{script:?}");
        assert_eq!(entries(place.path()), Vec::<PathBuf>::new(), "{script:?}");
        assert_eq!(fs::read_dir(place.path().join("tmp")).unwrap().count(), 0, "{script:?}");
        // A moment later the bucket is asked again.
        street.clock.advance(Duration::from_secs(1));
    }
    street.origin.recover(&key);
    assert!(visit().of(&street.shield).await.body.unwrap() == content(LARGE));
}
