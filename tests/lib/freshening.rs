//! What a 304 may change about a response of an upstream that others get, and
//! conditions that only the upstream can judge.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use awning::asset::KeyLayout;
use awning::clock::{Clock, ManualClock};
use awning::shield::Shield;
use awning::shield::body::full;
use awning::shield::config::{Pages, Serve};
use awning::shield::metrics::Metrics;
use http::{HeaderMap, Request, Response};
use url::Url;

use crate::harness::edge::config;
use crate::harness::upstream::Upstream;
use crate::harness::visit::{Seen, Visit, get};

/// A shield before an upstream that tells who it answers, in the body and in
/// `X-For`, and confirms with these fields what is validated.
struct Shop {
    shield: Arc<Shield>,
    clock: ManualClock,
}

impl Shop {
    async fn confirming(fields: &'static [(&'static str, &'static str)]) -> Self {
        let upstream = Upstream::answering(move |request: Request<Vec<u8>>| {
            let asked = request.headers().clone();
            async move { answer(&asked, fields) }
        })
        .await;
        let upstream = Url::parse(&format!("http://{}", upstream.address)).unwrap();
        let mut config = config(Serve::Storefront { upstream });
        config.sites[0].pages = Pages { cache: true, ..Pages::default() };
        let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_000_000_000));
        let manual = Clock::Manual(clock.clone());
        let metrics = Arc::new(Metrics::default());
        let shield = Shield::new(config, None, KeyLayout::under(""), manual, metrics).unwrap();
        Self { shield, clock }
    }

    async fn see(&self, who: &str, more: impl Fn(Visit) -> Visit) -> Seen {
        let visit = get("shop.nl", "/").header("x-who", who).header("x-kind", who);
        more(visit).of(&self.shield).await
    }
}

fn answer(
    asked: &HeaderMap,
    confirming: &[(&str, &str)],
) -> Response<awning::shield::body::ResponseBody> {
    let who = asked["x-who"].to_str().unwrap();
    let response = Response::builder().header("etag", "\"a\"").header("x-for", who);
    if !asked.contains_key("if-none-match") {
        let response = response.header("cache-control", "max-age=60").header("vary", "x-kind");
        return response.body(full(format!("for {who}"))).unwrap();
    }
    let mut response = response.status(304).header("x-new", "1");
    for (name, value) in confirming {
        response = response.header(*name, *value);
    }
    response.body(full("")).unwrap()
}

#[tokio::test]
async fn what_may_not_be_stored_is_not_merged_into_what_is() {
    type Says = &'static [(&'static str, &'static str)];
    type More = fn(Visit) -> Visit;
    let plain: More = |visit| visit;
    let authorized: More = |visit| visit.header("authorization", "Basic YTpi");
    let refusing: More = |visit| visit.header("cache-control", "no-store");
    // What then is in the cache: what was fetched instead, or what is still stale.
    let cases: [(Says, More, u16); 4] = [
        (&[("cache-control", "no-store, max-age=60")], plain, 200),
        (&[("vary", "*"), ("cache-control", "max-age=60")], plain, 200),
        (&[("cache-control", "max-age=60")], authorized, 504),
        (&[("cache-control", "max-age=60")], refusing, 504),
    ];
    for (number, (fields, more, cached)) in cases.into_iter().enumerate() {
        let shop = Shop::confirming(fields).await;
        shop.see("a", plain).await;
        shop.clock.advance(Duration::from_secs(61));
        // Its own condition, so that also one that is not shared is confirmed.
        let own = shop.see("a", |visit| more(visit.header("if-none-match", "\"a\""))).await;
        assert_eq!(own.status, 304, "case {number}: {own:?}");
        let other = shop.see("b", plain).await;
        assert_eq!((other.text(), other.header("x-for")), ("for b", "b"), "case {number}");
        let only_cached = |visit: Visit| visit.header("cache-control", "only-if-cached");
        let next = shop.see("a", only_cached).await;
        assert_eq!((next.status, next.header("x-new")), (cached, ""), "case {number}");
    }
}

#[tokio::test]
async fn a_plain_304_is_merged() {
    let shop = Shop::confirming(&[("cache-control", "max-age=60")]).await;
    shop.see("a", |visit| visit).await;
    shop.clock.advance(Duration::from_secs(61));
    shop.see("a", |visit| visit).await;
    let hit = shop.see("a", |visit| visit).await;
    assert_eq!((hit.text(), hit.header("x-new")), ("for a", "1"));
    assert_eq!(hit.header("cache-status"), "awning; hit; ttl=60");
}

#[tokio::test]
async fn a_condition_for_the_origin_is_the_origins_to_judge() {
    for (waits, wish, status) in [
        (0, "max-stale", 200),
        (61, "max-stale", 200),
        (0, "only-if-cached", 504),
        (61, "only-if-cached, max-stale", 504),
    ] {
        let shop = Shop::confirming(&[]).await;
        shop.see("a", |visit| visit).await;
        shop.clock.advance(Duration::from_secs(waits));
        let more = |visit: Visit| visit.header("if-match", "\"b\"").header("cache-control", wish);
        let seen = shop.see("a", more).await;
        assert_eq!(seen.status, status, "{wish} after {waits} s");
        assert!(!seen.header("cache-status").contains("hit"), "{wish} after {waits} s");
    }
}
