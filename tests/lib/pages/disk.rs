//! Pages on disk: what outlives the shield, and what never does.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use awning::asset::KeyLayout;
use awning::clock::{Clock, ManualClock};
use awning::shield::config::{Pages, Serve};
use awning::shield::metrics::Metrics;
use awning::shield::{DiskConfig, Shield};
use http::Response;
use url::Url;

use super::{Shop, body, scripted};
use crate::harness::edge::config;
use crate::harness::upstream::Upstream;
use crate::harness::visit::get;

/// A shop whose pages are on disk as well.
async fn shop(disk: &Path, cache_control: &'static str) -> Shop {
    let upstream = scripted(move |number, _| {
        let response = Response::builder().header("cache-control", cache_control);
        Some(response.header("vary", "x-kind").header("etag", "\"v\"").body(body(number)))
    });
    over(upstream.await, ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_000_000_000)), disk)
}

fn over(upstream: Upstream, clock: ManualClock, disk: &Path) -> Shop {
    let shield = shield(&upstream, &clock, disk);
    Shop { shield, clock, upstream }
}

fn shield(upstream: &Upstream, clock: &ManualClock, disk: &Path) -> Arc<Shield> {
    let url = Url::parse(&format!("http://{}", upstream.address)).unwrap();
    let mut config = config(Serve::Storefront { upstream: url });
    config.sites[0].pages = Pages { cache: true, ..Pages::default() };
    config.disk = Some(DiskConfig { directory: disk.to_owned(), bytes_max: 64 << 20 });
    let (time, metrics) = (Clock::Manual(clock.clone()), Arc::new(Metrics::default()));
    Shield::new(config, None, KeyLayout::under(""), time, metrics).unwrap()
}

/// The same shop after a restart. What memory held is gone.
async fn restarted(shop: Shop, disk: &Path) -> Shop {
    let Shop { shield, clock, upstream } = shop;
    assert!(shield.drain(Duration::from_secs(60)).await);
    drop(shield);
    over(upstream, clock, disk)
}

async fn kind(shop: &Shop, kind: &str) -> (String, String) {
    let seen = shop.visit(get("shop.nl", "/").header("x-kind", kind)).await;
    (seen.text().to_owned(), seen.header("cache-status").to_owned())
}

fn hit(number: usize, ttl: i32) -> (String, String) {
    (format!("answer {number}"), format!("awning; hit; ttl={ttl}"))
}

#[tokio::test]
async fn variants_and_their_age_outlive_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let shop = shop(place.path(), "max-age=60").await;
    kind(&shop, "a").await;
    kind(&shop, "b").await;
    shop.wait(10);
    let shop = restarted(shop, place.path()).await;
    for _ in 0..2 {
        assert_eq!(kind(&shop, "a").await, hit(1, 50));
        assert_eq!(kind(&shop, "b").await, hit(2, 50));
    }
    let seen = shop.visit(get("shop.nl", "/").header("x-kind", "a")).await;
    assert_eq!((seen.header("age"), seen.header("etag")), ("10", "\"v\""));
    assert_eq!(shop.upstream.count(), 2);
    assert_eq!(kind(&shop, "c").await.0, "answer 3");
}

#[tokio::test]
async fn what_was_purged_is_not_back_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let shop = shop(place.path(), "max-age=60").await;
    kind(&shop, "a").await;
    let shop = restarted(shop, place.path()).await;
    shop.shield.epochs().advance();
    assert_eq!(kind(&shop, "a").await.0, "answer 2", "in the process that purges");
    shop.shield.epochs().advance();
    let shop = restarted(shop, place.path()).await;
    assert_eq!(kind(&shop, "a").await.0, "answer 3", "and in the next");
}

#[tokio::test]
async fn what_a_request_made_unusable_is_not_back_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let shop = shop(place.path(), "max-age=60").await;
    kind(&shop, "a").await;
    kind(&shop, "b").await;
    shop.visit(get("shop.nl", "/").method("POST")).await;
    assert_eq!(kind(&shop, "a").await.0, "answer 4");
    let shop = restarted(shop, place.path()).await;
    assert_eq!(kind(&shop, "a").await, hit(4, 60));
    assert_eq!(kind(&shop, "b").await.0, "answer 5", "no older variant came back");
}

#[tokio::test]
async fn what_is_changed_beside_who_owns_the_disk_is_not_found_there_again() {
    let place = tempfile::tempdir().unwrap();
    let mut shop = shop(place.path(), "max-age=60").await;
    kind(&shop, "a").await;
    assert!(shop.shield.drain(Duration::from_secs(60)).await);
    let next = shield(&shop.upstream, &shop.clock, place.path());
    let owner = std::mem::replace(&mut shop.shield, next);
    let posted = shop.visit(get("shop.nl", "/").method("POST").header("x-kind", "a")).await;
    assert_eq!(posted.text(), "answer 2");
    assert_eq!(kind(&shop, "a").await.0, "answer 3");
    drop(owner);
    let shop = restarted(shop, place.path()).await;
    assert_ne!(kind(&shop, "a").await.0, "answer 1");
}

#[tokio::test]
async fn what_is_not_in_memory_any_more_is_brought_from_disk() {
    let place = tempfile::tempdir().unwrap();
    let shop = shop(place.path(), "max-age=60").await;
    for number in 0..1_200 {
        shop.see(&format!("/{number}")).await;
        if number % 100 == 0 {
            assert!(shop.shield.drain(Duration::from_secs(60)).await);
        }
    }
    assert!(shop.shield.drain(Duration::from_secs(60)).await);
    let seen = shop.see("/0").await;
    assert_eq!((seen.text(), seen.header("cache-status")), ("answer 1", "awning; hit; ttl=60"));
    let held = shop.shield.memory_bytes_held();
    assert!(held <= 1 << 20, "{held}");
}

#[tokio::test]
async fn a_damaged_page_is_fetched_again_and_counted() {
    let place = tempfile::tempdir().unwrap();
    let shop = shop(place.path(), "max-age=60").await;
    kind(&shop, "a").await;
    let shop = restarted(shop, place.path()).await;
    for shard in fs::read_dir(place.path().join("v1")).unwrap() {
        for file in fs::read_dir(shard.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
    assert_eq!(kind(&shop, "a").await.0, "answer 2");
    assert_eq!(shop.metric("awning_disk_bad_entries_total"), 1);
}

#[tokio::test]
async fn with_the_shop_gone_a_stale_page_is_served_from_disk() {
    let place = tempfile::tempdir().unwrap();
    let upstream = scripted(|number, _| {
        let terms = "max-age=60, stale-if-error=604800";
        let response = Response::builder().header("cache-control", terms);
        (number == 1).then(|| response.body(body(number)))
    });
    let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let shop = over(upstream.await, clock, place.path());
    shop.see("/").await;
    let shop = restarted(shop, place.path()).await;
    shop.wait(86_400);
    let seen = shop.see("/").await;
    assert_eq!((seen.status, seen.text(), seen.header("age")), (200, "answer 1", "86400"));
    assert!(seen.header("cache-status").contains("detail=stale-if-error"), "{seen:?}");
}
