//! Responses of an upstream through the cache of a storefront.

mod disk;
mod failing;
mod parts;
mod rewriting;
mod sharing;
mod stale;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use awning::asset::KeyLayout;
use awning::clock::{Clock, ManualClock};
use awning::shield::Shield;
use awning::shield::body::{ResponseBody, full};
use awning::shield::config::{Cookies, PageRule, Pages, Serve};
use awning::shield::metrics::Metrics;
use http::{Request, Response};
use tokio::sync::{Notify, Semaphore};
use url::Url;

use crate::harness::edge::config;
use crate::harness::upstream::Upstream;
use crate::harness::visit::{Seen, Visit, get};

/// A shield before an upstream, its clock, and the upstream.
struct Shop {
    shield: Arc<Shield>,
    clock: ManualClock,
    upstream: Upstream,
}

impl Shop {
    fn before(upstream: Upstream, pages: Pages) -> Self {
        let url = Url::parse(&format!("http://{}", upstream.address)).unwrap();
        let mut config = config(Serve::Storefront { upstream: url });
        config.sites[0].pages = Pages { cache: true, ..pages };
        let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_000_000_000));
        let metrics = Arc::new(Metrics::default());
        let layout = KeyLayout::under("");
        let manual = Clock::Manual(clock.clone());
        let shield = Shield::new(config, None, layout, manual, metrics).unwrap();
        Self { shield, clock, upstream }
    }

    /// One whose upstream says this of its answers, and gives them by number.
    async fn saying(cache_control: &'static str) -> Self {
        let upstream = scripted(move |number, _| {
            Some(Response::builder().header("cache-control", cache_control).body(body(number)))
        });
        Self::before(upstream.await, Pages::default())
    }

    /// One whose upstream answers by number: hangs up where there is no answer.
    async fn scripted<A>(answer: A) -> Self
    where
        A: Fn(usize, &Request<Vec<u8>>) -> Answer + Send + Sync + 'static,
    {
        Self::before(scripted(answer).await, Pages::default())
    }

    async fn see(&self, path: &str) -> Seen {
        self.visit(get("shop.nl", path)).await
    }

    async fn visit(&self, visit: Visit) -> Seen {
        visit.of(&self.shield).await
    }

    /// The value of a metric with exactly these labels; 0 when it is not there.
    fn metric(&self, name_and_labels: &str) -> u32 {
        let text = self.shield.metrics().render();
        let value = text.lines().find_map(|line| line.strip_prefix(name_and_labels));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }

    /// How often the upstream was asked, an answer or none.
    fn fetches(&self) -> u32 {
        self.metric(r#"awning_upstream_fetches_total{origin="storefront"}"#)
    }

    fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// What an upstream answers; `None` where it hangs up.
type Answer = Option<http::Result<Response<ResponseBody>>>;

/// An upstream that answers the requests by their numbers, from 1.
async fn scripted<A>(answer: A) -> Upstream
where
    A: Fn(usize, &Request<Vec<u8>>) -> Answer + Send + Sync + 'static,
{
    let (count, answer) = (Arc::new(AtomicUsize::new(1)), Arc::new(answer));
    Upstream::wavering(move |request: Request<Vec<u8>>| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let answer = answer(number, &request).map(Result::unwrap);
        async move { answer }
    })
    .await
}

/// An upstream whose answers are numbered, with these fields.
async fn numbered(fields: &'static [(&'static str, &'static str)]) -> Upstream {
    let count = Arc::new(AtomicUsize::new(1));
    Upstream::answering(move |request: Request<Vec<u8>>| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let known = request.headers().get("if-none-match").is_some_and(|tag| tag == "\"known\"");
        async move {
            let mut response = Response::builder();
            for (name, value) in fields {
                response = response.header(*name, *value);
            }
            match known {
                true => response.status(304).body(full("")).unwrap(),
                false => response.body(body(number)).unwrap(),
            }
        }
    })
    .await
}

fn body(number: usize) -> ResponseBody {
    full(format!("answer {number}"))
}

#[tokio::test]
async fn a_fresh_response_is_answered_from_the_cache_and_says_its_age() {
    let shop = Shop::before(numbered(&[("cache-control", "max-age=60")]).await, Pages::default());
    let first = shop.see("/a?b").await;
    assert_eq!(first.text(), "answer 1");
    assert!(first.header("cache-status").contains("fwd=uri-miss"), "{first:?}");
    shop.clock.advance(Duration::from_secs(10));
    let second = shop.see("/a?b").await;
    assert_eq!((second.text(), second.header("age")), ("answer 1", "10"));
    assert_eq!(second.header("cache-status"), "awning; hit; ttl=50");
    assert_eq!(shop.see("/a?c").await.text(), "answer 2");
    shop.clock.advance(Duration::from_secs(50));
    assert_eq!(shop.see("/a?b").await.text(), "answer 3");
}

#[tokio::test]
async fn what_was_filled_before_a_purge_is_not_used_after_it() {
    let shop = Shop::before(numbered(&[("cache-control", "max-age=60")]).await, Pages::default());
    shop.see("/").await;
    shop.shield.epochs().advance();
    assert_eq!(shop.see("/").await.text(), "answer 2");
}

#[tokio::test]
async fn a_304_makes_what_is_stored_fresh_again() {
    let fields = &[("cache-control", "max-age=60"), ("etag", "\"known\"")];
    let shop = Shop::before(numbered(fields).await, Pages::default());
    shop.see("/").await;
    shop.clock.advance(Duration::from_secs(61));
    let freshened = shop.see("/").await;
    assert_eq!(freshened.text(), "answer 1");
    assert!(freshened.header("cache-status").contains("fwd=stale; fwd-status=304"));
    assert_eq!(shop.see("/").await.header("cache-status"), "awning; hit; ttl=60");
    assert_eq!(shop.upstream.count(), 2);
}

#[tokio::test]
async fn variants_live_side_by_side_and_the_oldest_goes() {
    let fields = &[("cache-control", "max-age=60"), ("vary", "x-kind")];
    let shop = Shop::before(numbered(fields).await, Pages::default());
    let see = async |kind: usize| {
        let visit = get("shop.nl", "/").header("x-kind", &kind.to_string());
        visit.of(&shop.shield).await.text().to_owned()
    };
    for kind in 0..33 {
        see(kind).await;
    }
    assert_eq!(see(32).await, "answer 33");
    assert_eq!(see(1).await, "answer 2");
    assert_eq!(see(0).await, "answer 34");
}

#[tokio::test]
async fn cookies_keep_responses_out_of_the_cache_unless_told_otherwise() {
    for (cookies, answer) in [(Cookies::Safe, "answer 3"), (Cookies::Rfc, "answer 1")] {
        let fields = &[("cache-control", "max-age=60")];
        let pages = Pages { cookies, ..Pages::default() };
        let shop = Shop::before(numbered(fields).await, pages);
        shop.see("/").await;
        let visit = || get("shop.nl", "/").header("cookie", "session=1");
        visit().of(&shop.shield).await;
        assert_eq!(visit().of(&shop.shield).await.text(), answer);
    }
    for (cookies, answer) in [(Cookies::Safe, "answer 2"), (Cookies::Rfc, "answer 1")] {
        let fields = &[("cache-control", "max-age=60"), ("set-cookie", "a=b")];
        let pages = Pages { cookies, ..Pages::default() };
        let shop = Shop::before(numbered(fields).await, pages);
        shop.see("/").await;
        assert_eq!(shop.see("/").await.text(), answer);
    }
}

#[tokio::test]
async fn what_a_304_says_to_one_visitor_is_not_given_to_others() {
    for personal in [("set-cookie", "session=1"), ("cache-control", "private, max-age=60")] {
        let count = Arc::new(AtomicUsize::new(1));
        let upstream = Upstream::answering(move |request: Request<Vec<u8>>| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let known = request.headers().contains_key("if-none-match");
            async move {
                let response = Response::builder().header("etag", "\"a\"");
                match known {
                    true => response.status(304).header(personal.0, personal.1).body(full("")),
                    false => response.header("cache-control", "max-age=60").body(body(number)),
                }
                .unwrap()
            }
        });
        let shop = Shop::before(upstream.await, Pages::default());
        shop.see("/").await;
        shop.clock.advance(Duration::from_secs(61));
        for expected in ["awning; fwd=stale; fwd-status=200; stored; ttl=60", "awning; hit; ttl=60"]
        {
            let seen = shop.see("/").await;
            assert_eq!(seen.text(), "answer 3");
            assert_eq!(seen.header("set-cookie"), "");
            assert_eq!(seen.header("cache-control"), "max-age=60");
            assert_eq!(seen.header("cache-status"), expected);
        }
    }
}

#[tokio::test]
async fn fragments_of_htmx_are_variants_whatever_vary_says() {
    let shop = Shop::before(numbered(&[("cache-control", "max-age=60")]).await, Pages::default());
    let fragment = async || {
        let visit = get("shop.nl", "/").header("hx-request", "true");
        visit.of(&shop.shield).await.text().to_owned()
    };
    for _ in 0..2 {
        assert_eq!(shop.see("/").await.text(), "answer 1");
        assert_eq!(fragment().await, "answer 2");
    }
    get("shop.nl", "/").method("POST").of(&shop.shield).await;
    assert_eq!(shop.see("/").await.text(), "answer 4");
    assert_eq!(fragment().await, "answer 5");
}

#[tokio::test]
async fn a_request_that_changes_things_makes_what_is_stored_unusable() {
    for (method, answer) in [("POST", "answer 3"), ("OPTIONS", "answer 1")] {
        let fields = &[("cache-control", "max-age=60")];
        let shop = Shop::before(numbered(fields).await, Pages::default());
        shop.see("/").await;
        get("shop.nl", "/").method(method).of(&shop.shield).await;
        assert_eq!(shop.see("/").await.text(), answer, "{method}");
    }
}

#[tokio::test]
async fn what_answers_an_authorized_request_is_shared_only_where_that_is_allowed() {
    for (cache_control, shared) in [
        ("max-age=60", false),
        ("private, max-age=60", false),
        ("public, max-age=60", true),
        ("s-maxage=60", true),
        ("must-revalidate, max-age=60", true),
    ] {
        let shop = Shop::saying(cache_control).await;
        let known = || get("shop.nl", "/").header("authorization", "Bearer a");
        assert_eq!(shop.visit(known()).await.text(), "answer 1");
        let (one, other) = if shared { ("answer 1", "answer 1") } else { ("answer 2", "answer 3") };
        assert_eq!(shop.visit(known()).await.text(), one, "{cache_control}");
        assert_eq!(shop.see("/").await.text(), other, "{cache_control}");
    }
}

#[tokio::test]
async fn an_unsafe_request_makes_unusable_what_its_answer_names_on_the_same_host() {
    for (field, location, unusable) in [
        ("content-location", "/a", true),
        ("location", "/a", true),
        ("content-location", "https://shop.nl/a", true),
        ("content-location", "https://evil.nl/a", false),
        ("content-location", "/b", false),
    ] {
        let shop = Shop::scripted(move |number, request| {
            let response = Response::builder().header("cache-control", "max-age=60");
            match request.method().as_str() {
                "POST" => Some(response.header(field, location).body(full("done"))),
                _ => Some(response.body(body(number))),
            }
        })
        .await;
        shop.see("/a").await;
        shop.visit(get("shop.nl", "/form").method("POST")).await;
        let expected = if unusable { "answer 3" } else { "answer 1" };
        assert_eq!(shop.see("/a").await.text(), expected, "{field}: {location}");
    }
}

#[tokio::test]
async fn the_answer_to_a_post_is_stored_for_gets_if_it_says_it_is_that() {
    for (location, cache_control, answer) in [
        ("/a", "max-age=60", "answer 1"),
        ("/b", "max-age=60", "answer 2"),
        ("/a", "public", "answer 2"),
    ] {
        let shop = Shop::scripted(move |number, _| {
            let response = Response::builder().header("cache-control", cache_control);
            Some(response.header("content-location", location).body(body(number)))
        })
        .await;
        assert_eq!(shop.visit(get("shop.nl", "/a").method("POST")).await.text(), "answer 1");
        assert_eq!(shop.see("/a").await.text(), answer, "{location} {cache_control}");
    }
}

#[tokio::test]
async fn a_head_freshens_what_it_agrees_with_and_ends_what_it_does_not() {
    for (tag, expected, fetches) in [("\"v1\"", "answer 1", 2), ("\"v2\"", "answer 3", 3)] {
        let shop = Shop::scripted(move |number, request| {
            let tag = if request.method() == "HEAD" { tag } else { "\"v1\"" };
            let response = Response::builder().header("cache-control", "max-age=60");
            Some(response.header("etag", tag).body(body(number)))
        })
        .await;
        shop.see("/").await;
        shop.wait(61);
        let head = shop.visit(get("shop.nl", "/").method("HEAD")).await;
        assert_eq!((head.status, head.text()), (200, ""));
        assert_eq!(shop.see("/").await.text(), expected, "{tag}");
        assert_eq!(shop.fetches(), fetches, "{tag}");
    }
}

#[tokio::test]
async fn an_upstream_is_asked_under_the_name_that_is_in_the_key() {
    let shop = Shop::saying("max-age=60").await;
    for host in ["Shop.NL", "shop.nl", "SHOP.nl"] {
        let visit = get("shop.nl", "/").authority(host);
        assert_eq!(shop.visit(visit).await.text(), "answer 1");
    }
    let seen = shop.upstream.only();
    for name in ["host", "x-forwarded-host"] {
        assert_eq!(seen.headers[name], "shop.nl", "{name}");
    }
}

#[tokio::test]
async fn a_rule_gives_freshness_to_upstreams_that_say_nothing() {
    let rules = vec![PageRule::new("/static/**", "public, max-age=60").unwrap()];
    let pages = Pages { rules, ..Pages::default() };
    let shop = Shop::before(numbered(&[]).await, pages);
    for (path, answer) in [
        ("/static/a", "answer 1"),
        ("/static/a", "answer 1"),
        ("/b", "answer 2"),
        ("/b", "answer 3"),
    ] {
        assert_eq!(shop.see(path).await.text(), answer, "{path}");
    }
}

#[tokio::test]
async fn a_rule_gives_nothing_to_failures_and_to_what_is_for_one_visitor() {
    let rule = || vec![PageRule::new("/**", "public, max-age=60").unwrap()];
    let pages = || Pages { rules: rule(), ..Pages::default() };
    for status in [302, 403, 404, 500, 503] {
        let answer = move |_: Request<Vec<u8>>| async move {
            Response::builder().status(status).body(full("once")).unwrap()
        };
        let shop = Shop::before(Upstream::answering(answer).await, pages());
        shop.see("/").await;
        shop.see("/").await;
        assert_eq!(shop.upstream.count(), 2, "{status}");
    }
    let shop = Shop::before(numbered(&[]).await, pages());
    get("shop.nl", "/").header("authorization", "Bearer x").of(&shop.shield).await;
    assert_eq!(shop.see("/").await.text(), "answer 2");
}

#[tokio::test]
async fn the_body_of_a_get_is_in_no_key_and_so_neither_is_its_answer() {
    let answer = |request: Request<Vec<u8>>| async move {
        let sent = String::from_utf8(request.into_body()).unwrap();
        let response = Response::builder().header("cache-control", "max-age=60");
        response.body(full(format!("sent {sent:?}"))).unwrap()
    };
    let shop = Shop::before(Upstream::answering(answer).await, Pages::default());
    let search = get("shop.nl", "/").sending("x=2", &shop.shield).await;
    assert_eq!(search.text(), "sent \"x=2\"");
    assert_eq!(search.header("cache-status"), "awning; fwd=bypass; fwd-status=200");
    assert_eq!(shop.see("/").await.text(), "sent \"\"");
    assert!(shop.see("/").await.header("cache-status").starts_with("awning; hit"));
}

#[tokio::test]
async fn who_waits_is_not_given_what_may_not_be_reused() {
    for (cache_control, fetches) in [("no-cache", 2), ("max-age=0", 2), ("max-age=60", 1)] {
        let (asked, let_go) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
        let (told, gate) = (Arc::clone(&asked), Arc::clone(&let_go));
        let upstream = Upstream::answering(move |request: Request<Vec<u8>>| {
            let (told, gate) = (Arc::clone(&told), Arc::clone(&gate));
            async move {
                told.notify_one();
                drop(gate.acquire().await.unwrap());
                let key = request.headers()["x-api-key"].to_str().unwrap().to_owned();
                let response = Response::builder().header("cache-control", cache_control);
                response.header("etag", "\"e\"").body(full(format!("for {key}"))).unwrap()
            }
        });
        let shop = Arc::new(Shop::before(upstream.await, Pages::default()));
        let ask = |key: &'static str| {
            let shop = Arc::clone(&shop);
            let visit = get("shop.nl", "/api/me").header("x-api-key", key);
            tokio::spawn(async move { visit.of(&shop.shield).await })
        };
        let first = ask("A");
        asked.notified().await;
        let second = ask("B");
        while !shop.shield.metrics().render().contains("awning_collapsed_total 1") {
            tokio::task::yield_now().await;
        }
        let_go.add_permits(2);
        assert_eq!(first.await.unwrap().text(), "for A");
        let expected = if fetches == 2 { "for B" } else { "for A" };
        assert_eq!(second.await.unwrap().text(), expected, "{cache_control}");
        assert_eq!(shop.upstream.count(), fetches, "{cache_control}");
    }
}

#[tokio::test]
async fn what_was_asked_for_before_a_change_is_not_stored_after_it() {
    let (asked, let_go) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (told, gate) = (Arc::clone(&asked), Arc::clone(&let_go));
    let upstream = Upstream::answering(move |request: Request<Vec<u8>>| {
        let (told, gate) = (Arc::clone(&told), Arc::clone(&gate));
        async move {
            if request.method() == "GET" {
                told.notify_one();
                drop(gate.acquire().await.unwrap());
            }
            Response::builder().header("cache-control", "max-age=60").body(full("page")).unwrap()
        }
    });
    let shop = Arc::new(Shop::before(upstream.await, Pages::default()));
    let slow = Arc::clone(&shop);
    let first = tokio::spawn(async move { slow.see("/").await });
    asked.notified().await;
    get("shop.nl", "/").method("POST").of(&shop.shield).await;
    let_go.add_permits(2);
    assert_eq!(first.await.unwrap().text(), "page");
    assert!(shop.see("/").await.header("cache-status").starts_with("awning; fwd=uri-miss"));
}

#[tokio::test]
async fn ranges_and_conditions_and_heads_are_answered_from_what_is_stored() {
    let fields = &[("cache-control", "max-age=60"), ("etag", "\"v\"")];
    let shop = Shop::before(numbered(fields).await, Pages::default());
    shop.see("/").await;
    let part = get("shop.nl", "/").header("range", "bytes=0-5").of(&shop.shield).await;
    assert_eq!((part.status, part.text()), (206, "answer"));
    assert_eq!(part.header("content-range"), "bytes 0-5/8");
    let same = get("shop.nl", "/").header("if-none-match", "\"v\"").of(&shop.shield).await;
    assert_eq!((same.status, same.text()), (304, ""));
    let head = get("shop.nl", "/").method("HEAD").of(&shop.shield).await;
    assert_eq!((head.status, head.text(), head.header("content-length")), (200, "", "8"));
    assert_eq!(shop.upstream.count(), 1);
}

#[tokio::test]
async fn nothing_is_forwarded_for_who_wants_only_what_is_cached() {
    let shop = Shop::before(numbered(&[]).await, Pages::default());
    let visit = get("shop.nl", "/").header("cache-control", "only-if-cached");
    assert_eq!(visit.of(&shop.shield).await.status, 504);
    assert_eq!(shop.upstream.count(), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_stored() {
    let upstream = Upstream::raw(
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\nhalf",
    )
    .await;
    let shop = Shop::before(upstream, Pages::default());
    for _ in 0..2 {
        let seen = shop.see("/").await;
        // It may break off before the answer began.
        assert!(seen.status == 502 || seen.body.is_err(), "{seen:?}");
        assert!(seen.header("cache-status").contains("fwd=uri-miss"), "{seen:?}");
        shop.wait(1);
    }
}

#[tokio::test]
async fn a_storm_of_uris_stays_within_the_memory() {
    let shop = Shop::before(numbered(&[("cache-control", "max-age=60")]).await, Pages::default());
    for number in 0..2_000 {
        shop.see(&format!("/{number}")).await;
    }
    let held = shop.shield.memory_bytes_held();
    assert!(held > 0 && held <= 1 << 20, "{held}");
    assert_eq!(shop.see("/new").await.text(), "answer 2001");
}
