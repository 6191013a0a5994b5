//! Assets under fingerprinted and logical names: header fields, codings, and
//! what is not there.

use std::sync::Arc;
use std::time::Duration;

use awning::semantics::encoding::Coding;
use awning::store::{ObjectHeaders, ObjectWrite as _, StoreErrorKind};

use crate::harness::origin::Script;
use crate::harness::release::{CDN, Release, SHOP, SITE, Street};
use crate::harness::visit::{Seen, get};

const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const SANDBOX: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

fn release() -> Release {
    Release::default()
        .with("css/app.css", "a{color:red}")
        .with_variant("css/app.css", Coding::Br, "br of app")
        .with_variant("css/app.css", Coding::Gzip, "gzip of app")
        .with("img/logo.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>")
        .with("img/foto.jpg", "jpeg")
        .with("empty.txt", "")
}

fn check(seen: &Seen, status: u16, fields: &[(&str, &str)]) {
    assert_eq!(seen.status, status, "{seen:?}");
    for (name, expected) in fields {
        assert_eq!(seen.header(name), *expected, "{name} of {seen:?}");
    }
}

#[tokio::test]
async fn a_fingerprinted_name_is_immutable_and_open_to_every_origin() {
    let release = release();
    let street = Street::with(&release).await;
    for (host, base) in [(CDN, ""), (SITE, ""), (SHOP, "/_a"), (CDN, "/_a"), (SITE, "/_a")] {
        let path = format!("{base}{}", release.name("img/foto.jpg"));
        let seen = get(host, &path).of(&street.shield).await;
        check(
            &seen,
            200,
            &[
                ("cache-control", IMMUTABLE),
                ("content-type", "image/jpeg"),
                ("content-length", "4"),
                ("last-modified", "Wed, 25 Nov 2026 00:00:00 GMT"),
                ("accept-ranges", "bytes"),
                ("vary", ""),
                ("access-control-allow-origin", "*"),
                ("cross-origin-resource-policy", "cross-origin"),
                ("x-content-type-options", "nosniff"),
                ("content-security-policy", ""),
            ],
        );
        assert_eq!(seen.text(), "jpeg");
    }
    assert_eq!(street.origin.gets(&release.key("img/foto.jpg")), 1, "all names share one response");
}

#[tokio::test]
async fn the_first_answer_is_stored_and_the_next_is_a_hit() {
    let release = release();
    let street = Street::with(&release).await;
    let visit = get(CDN, &release.name("img/foto.jpg"));
    let first = visit.clone().of(&street.shield).await;
    let told = "awning; fwd=uri-miss; fwd-status=200; stored; ttl=31536000";
    check(&first, 200, &[("cache-status", told), ("age", "")]);

    street.clock.advance(Duration::from_secs(36));
    let second = visit.clone().of(&street.shield).await;
    check(&second, 200, &[("cache-status", "awning; hit; ttl=31535964"), ("age", "36")]);
    assert_eq!(second.headers["etag"], first.headers["etag"]);

    let site = format!("awning_requests_total{{site=\"{CDN}\",cache=");
    assert_eq!(street.metric(&format!("{site}\"miss\"}}")), 1.0);
    assert_eq!(street.metric(&format!("{site}\"hit\"}}")), 1.0);
    assert_eq!(street.metric("awning_cache_responses{tier=\"memory\"}"), 1.0);
    assert_eq!(street.metric("awning_upstream_bytes_total{origin=\"bucket\"}"), 4.0);

    street.clock.advance(Duration::from_secs(31_536_000));
    let third = visit.of(&street.shield).await;
    check(&third, 200, &[("cache-status", &told.replace("uri-miss", "stale"))]);
}

#[tokio::test]
async fn a_logical_name_is_fresh_for_a_minute_from_now() {
    let release = release();
    let street = Street::with(&release).await;
    street.clock.advance(Duration::from_secs(90));
    for expected in ["awning; fwd=uri-miss; fwd-status=200; stored; ttl=60", "awning; hit; ttl=60"]
    {
        let seen = get(CDN, "/css/app.css?v=3").of(&street.shield).await;
        let fields = [("cache-control", "public, max-age=60"), ("cache-status", expected)];
        check(&seen, 200, &fields);
        assert_eq!(seen.text(), "a{color:red}");
    }
}

#[tokio::test]
async fn documents_from_the_bucket_are_sandboxed_but_not_on_their_own_site() {
    let release = release();
    let street = Street::with(&release).await;
    let name = release.name("img/logo.svg");
    let table = [
        (CDN, name.as_str(), SANDBOX),
        (SITE, &name, SANDBOX),
        (CDN, "/img/logo.svg", SANDBOX),
        (SITE, "/img/logo.svg", ""),
    ];
    for (host, path, expected) in table {
        let seen = get(host, path).of(&street.shield).await;
        let svg = ("content-type", "image/svg+xml; charset=utf-8");
        check(&seen, 200, &[svg, ("content-security-policy", expected)]);
    }
}

#[tokio::test]
async fn each_coding_is_a_response_with_a_tag_of_its_own() {
    let release = release();
    let street = Street::with(&release).await;
    let tag = street_tag(&release, "css/app.css");
    let table = [
        ("gzip, br", "br", "br of app", format!("\"{tag}-br\"")),
        ("gzip", "gzip", "gzip of app", format!("\"{tag}-gzip\"")),
        ("br;q=0.1, gzip;q=0.2", "gzip", "gzip of app", format!("\"{tag}-gzip\"")),
        ("zstd", "", "a{color:red}", format!("\"{tag}\"")),
        ("", "", "a{color:red}", format!("\"{tag}\"")),
    ];
    for (accepted, coding, body, tag) in table {
        let visit = get(CDN, &release.name("css/app.css")).header("accept-encoding", accepted);
        let seen = visit.of(&street.shield).await;
        let fields = [("content-encoding", coding), ("etag", &tag), ("vary", "Accept-Encoding")];
        check(&seen, 200, &fields);
        check(&seen, 200, &[("content-type", "text/css; charset=utf-8")]);
        assert_eq!(seen.text(), body);
    }
}

#[tokio::test]
async fn a_coding_that_is_lost_or_damaged_makes_way_for_the_asset_itself() {
    let release = release();
    let coded = format!("{}.br", release.key("css/app.css"));
    for script in [Script::Fails(StoreErrorKind::NotFound), Script::Lies(0)] {
        let street = Street::with(&release).await;
        street.origin.script(&coded, script);
        let visit = get(CDN, "/css/app.css").header("accept-encoding", "br");
        let seen = visit.of(&street.shield).await;
        check(&seen, 200, &[("content-encoding", ""), ("vary", "Accept-Encoding")]);
        assert_eq!(seen.text(), "a{color:red}");
    }
}

#[tokio::test]
async fn what_takes_the_place_of_a_coding_is_no_hit() {
    let release = release();
    let (plain, coded) = (release.key("css/app.css"), format!("{}.br", release.key("css/app.css")));
    let visit = || get(CDN, "/css/app.css").header("accept-encoding", "br");
    let missing = Script::Fails(StoreErrorKind::NotFound);
    for (script, told) in [
        (missing, "awning; fwd=uri-miss; fwd-status=404; ttl=60; detail=absent"),
        (Script::Lies(0), "awning; fwd=uri-miss; ttl=60; detail=corrupt"),
    ] {
        let street = Street::with(&release).await;
        street.origin.script(&coded, script);
        get(CDN, "/css/app.css").of(&street.shield).await;
        let seen = visit().of(&street.shield).await;
        check(&seen, 200, &[("cache-status", told)]);
        assert_eq!(
            street.metric("awning_requests_total{site=\"cdn.example.nl\",cache=\"hit\"}"),
            0.0
        );
    }
    let street = Street::with(&release).await;
    street.origin.script(&plain, missing);
    street.origin.script(&coded, Script::Lies(0));
    get(CDN, "/css/app.css").of(&street.shield).await;
    // Both were asked for; a moment later they are again.
    street.clock.advance(Duration::from_secs(1));
    let seen = visit().of(&street.shield).await;
    check(&seen, 502, &[("cache-status", "awning; fwd=uri-miss; fwd-status=404; detail=lost")]);
}

#[tokio::test]
async fn what_other_origins_may_read_they_may_see_fail() {
    let release = release();
    let street = Street::with(&release).await;
    let name = release.name("img/foto.jpg");
    for (host, path, field, value, status, origin) in [
        (CDN, "/css/app.aaaaaaaaaaaaaaaa.css", "accept", "*/*", 404, "*"),
        (SHOP, "/_a/css/app.aaaaaaaaaaaaaaaa.css", "accept", "*/*", 404, "*"),
        (CDN, &name, "range", "bytes=99-", 416, "*"),
        (CDN, &name, "if-match", "\"x\"", 412, "*"),
        (SITE, "/img/foto.jpg", "range", "bytes=99-", 416, ""),
    ] {
        let seen = get(host, path).header(field, value).of(&street.shield).await;
        check(&seen, status, &[("access-control-allow-origin", origin)]);
    }
}

#[tokio::test]
async fn calls_to_the_bucket_are_counted_by_class_from_the_start() {
    let release = release();
    let street = Street::with(&release).await;
    let text = street.shield.metrics().render();
    assert!(text.contains("awning_collapsed_total 0"), "{text}");
    let calls = "awning_store_calls_total{class=\"B\"}";
    assert_eq!(street.metric(calls), 2.0, "the head and the manifest");
    get(CDN, "/img/foto.jpg").of(&street.shield).await;
    assert_eq!(street.metric(calls), 3.0);
}

#[tokio::test]
async fn an_object_of_an_older_release_is_served_while_the_bucket_has_it() {
    let old = Release::default().with("css/app.css", "old{}");
    let street = Street::with(&old).await;
    release().publish(&street.origin, 2).await;
    street.shield.refresh().await;
    let seen = get(CDN, &old.name("css/app.css")).of(&street.shield).await;
    let fields = [
        ("cache-control", IMMUTABLE),
        ("content-type", "text/css; charset=utf-8"),
        ("etag", &format!("\"{}\"", street_tag(&old, "css/app.css"))),
    ];
    check(&seen, 200, &fields);
    assert_eq!(seen.text(), "old{}");
}

#[tokio::test]
async fn names_that_are_not_there_are_404_and_never_stored_outside() {
    let street = Street::with(&release()).await;
    let unknown = "/css/app.aaaaaaaaaaaaaaaa.css";
    let gets = street.origin.gets("");
    let table = [
        (CDN, unknown, "awning; fwd=uri-miss; fwd-status=404; detail=absent"),
        (CDN, unknown, "awning; hit; detail=absent"),
        (SHOP, "/_a/css/app.aaaaaaaaaaaaaaaa.css", "awning; hit; detail=absent"),
        (CDN, "/css/none.css", "awning; detail=not-in-release"),
        (CDN, "/", "awning; detail=not-in-release"),
        (CDN, "/css/%2e%2e/app.css", "awning; detail=not-in-release"),
        (CDN, "/css%2Fapp.css", "awning; detail=not-in-release"),
        (SHOP, "/_a/css/none.css", "awning; detail=not-in-release"),
        (SHOP, "/_a/", "awning; detail=not-in-release"),
        (SITE, "/none", "awning; detail=not-in-release"),
    ];
    for (host, path, told) in table {
        let seen = get(host, path).of(&street.shield).await;
        let fields = [
            ("cache-control", "no-store"),
            ("cache-status", told),
            ("content-type", "text/plain; charset=utf-8"),
            ("x-content-type-options", "nosniff"),
        ];
        check(&seen, 404, &fields);
        assert_eq!(seen.text(), "Not Found\n", "{path}");
    }
    assert_eq!(street.origin.gets("") - gets, 1, "only the first name was asked for");
}

#[tokio::test]
async fn what_a_fingerprinted_asset_names_beside_itself_is_there() {
    let modules = release().with("js/main.js", "import './dep.js'").with("js/dep.js", "export {}");
    let street = Street::with(&modules).await;
    for (host, base) in [(SHOP, "/_a"), (SITE, "/_a"), (CDN, "")] {
        let main = format!("{base}{}", modules.name("js/main.js"));
        check(&get(host, &main).of(&street.shield).await, 200, &[("cache-control", IMMUTABLE)]);
        let dep = get(host, &format!("{base}/js/dep.js")).of(&street.shield).await;
        let fields =
            [("cache-control", "public, max-age=60"), ("access-control-allow-origin", "*")];
        check(&dep, 200, &fields);
        assert_eq!(dep.text(), "export {}");
    }
}

#[tokio::test]
async fn an_asset_that_appears_after_a_404_is_seen_within_a_second() {
    let street = Street::with(&release()).await;
    let late = Release::default().with("late.css", "late{}");
    let visit = get(CDN, &late.name("late.css"));
    check(&visit.clone().of(&street.shield).await, 404, &[]);
    late.publish(&street.origin, 2).await;
    street.clock.advance(Duration::from_secs(1));
    assert_eq!(visit.of(&street.shield).await.text(), "late{}");
}

#[tokio::test]
async fn an_asset_that_was_asked_for_too_early_is_there_with_its_release() {
    let street = Street::with(&release()).await;
    let late = Release::default().with("late.css", "late{}");
    let visit = get(CDN, &late.name("late.css"));
    check(&visit.clone().of(&street.shield).await, 404, &[]);
    late.publish(&street.origin, 2).await;
    street.shield.refresh().await;
    assert_eq!(visit.of(&street.shield).await.text(), "late{}");
}

#[tokio::test]
async fn what_the_bucket_says_of_an_object_never_breaks_a_header() {
    let street = Street::with(&release()).await;
    let old = Release::default().with("a.css", "a{}");
    let headers = ObjectHeaders {
        content_type: Some("text/css\r\nx: y".into()),
        content_disposition: Some("attachment; filename=\"a\nb\"".into()),
        content_language: Some("nl".into()),
        ..ObjectHeaders::default()
    };
    street.origin.store.put(&old.key("a.css"), "a{}".into(), &headers).await.unwrap();
    let seen = get(CDN, &old.name("a.css")).of(&street.shield).await;
    let fields = [
        ("content-type", "application/octet-stream"),
        ("content-disposition", ""),
        ("content-language", "nl"),
    ];
    check(&seen, 200, &fields);
}

#[tokio::test]
async fn a_host_that_no_site_has_is_misdirected() {
    let street = Street::with(&release()).await;
    for host in ["evil.example", "", "example.nl"] {
        let seen = get(host, "/css/app.css").of(&street.shield).await;
        check(&seen, 421, &[("cache-status", "awning; detail=unknown-host")]);
    }
    assert_eq!(street.metric("awning_requests_total{site=\"-\",cache=\"none\"}"), 3.0);
}

#[tokio::test]
async fn only_reading_methods_are_for_assets() {
    let release = release();
    let street = Street::with(&release).await;
    let name = release.name("css/app.css");
    for method in ["POST", "PUT", "DELETE", "PATCH", "PURGE", "QUERY"] {
        for (host, path) in [(CDN, name.as_str()), (SITE, "/"), (SHOP, "/_a/x")] {
            let seen = get(host, path).method(method).of(&street.shield).await;
            check(&seen, 405, &[("allow", "GET, HEAD, OPTIONS"), ("cache-control", "no-store")]);
        }
    }
    let seen = get(SHOP, "/").method("PURGE").of(&street.shield).await;
    check(&seen, 405, &[]);
}

#[tokio::test]
async fn a_preflight_is_answered_here_for_what_other_origins_may_read() {
    let release = release();
    let street = Street::with(&release).await;
    let name = release.name("css/app.css");
    let table = [(CDN, "/x", "*"), (SITE, &name, "*"), (SHOP, "/_a/x", "*"), (SITE, "/", "")];
    for (host, path, origin) in table {
        let visit = get(host, path).method("OPTIONS").header("origin", "https://evil.example");
        let seen = visit.of(&street.shield).await;
        let fields = [
            ("access-control-allow-origin", origin),
            ("allow", "GET, HEAD, OPTIONS"),
            ("cache-status", "awning; detail=options"),
        ];
        check(&seen, 204, &fields);
    }
    assert_eq!(street.origin.gets(&release.key("css/app.css")), 0);
}

#[tokio::test(start_paused = true)]
async fn failures_of_the_bucket_become_a_few_neutral_words() {
    let release = release();
    let street = Street::with(&release).await;
    let key = release.key("img/foto.jpg");
    let table = [
        (Script::Fails(StoreErrorKind::Unavailable), 502, "unavailable"),
        (Script::Fails(StoreErrorKind::Denied), 502, "unavailable"),
        (Script::Fails(StoreErrorKind::Throttled), 503, "throttled"),
        (Script::Lies(2), 502, "corrupt"),
        (Script::EndsAt(3), 502, "unavailable"),
        (Script::BreaksAt(2), 502, "unavailable"),
    ];
    for (script, status, word) in table {
        street.origin.script(&key, script);
        let seen = get(CDN, "/img/foto.jpg").of(&street.shield).await;
        let told = format!("awning; fwd=uri-miss; detail={word}");
        check(&seen, status, &[("cache-control", "no-store"), ("cache-status", &told)]);
        assert!(seen.text().len() < 40 && !seen.text().contains("foto"), "{seen:?}");
        let retry = if status == 503 { "1" } else { "" };
        assert_eq!(seen.header("retry-after"), retry);
        // A moment later the bucket is asked again.
        street.clock.advance(Duration::from_secs(1));
    }
    street.origin.recover(&key);
    assert_eq!(get(CDN, "/img/foto.jpg").of(&street.shield).await.text(), "jpeg");
}

#[tokio::test(start_paused = true)]
async fn a_silent_bucket_is_given_up_in_time() {
    let release = release().with("img/large.jpg", vec![0; 1_000_000]);
    let street = Street::with(&release).await;
    let table = [
        (Script::Hangs, "img/foto.jpg", 10),
        (Script::StallsAt(2), "img/foto.jpg", 25),
        (Script::Drips(Duration::from_secs(14)), "img/large.jpg", 60),
    ];
    for (script, path, seconds) in table {
        street.origin.script(&release.key(path), script);
        let started = tokio::time::Instant::now();
        let seen = get(CDN, &format!("/{path}")).of(&street.shield).await;
        check(&seen, 504, &[("cache-status", "awning; fwd=uri-miss; detail=timeout")]);
        assert_eq!(started.elapsed().as_secs(), seconds);
        street.clock.advance(Duration::from_secs(1));
    }
}

/// 256 objects are read at a time; who waits longer than 5 s is turned away.
#[tokio::test(start_paused = true)]
async fn a_read_waits_for_its_turn_and_not_for_long() {
    let release = (0..257).fold(Release::default(), |release, number| {
        release.with(&format!("{number}.css"), format!("{number}{{}}"))
    });
    let street = Street::with(&release).await;
    street.origin.close();
    let reads = street.origin.gets("");
    let mut visits = tokio::task::JoinSet::new();
    for number in 0..256 {
        let (shield, path) = (Arc::clone(&street.shield), format!("/{number}.css"));
        visits.spawn(async move { get(CDN, &path).of(&shield).await });
    }
    street.origin.asked(reads + 256).await;
    let started = tokio::time::Instant::now();
    let seen = get(CDN, "/256.css").of(&street.shield).await;
    let told = "awning; fwd=uri-miss; detail=overloaded";
    check(&seen, 503, &[("cache-status", told), ("retry-after", "1")]);
    assert_eq!(started.elapsed().as_secs(), 5);
    street.origin.open();
    for seen in visits.join_all().await {
        check(&seen, 200, &[]);
    }
}

#[tokio::test]
async fn nothing_is_a_body_like_any_other() {
    let release = release();
    let street = Street::with(&release).await;
    for _ in 0..2 {
        let seen = get(CDN, "/empty.txt").of(&street.shield).await;
        check(&seen, 200, &[("content-length", "0")]);
        assert_eq!(seen.text(), "");
    }
}

fn street_tag(release: &Release, path: &str) -> String {
    release.name(path).rsplit('.').nth(1).unwrap().to_owned()
}
