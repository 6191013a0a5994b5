//! HEAD, preconditions and ranges, from the bucket and from the cache alike.

use awning::semantics::encoding::Coding;

use crate::harness::origin::Script;
use crate::harness::release::{CDN, Release, SITE, Street};
use crate::harness::visit::{Seen, Visit, get};

const MODIFIED: &str = "Wed, 25 Nov 2026 00:00:00 GMT";
const EARLIER: &str = "Tue, 24 Nov 2026 23:59:59 GMT";

fn release() -> Release {
    Release::default()
        .with("a.css", "0123456789")
        .with_variant("a.css", Coding::Br, "br")
        .with("index.html", "<p>page</p>")
        .with("404.html", "<p>missing</p>")
}

fn tag(release: &Release, suffix: &str) -> String {
    format!("\"{}{suffix}\"", release.name("a.css").rsplit('.').nth(1).unwrap())
}

/// The same request twice: once to the bucket, once to the cache.
async fn twice(visit: Visit) -> [Seen; 2] {
    let street = Street::with(&release()).await;
    let first = visit.clone().of(&street.shield).await;
    let second = visit.of(&street.shield).await;
    assert!(first.header("cache-status").contains("fwd=uri-miss"), "{first:?}");
    assert!(second.header("cache-status").contains("; hit"), "{second:?}");
    assert_eq!(street.origin.gets(&release().key("a.css")), 1);
    [first, second]
}

#[tokio::test]
async fn head_has_the_fields_of_get_and_no_bytes() {
    let name = release().name("a.css");
    for seen in twice(get(CDN, &name).method("HEAD")).await {
        assert_eq!((seen.status, seen.text()), (200, ""));
        for (field, expected) in [
            ("content-length", "10"),
            ("content-type", "text/css; charset=utf-8"),
            ("etag", &tag(&release(), "")),
            ("accept-ranges", "bytes"),
            ("last-modified", MODIFIED),
        ] {
            assert_eq!(seen.header(field), expected, "{field}");
        }
    }
}

#[tokio::test]
async fn a_get_after_a_head_has_the_body() {
    let street = Street::with(&release()).await;
    get(CDN, "/a.css").method("HEAD").of(&street.shield).await;
    let seen = get(CDN, "/a.css").of(&street.shield).await;
    assert_eq!((seen.text(), seen.header("cache-status")), ("0123456789", "awning; hit; ttl=60"));
}

#[tokio::test]
async fn what_the_client_holds_is_not_sent_again() {
    let release = release();
    let table = [
        ("if-none-match", tag(&release, ""), tag(&release, "")),
        ("if-none-match", tag(&release, "-br"), tag(&release, "-br")),
        ("if-none-match", format!("\"x\", W/{}", tag(&release, "")), tag(&release, "")),
        ("if-none-match", "*".into(), tag(&release, "")),
        ("if-modified-since", MODIFIED.into(), tag(&release, "")),
    ];
    for (field, value, expected) in table {
        for method in ["GET", "HEAD"] {
            let visit = get(CDN, &release.name("a.css")).method(method).header(field, &value);
            for seen in twice(visit).await {
                assert_eq!(seen.status, 304, "{field}: {value}");
                assert_eq!(seen.text(), "");
                for (field, expected) in [
                    ("etag", expected.as_str()),
                    ("cache-control", "public, max-age=31536000, immutable"),
                    ("vary", "Accept-Encoding"),
                    ("access-control-allow-origin", "*"),
                    ("content-length", ""),
                    ("content-type", ""),
                ] {
                    assert_eq!(seen.header(field), expected, "{field}");
                }
            }
        }
    }
}

#[tokio::test]
async fn conditions_that_do_not_hold_change_nothing_or_refuse() {
    let release = release();
    let tag = tag(&release, "");
    let table: [(&[(&'static str, &str)], u16); 6] = [
        (&[("if-none-match", "\"x\"")], 200),
        (&[("if-none-match", "\"x\""), ("if-modified-since", MODIFIED)], 200),
        (&[("if-modified-since", EARLIER)], 200),
        (&[("if-match", "\"x\"")], 412),
        (&[("if-match", &tag)], 200),
        (&[("if-unmodified-since", EARLIER)], 412),
    ];
    for (fields, status) in table {
        let visit = get(CDN, &release.name("a.css"));
        let visit = fields.iter().fold(visit, |visit, (name, value)| visit.header(name, value));
        for seen in twice(visit).await {
            assert_eq!(seen.status, status, "{fields:?}");
        }
    }
}

#[tokio::test]
async fn a_range_selects_its_bytes() {
    let table = [
        ("bytes=0-3", 206, "0123", "bytes 0-3/10"),
        ("bytes=8-99", 206, "89", "bytes 8-9/10"),
        ("bytes=-2", 206, "89", "bytes 8-9/10"),
        ("bytes=4-", 206, "456789", "bytes 4-9/10"),
        ("bytes=10-", 416, "Range Not Satisfiable\n", "bytes */10"),
        ("bytes=-0", 416, "Range Not Satisfiable\n", "bytes */10"),
        ("bytes=0-1,2-5", 206, "012345", "bytes 0-5/10"),
        ("bytes=3-1", 200, "0123456789", ""),
        ("lines=1-2", 200, "0123456789", ""),
        ("bytes", 200, "0123456789", ""),
    ];
    for (range, status, body, told) in table {
        for seen in twice(get(CDN, "/a.css").header("range", range)).await {
            assert_eq!((seen.status, seen.text()), (status, body), "{range}");
            assert_eq!(seen.header("content-range"), told, "{range}");
            if status != 416 {
                assert_eq!(seen.header("content-length"), body.len().to_string());
            }
        }
    }
}

#[tokio::test]
async fn a_range_is_honoured_only_of_exactly_the_bytes_the_client_holds() {
    let release = release();
    let table = [
        (tag(&release, ""), 206),
        (tag(&release, "-br"), 200),
        (format!("W/{}", tag(&release, "")), 200),
        // Its codings may have the same one.
        (MODIFIED.to_owned(), 200),
        (EARLIER.to_owned(), 200),
    ];
    for (validator, status) in table {
        let visit = get(CDN, "/a.css").header("range", "bytes=0-0").header("if-range", &validator);
        for seen in twice(visit).await {
            assert_eq!(seen.status, status, "{validator}");
        }
    }
}

#[tokio::test]
async fn a_range_of_a_coding_is_of_the_coded_bytes() {
    let street = Street::with(&release()).await;
    let visit = get(CDN, "/a.css").header("accept-encoding", "br").header("range", "bytes=1-");
    let seen = visit.of(&street.shield).await;
    assert_eq!((seen.status, seen.text()), (206, "r"));
    assert_eq!(seen.header("content-encoding"), "br");
    assert_eq!(seen.header("content-range"), "bytes 1-1/2");
}

#[tokio::test]
async fn head_has_no_range() {
    let street = Street::with(&release()).await;
    let visit = get(CDN, "/a.css").method("HEAD").header("range", "bytes=0-1");
    let seen = visit.of(&street.shield).await;
    assert_eq!((seen.status, seen.header("content-length")), (200, "10"));
}

#[tokio::test]
async fn the_page_for_what_is_missing_has_neither_tag_nor_parts() {
    let street = Street::with(&release()).await;
    for (field, value) in [("if-none-match", "*"), ("range", "bytes=0-1")] {
        let seen = get(SITE, "/none").header(field, value).of(&street.shield).await;
        assert_eq!((seen.status, seen.text()), (404, "<p>missing</p>"), "{field}");
        assert_eq!((seen.header("etag"), seen.header("accept-ranges")), ("", ""));
    }
}

/// With 1 MiB of memory, what is larger than 256 KiB is not held.
#[tokio::test]
async fn parts_of_what_is_too_large_to_hold_are_asked_of_the_bucket() {
    let content: Vec<u8> = (0..400_000_u32).map(|n| (n % 251) as u8).collect();
    let release = Release::default().with("film.mp4", content.clone());
    let street = Street::of_memory(&release, 1024 * 1024).await;
    let name = release.name("film.mp4");

    let seen = get(CDN, &name).header("range", "bytes=1000-1999").of(&street.shield).await;
    assert_eq!(seen.status, 206);
    assert_eq!(seen.body.as_ref().unwrap(), &content[1000..2000]);
    assert_eq!(seen.header("content-range"), "bytes 1000-1999/400000");
    assert_eq!(seen.header("cache-status"), "awning; fwd=uri-miss; fwd-status=200");
    assert!(street.origin.last_get().range.is_some(), "{:?}", street.origin.last_get());
    assert!(street.origin.last_get().if_match.is_some());
    assert_eq!(street.metric("awning_upstream_bytes_total{origin=\"bucket\"}"), 1000.0);

    let gets = street.origin.gets("");
    let seen = get(CDN, &name).header("range", "bytes=400000-").of(&street.shield).await;
    assert_eq!((seen.status, seen.header("content-range")), (416, "bytes */400000"));
    let seen = get(CDN, &name).method("HEAD").of(&street.shield).await;
    assert_eq!((seen.status, seen.header("content-length")), (200, "400000"));
    let seen = get(CDN, &name).header("if-none-match", "*").of(&street.shield).await;
    assert_eq!(seen.status, 304);
    assert_eq!(street.origin.gets(""), gets, "none of these reads the object");

    let seen = get(CDN, &name).of(&street.shield).await;
    assert_eq!(seen.body.unwrap(), content);
    street.origin.script(&release.key("film.mp4"), Script::Lies(399_999));
    let seen = get(CDN, &name).of(&street.shield).await;
    assert!(seen.body.is_err(), "damage is an error of the body");
}
