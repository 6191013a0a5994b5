//! Several ranges at once, conditions on them, and clients that ask for too many.

use std::fmt::Write as _;
use std::time::Duration;

use awning::semantics::encoding::Coding;
use http_body_util::BodyExt as _;

use crate::harness::origin::Script;
use crate::harness::release::{CDN, Release, Street};
use crate::harness::visit::{Seen, get};

const MODIFIED: &str = "Wed, 25 Nov 2026 00:00:00 GMT";

/// What each part of a body may take beside its bytes.
const AROUND_BYTES: usize = 200;

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

fn release(size: usize) -> Release {
    Release::default().with("img/foto.jpg", content(size))
}

/// The parts of a body as a client reads them: the type, the range, the bytes.
fn parts(seen: &Seen) -> Vec<(String, String, Vec<u8>)> {
    let kind = seen.header("content-type");
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let body = seen.body.as_ref().unwrap();
    let mut rest = body.strip_prefix(format!("--{boundary}").as_bytes()).unwrap();
    let delimiter = format!("\r\n--{boundary}");
    let mut parts = Vec::new();
    while rest != b"--\r\n" {
        let end = find(rest, b"\r\n\r\n");
        let head = std::str::from_utf8(&rest[2..end]).unwrap();
        let (kind, range) = head.split_once("\r\nContent-Range: ").unwrap();
        rest = &rest[end + 4..];
        let end = find(rest, delimiter.as_bytes());
        parts.push((kind.to_owned(), range.to_owned(), rest[..end].to_vec()));
        rest = &rest[end + delimiter.len()..];
    }
    parts
}

fn find(text: &[u8], what: &[u8]) -> usize {
    text.windows(what.len()).position(|window| window == what).unwrap()
}

fn check_parts(seen: &Seen, size: usize, spans: &[(usize, usize)]) {
    assert_eq!(seen.status, 206, "{seen:?}");
    let length = seen.body.as_ref().unwrap().len();
    assert_eq!(seen.header("content-length"), length.to_string());
    assert_eq!(seen.header("content-range"), "", "it is in the parts");
    let whole = content(size);
    let expected = spans.iter().map(|&(first, last)| {
        let range = format!("bytes {first}-{last}/{size}");
        ("Content-Type: image/jpeg".to_owned(), range, whole[first..=last].to_vec())
    });
    assert_eq!(parts(seen), expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn several_ranges_are_one_body_from_the_bucket_and_from_the_cache() {
    let release = release(1000);
    let table: [(&str, &[(usize, usize)]); 4] = [
        ("bytes=0-9,500-509", &[(0, 9), (500, 509)]),
        ("bytes=-1,0-0", &[(999, 999), (0, 0)]),
        ("bytes=0-9,5-20,900-", &[(0, 20), (900, 999)]),
        ("bytes=0-0,2-2,4-4,1000-", &[(0, 0), (2, 2), (4, 4)]),
    ];
    for (range, spans) in table {
        let street = Street::with(&release).await;
        let visit = get(CDN, &release.name("img/foto.jpg")).header("range", range);
        let first = visit.clone().of(&street.shield).await;
        let second = visit.clone().of(&street.shield).await;
        assert!(first.header("cache-status").contains("fwd=uri-miss"), "{first:?}");
        assert!(second.header("cache-status").contains("; hit"), "{second:?}");
        for seen in [&first, &second] {
            check_parts(seen, 1000, spans);
            for (field, expected) in [
                ("accept-ranges", "bytes"),
                ("cache-control", "public, max-age=31536000, immutable"),
                ("last-modified", MODIFIED),
                ("access-control-allow-origin", "*"),
                ("x-content-type-options", "nosniff"),
            ] {
                assert_eq!(seen.header(field), expected, "{field}");
            }
        }
        assert_eq!(first.body, second.body, "a retry gets the same bytes");
        assert_eq!(street.origin.gets(&release.key("img/foto.jpg")), 1);

        let seen = visit.method("HEAD").of(&street.shield).await;
        assert_eq!((seen.status, seen.header("content-length")), (200, "1000"));
    }
}

#[tokio::test]
async fn parts_of_a_coding_are_of_the_coded_bytes_and_say_so() {
    let release =
        Release::default().with("a.css", "0123456789").with_variant("a.css", Coding::Br, "brotli");
    let street = Street::with(&release).await;
    let visit = get(CDN, "/a.css").header("accept-encoding", "br");
    let seen = visit.header("range", "bytes=0-0,-1").of(&street.shield).await;
    let bytes: Vec<_> = parts(&seen).into_iter().map(|(_, range, bytes)| (range, bytes)).collect();
    let expected =
        [("bytes 0-0/6".to_owned(), b"b".into()), ("bytes 5-5/6".to_owned(), b"i".into())];
    assert_eq!(bytes, expected);
    assert_eq!(seen.header("content-encoding"), "br");
    assert_eq!(seen.header("vary"), "Accept-Encoding");
    assert!(seen.header("etag").ends_with("-br\""), "{seen:?}");
}

#[tokio::test]
async fn whoever_asks_for_too_much_costs_no_more_than_the_whole() {
    let size = 50_000;
    let release = release(size);
    let list = |count: usize, range: &dyn Fn(usize) -> String| {
        let mut field = "bytes=".to_owned();
        for number in 0..count {
            write!(field, "{},", range(number)).unwrap();
        }
        field
    };
    let table = [
        (list(1300, &|n| format!("0-{n}")), 200),
        (list(1300, &|n| format!("{n}-")), 200),
        (list(10_000, &|n| format!("{0}-{0}", 2 * n)), 200),
        (list(16, &|n| format!("{0}-{0}", 2 * n)), 206),
        (list(17, &|n| format!("{0}-{0}", 2 * n)), 200),
        (list(9000, &|_| "0-".to_owned()), 200),
        (list(2, &|_| "0-".to_owned()), 200),
        (list(16, &|_| "-50000".to_owned()), 200),
        (list(16, &|_| "-0".to_owned()), 416),
        (list(16, &|_| "50000-".to_owned()), 416),
        ("bytes=-0".to_owned(), 416),
        ("bytes=".to_owned(), 200),
        ("bytes=0--1".to_owned(), 200),
        (list(9000, &|_| String::new()), 200),
    ];
    for (range, status) in table {
        let street = Street::with(&release).await;
        let name = release.name("img/foto.jpg");
        for _ in 0..2 {
            let seen = get(CDN, &name).header("range", &range).of(&street.shield).await;
            let told = &range[..range.len().min(40)];
            assert_eq!(seen.status, status, "{told}");
            let body = seen.body.unwrap();
            assert!(body.len() <= size + 16 * AROUND_BYTES, "{} bytes for {told}", body.len());
            if status == 200 {
                assert_eq!(body, content(size), "{told}");
            }
        }
        assert_eq!(street.origin.gets(&release.key("img/foto.jpg")), 1);
        assert_eq!(street.metric("awning_upstream_bytes_total{origin=\"bucket\"}"), size as f64);
    }
}

#[tokio::test]
async fn two_fields_have_no_meaning_that_both_sides_agree_on() {
    let release = release(10);
    let street = Street::with(&release).await;
    let visit = get(CDN, &release.name("img/foto.jpg")).header("range", "bytes=0-0");
    let seen = visit.header("range", "bytes=1-1").of(&street.shield).await;
    assert_eq!((seen.status, seen.body.unwrap().len()), (200, 10));
}

/// RFC 9110 §13.1.5 and §8.8.2.2: a date is strong only where nothing else can
/// have it.
#[tokio::test]
async fn parts_are_sent_only_of_exactly_what_the_client_holds() {
    let release = release(1000).with("a.css", "0123456789").with_variant("a.css", Coding::Br, "br");
    let fingerprint = |path: &str| {
        let name = release.name(path);
        name.rsplit('.').nth(1).unwrap().to_owned()
    };
    let (foto, css) = (fingerprint("img/foto.jpg"), fingerprint("a.css"));
    let (foto_name, css_name) = (release.name("img/foto.jpg"), release.name("a.css"));
    let table = [
        (foto_name.as_str(), "", format!("\"{foto}\""), 206),
        (&foto_name, "", format!("W/\"{foto}\""), 200),
        (&foto_name, "", format!("\"{css}\""), 200),
        (&foto_name, "", format!("\"x\", \"{foto}\""), 200),
        (&foto_name, "", "*".to_owned(), 200),
        (&foto_name, "", String::new(), 200),
        (&foto_name, "", MODIFIED.to_owned(), 206),
        (&foto_name, "", "Wed, 25 Nov 2026 00:00:01 GMT".to_owned(), 200),
        ("/img/foto.jpg", "", format!("\"{foto}\""), 206),
        ("/img/foto.jpg", "", MODIFIED.to_owned(), 200),
        (&css_name, "", MODIFIED.to_owned(), 200),
        (&css_name, "", format!("\"{css}\""), 206),
        (&css_name, "", format!("\"{css}-br\""), 200),
        (&css_name, "br", format!("\"{css}\""), 200),
        (&css_name, "br", format!("\"{css}-br\""), 206),
        (&css_name, "gzip", format!("\"{css}-br\""), 200),
    ];
    for (path, accepted, validator, status) in table {
        let street = Street::with(&release).await;
        for range in ["bytes=0-0", "bytes=0-0,-1"] {
            let visit = get(CDN, path).header("accept-encoding", accepted).header("range", range);
            let seen = visit.header("if-range", &validator).of(&street.shield).await;
            // Both bytes of the coding are one part.
            assert_eq!(seen.status, status, "{path} {accepted} {validator} {range}");
        }
    }
}

/// More than 8 MiB, so that it is released while it arrives.
#[tokio::test]
async fn parts_are_cut_out_of_a_body_that_still_arrives() {
    let size = 9 * 1024 * 1024;
    let release = release(size);
    let street = Street::with(&release).await;
    let key = release.key("img/foto.jpg");
    street.origin.script(&key, Script::WaitsAfter(4 * 1024 * 1024));
    street.origin.close();
    let visit = get(CDN, &release.name("img/foto.jpg"));
    let early = visit.clone().header("range", "bytes=5-9,1000000-1000003").of(&street.shield).await;
    check_parts(&early, size, &[(5, 9), (1_000_000, 1_000_003)]);
    assert!(early.header("cache-status").contains("fwd=uri-miss"), "{early:?}");

    let late = visit.clone().header("range", "bytes=-3,0-1").begin(&street.shield).await;
    let (head, mut body) = late.into_parts();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"--"), "what stands before the part is there at once");
    street.origin.open();
    let rest = body.collect().await.unwrap().to_bytes();
    let body = Ok([first, rest].concat().into());
    let late = Seen { status: head.status.as_u16(), headers: head.headers, body };
    check_parts(&late, size, &[(size - 3, size - 1), (0, 1)]);
    assert_eq!(street.origin.gets(&key), 1);
}

#[tokio::test(start_paused = true)]
async fn parts_of_a_body_that_stands_still_end_in_its_failure() {
    let size = 9 * 1024 * 1024;
    let release = release(size);
    let street = Street::with(&release).await;
    street.origin.script(&release.key("img/foto.jpg"), Script::StallsAt(4 * 1024 * 1024));
    let visit =
        get(CDN, &release.name("img/foto.jpg")).header("range", "bytes=0-1,8000000-8000009");
    let seen = visit.of(&street.shield).await;
    assert_eq!(seen.status, 206);
    assert!(seen.body.is_err(), "a part that is not there is no end");
}

/// With 4 MiB of memory, what is larger than 1 MiB is read from disk, also while
/// it arrives there.
#[tokio::test]
async fn parts_of_what_is_on_disk_are_read_from_there() {
    let size = 3 * 1024 * 1024;
    let release = release(size);
    let place = tempfile::tempdir().unwrap();
    let street = Street::on_disk(&release, place.path(), 4 * 1024 * 1024).await;
    let visit = get(CDN, &release.name("img/foto.jpg"));
    let visit = visit.header("range", "bytes=-9,0-99,65530-65539");
    let expected = [(size - 9, size - 1), (0, 99), (65_530, 65_539)];
    check_parts(&visit.clone().of(&street.shield).await, size, &expected);
    assert!(street.shield.drain(Duration::from_secs(60)).await);
    let seen = visit.of(&street.shield).await;
    assert!(seen.header("cache-status").starts_with("awning; hit"), "{seen:?}");
    check_parts(&seen, size, &expected);
    assert_eq!(street.origin.gets(&release.key("img/foto.jpg")), 1);
}

/// With 1 MiB of memory, what is larger than 256 KiB is not held.
#[tokio::test]
async fn several_parts_of_what_is_too_large_to_hold_are_one_read_of_the_whole() {
    let release = release(400_000);
    let street = Street::of_memory(&release, 1024 * 1024).await;
    let visit = get(CDN, &release.name("img/foto.jpg"));
    let seen = visit.header("range", "bytes=0-9,300000-300009").of(&street.shield).await;
    assert_eq!(seen.status, 200);
    assert_eq!(seen.body.unwrap(), content(400_000));
    let bytes = street.metric("awning_upstream_bytes_total{origin=\"bucket\"}");
    assert_eq!(bytes, 400_000.0);
}
