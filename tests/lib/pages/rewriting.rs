//! Rewriting over the cache: pages are stored as the upstream wrote them, and
//! are rewritten on the way out for the release that is served then.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use awning::asset::KeyLayout;
use awning::clock::{Clock, ManualClock};
use awning::shield::Shield;
use awning::shield::body::full;
use awning::shield::config::Serve;
use awning::shield::metrics::Metrics;
use http::{Request, Response};
use url::Url;

use crate::harness::origin::Origin;
use crate::harness::release::{BEGIN, Release, SHOP, config};
use crate::harness::upstream::Upstream;
use crate::harness::visit::get;

const PAGE: &str = "<link rel=stylesheet href=/static/app.css>";

/// An upstream with one page.
async fn upstream() -> Upstream {
    Upstream::answering(|request: Request<Vec<u8>>| async move {
        let known = request.headers().get_all("if-none-match").iter();
        let known = known.into_iter().any(|tags| tags.to_str().unwrap().contains("\"v1\""));
        let response = Response::builder().header("content-type", "text/html; charset=utf-8");
        let response = response.header("cache-control", "max-age=60").header("etag", "\"v1\"");
        match known {
            true => response.status(304).body(full("")).unwrap(),
            false => response.body(full(PAGE)).unwrap(),
        }
    })
    .await
}

#[tokio::test]
async fn a_stored_page_is_rewritten_for_each_release_and_known_by_a_tag_of_both() {
    let upstream = upstream().await;
    let clock = ManualClock::at(UNIX_EPOCH + BEGIN);
    let mut config = config(64 << 20);
    let url = Url::parse(&format!("http://{}", upstream.address)).unwrap();
    config.sites[2].serve = Serve::Storefront { upstream: url };
    config.sites[2].pages.cache = true;
    let origin = Origin::new(Clock::Manual(clock.clone()));
    let (store, metrics) = (Some(Arc::clone(&origin) as _), Arc::new(Metrics::default()));
    let time = Clock::Manual(clock.clone());
    let shield = Shield::new(config, store, KeyLayout::default(), time, metrics).unwrap();

    let mut tags = Vec::new();
    for (seq, style) in [(1, "a{}"), (2, "b{}")] {
        let release = Release::default().with("app.css", style);
        release.publish(&origin, seq).await;
        shield.refresh().await;
        let href = release.name("app.css");
        let page = format!("<link rel=stylesheet href=https://cdn.example.nl{href}>");
        for _ in 0..2 {
            let seen = get(SHOP, "/").of(&shield).await;
            assert_eq!((seen.status, seen.text()), (200, page.as_str()));
            tags.push(seen.header("etag").to_owned());
        }
        let tag = tags.last().unwrap().clone();
        assert!(tag.starts_with("W/\"v1-"), "{tag}");
        let known = get(SHOP, "/").header("if-none-match", &tag).of(&shield).await;
        assert_eq!((known.status, known.header("etag")), (304, tag.as_str()));
        assert_eq!(upstream.count(), 1, "the page is fetched once, whatever is served");
    }
    assert!(tags[0] == tags[1] && tags[1] != tags[2] && tags[2] == tags[3], "{tags:?}");
    let old = get(SHOP, "/").header("if-none-match", &tags[0]).of(&shield).await;
    assert_eq!((old.status, old.header("etag")), (200, tags[3].as_str()));

    // A validation is by the upstream's own tag, whatever the visitor knows.
    for (tag, status) in [(None, 200), (Some(&tags[3]), 304), (Some(&tags[0]), 200)] {
        clock.advance(std::time::Duration::from_secs(61));
        let visit = get(SHOP, "/");
        let visit = tag.into_iter().fold(visit, |visit, tag| visit.header("if-none-match", tag));
        let seen = visit.of(&shield).await;
        assert_eq!((seen.status, seen.header("etag")), (status, tags[3].as_str()), "{tag:?}");
        assert!(seen.header("cache-status").contains("fwd=stale; fwd-status=304"), "{seen:?}");
        assert_eq!(upstream.last().headers["if-none-match"], "\"v1\"");
    }
    assert_eq!(upstream.count(), 4);
}
