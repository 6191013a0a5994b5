//! Codings: which one is sent, and what is made here when one is not there.

use std::io::Write as _;
use std::sync::Arc;

use awning::semantics::encoding::Coding;
use awning::store::StoreErrorKind;
use bytes::Bytes;
use tokio::task::JoinSet;

use crate::harness::origin::Script;
use crate::harness::release::{CDN, Release, SHOP, SITE, Street};
use crate::harness::visit::{Seen, Visit, get};

/// Text that codings make smaller: 5,000 bytes of css.
fn css() -> String {
    (0..250).map(|n| format!(".rule-{n:03}{{top:{:03}px}}", n * 7 % 1000)).collect::<String>()
}

fn coded(coding: Coding, content: &[u8]) -> Bytes {
    let mut coded = Vec::new();
    match coding {
        Coding::Br => {
            let parameters = brotli::enc::BrotliEncoderParams::default();
            brotli::BrotliCompress(&mut &content[..], &mut coded, &parameters).unwrap();
        }
        Coding::Zstd => coded = zstd::bulk::compress(content, 3).unwrap(),
        Coding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(coded, flate2::Compression::default());
            encoder.write_all(content).unwrap();
            coded = encoder.finish().unwrap();
        }
    }
    coded.into()
}

fn decoded(seen: &Seen) -> String {
    let body = seen.body.as_ref().unwrap();
    let mut bytes = Vec::new();
    match seen.header("content-encoding") {
        "br" => brotli::BrotliDecompress(&mut &body[..], &mut bytes).unwrap(),
        "zstd" => bytes = zstd::stream::decode_all(&body[..]).unwrap(),
        "" => bytes = body.to_vec(),
        other => panic!("{other}"),
    }
    String::from_utf8(bytes).unwrap()
}

/// An asset in all three codings.
fn published() -> Release {
    let all = Coding::ALL.into_iter();
    all.fold(Release::default().with("app.css", css()), |release, coding| {
        release.with_variant("app.css", coding, coded(coding, css().as_bytes()))
    })
}

/// The same without any.
fn uncoded() -> Release {
    Release::default().with("app.css", css())
}

fn visit(release: &Release, accepted: &str) -> Visit {
    get(CDN, &release.name("app.css")).header("accept-encoding", accepted)
}

fn made(street: &Street, coding: &str) -> f64 {
    street.metric(&format!("awning_coded_total{{coding=\"{coding}\",outcome=\"made\"}}"))
}

#[tokio::test]
async fn no_field_makes_more_than_three_variants_beside_the_identity() {
    let release = published();
    let street = Street::with(&release).await;
    let words = ["br", "zstd", "gzip", "x-gzip", "deflate", "identity", "*", "compress", "dcb"];
    let mut seen_codings = std::collections::BTreeSet::new();
    for number in 0..500_usize {
        let word = |at: usize| words[(number / words.len().pow(at as u32)) % words.len()];
        let (q, w) = (number % 11, number % 7);
        let field =
            format!("{};q=0.{q}, {} ; q=1.{w}, {}{number}, {}", word(0), word(1), word(0), word(2));
        let seen = visit(&release, &field).of(&street.shield).await;
        assert_eq!((seen.status, seen.header("vary")), (200, "Accept-Encoding"), "{field}");
        seen_codings.insert(seen.header("content-encoding").to_owned());
    }
    for field in ["br,".repeat(20_000), "x".repeat(64 * 1024), format!("{}br", "a,".repeat(32_000))]
    {
        assert_eq!(visit(&release, &field).of(&street.shield).await.status, 200);
    }
    assert_eq!(seen_codings.len(), 4, "{seen_codings:?}");
    assert_eq!(street.metric("awning_cache_responses{tier=\"memory\"}"), 4.0);
    let object = release.key("app.css");
    for suffix in ["", ".br", ".zst", ".gz"] {
        assert_eq!(street.origin.gets(&format!("{object}{suffix}")), 1, "{suffix}");
    }
}

/// RFC 9110 §12.5.3: what a request refuses is sent only if there is nothing else.
#[tokio::test]
async fn a_request_that_refuses_everything_gets_what_there_is() {
    let release = published();
    let table = [
        ("identity;q=0, *;q=0", ""),
        ("*;q=0", ""),
        ("identity;q=0", ""),
        ("identity;q=0, gzip", "gzip"),
        ("*;q=0, zstd;q=0.001", "zstd"),
        ("br;q=0, zstd;q=0, gzip;q=0", ""),
        ("*", "br"),
        ("br;q=0, *;q=0.5", "zstd"),
        ("gzip;q=0.4, identity;q=0.5", ""),
    ];
    for (field, coding) in table {
        let street = Street::with(&release).await;
        let seen = visit(&release, field).of(&street.shield).await;
        assert_eq!((seen.status, seen.header("content-encoding")), (200, coding), "{field}");
    }
}

#[tokio::test]
async fn an_identity_that_is_lost_or_damaged_is_decoded_from_any_coding() {
    let release = published();
    let key = release.key("app.css");
    let lost = Script::Fails(StoreErrorKind::NotFound);
    for (script, status) in [(lost, "; fwd-status=404"), (Script::Lies(7), "")] {
        for left in Coding::ALL {
            let street = Street::with(&release).await;
            street.origin.script(&key, script);
            for coding in Coding::ALL.into_iter().filter(|coding| *coding != left) {
                street.origin.script(&format!("{key}{}", coding.suffix()), lost);
            }
            let seen = get(CDN, &release.name("app.css")).of(&street.shield).await;
            assert_eq!((seen.status, seen.text()), (200, &*css()), "{left}");
            let told =
                format!("awning; fwd=uri-miss{status}; stored; ttl=31536000; detail=decoded");
            assert_eq!(seen.header("cache-status"), told, "{left}");
            let fingerprint = key.rsplit('.').nth(1).unwrap();
            for (field, expected) in [
                ("content-encoding", ""),
                ("content-length", &css().len().to_string()),
                ("content-type", "text/css; charset=utf-8"),
                ("etag", &format!("\"{fingerprint}\"")),
                ("vary", "Accept-Encoding"),
            ] {
                assert_eq!(seen.header(field), expected, "{field}");
            }
            let reads = street.origin.gets("");
            let again = get(CDN, "/app.css").header("range", "bytes=-10").of(&street.shield).await;
            assert_eq!((again.status, again.text()), (206, &css()[css().len() - 10..]));
            assert!(again.header("cache-status").contains("; hit"), "{again:?}");
            assert_eq!(street.origin.gets(""), reads);
        }
    }
}

#[tokio::test]
async fn a_page_whose_source_is_lost_is_made_of_any_coding() {
    let page = format!("<link href=/app.css rel=stylesheet><p>{}", css());
    let release = uncoded().with("index.html", page.clone()).with("404.html", page.clone());
    let release = ["index.html", "404.html"].into_iter().fold(release, |release, path| {
        release.with_variant(path, Coding::Zstd, coded(Coding::Zstd, page.as_bytes()))
    });
    let expected = page.replace("/app.css", &format!("https://{CDN}{}", release.name("app.css")));
    let whole = Street::with(&release).await;
    for (path, asset, status) in [("/", "index.html", 200), ("/none", "404.html", 404)] {
        let street = Street::with(&release).await;
        let lost = Script::Fails(StoreErrorKind::NotFound);
        street.origin.script(&release.key(asset), lost);
        for _ in 0..2 {
            let seen = get(SITE, path).header("accept-encoding", "br").of(&street.shield).await;
            assert_eq!((seen.status, seen.text()), (status, &*expected), "{path}");
            let usual = get(SITE, path).of(&whole.shield).await;
            assert_eq!(seen.header("etag"), usual.header("etag"));
            assert_eq!(seen.header("last-modified"), usual.header("last-modified"));
        }
        assert_eq!(street.origin.gets(".zst"), 1, "the page is stored");
    }
}

#[tokio::test]
async fn a_hundred_clients_of_a_lost_identity_are_one_decoding() {
    let release = published();
    let street = Street::with(&release).await;
    street.origin.script(&release.key("app.css"), Script::Fails(StoreErrorKind::NotFound));
    let mut visits = JoinSet::new();
    for _ in 0..100 {
        let (shield, visit) = (Arc::clone(&street.shield), get(CDN, &release.name("app.css")));
        visits.spawn(async move { visit.of(&shield).await });
    }
    for seen in visits.join_all().await {
        assert_eq!((seen.status, seen.text()), (200, &*css()));
    }
    assert_eq!(street.metric("awning_decoded_total{coding=\"br\",outcome=\"made\"}"), 1.0);
    assert_eq!(street.origin.gets(&release.key("app.css")), 1);
    assert_eq!(street.origin.gets(".br"), 1);
}

/// A purge is about what is decoded as well.
#[tokio::test]
async fn what_was_decoded_before_a_purge_is_not_used_after_it() {
    let release = published();
    let street = Street::with(&release).await;
    street.origin.script(&release.key("app.css"), Script::Fails(StoreErrorKind::NotFound));
    for _ in 0..2 {
        let seen = get(CDN, "/app.css").of(&street.shield).await;
        assert!(seen.header("cache-status").contains("detail=decoded"), "{seen:?}");
        assert_eq!(seen.text(), css());
        street.shield.epochs().advance();
    }
    assert_eq!(street.origin.gets(".br"), 2);
}

#[tokio::test]
async fn what_decodes_to_other_bytes_than_were_published_is_never_sent() {
    let bomb = vec![0_u8; 4 << 20];
    for other in [b"else".as_slice(), &css().as_bytes()[1..], &bomb] {
        let all = Coding::ALL.into_iter();
        let release = all.fold(uncoded(), |release, coding| {
            release.with_variant("app.css", coding, coded(coding, other))
        });
        let street = Street::with(&release).await;
        street.origin.script(&release.key("app.css"), Script::Fails(StoreErrorKind::NotFound));
        let seen = get(CDN, "/app.css").of(&street.shield).await;
        assert_eq!(seen.status, 502, "{seen:?}");
        assert!(seen.header("cache-status").ends_with("detail=lost"), "{seen:?}");
        let corrupt = "awning_decoded_total{coding=\"br\",outcome=\"corrupt\"}";
        assert_eq!(street.metric(corrupt), 1.0);
        assert_eq!(street.metric("awning_cache_responses{tier=\"memory\"}"), 3.0, "the codings");
    }
}

#[tokio::test]
async fn an_object_of_an_older_release_is_coded_once_and_stored() {
    let old = uncoded();
    for (accepted, coding) in [("gzip, deflate, br", "br"), ("zstd, br;q=0.5", "zstd")] {
        let street = Street::with(&Release::default().with("a.css", "a{}")).await;
        old.publish(&street.origin, 1).await;
        let first = visit(&old, accepted).of(&street.shield).await;
        let second = visit(&old, accepted).of(&street.shield).await;
        let told = first.header("cache-status");
        assert_eq!(told, "awning; fwd=uri-miss; fwd-status=200; stored; ttl=31536000");
        assert_eq!(second.header("cache-status"), "awning; hit; ttl=31536000");
        for seen in [&first, &second] {
            assert_eq!((seen.status, seen.header("content-encoding")), (200, coding));
            assert_eq!(seen.header("content-type"), "text/css; charset=utf-8");
            assert_eq!(seen.header("vary"), "Accept-Encoding");
            assert_eq!(decoded(seen), css());
            assert!(seen.body.as_ref().unwrap().len() < css().len() / 2);
        }
        assert_eq!((made(&street, coding), street.origin.gets("")), (1.0, 3), "head, manifest");

        let plain = visit(&old, "identity").of(&street.shield).await;
        assert_eq!((plain.text(), plain.header("vary")), (&*css(), "Accept-Encoding"));
        assert!(plain.header("cache-status").contains("; hit"), "{plain:?}");
        check_tags(&street, &old, accepted, &first, &plain).await;
    }
}

/// The tag is strong, tells this coding's bytes, and is of the same content.
async fn check_tags(street: &Street, old: &Release, accepted: &str, coded: &Seen, plain: &Seen) {
    let (tag, plain_tag) = (coded.header("etag"), plain.header("etag"));
    let published =
        format!("{}-{}\"", plain_tag.trim_end_matches('"'), coded.header("content-encoding"));
    assert_ne!(tag, published, "a publisher's coding would be other bytes");
    for (held, accepted) in [(tag, accepted), (plain_tag, accepted), (tag, ""), (&published, "")] {
        let visit = visit(old, accepted).header("if-none-match", held);
        let seen = visit.of(&street.shield).await;
        assert_eq!((seen.status, seen.header("etag")), (304, held), "{accepted}");
        assert_eq!(seen.header("vary"), "Accept-Encoding");
    }
    let body = coded.body.as_ref().unwrap();
    for (held, status, bytes) in [
        (tag, 206, body.slice(3..9)),
        (plain_tag, 200, body.clone()),
        (&published, 200, body.clone()),
        ("Wed, 25 Nov 2026 00:00:00 GMT", 200, body.clone()),
    ] {
        let visit = visit(old, accepted).header("range", "bytes=3-8").header("if-range", held);
        let seen = visit.of(&street.shield).await;
        assert_eq!((seen.status, seen.body.unwrap()), (status, bytes), "{held}");
    }
    let seen = visit(old, accepted).header("range", "bytes=99999-").of(&street.shield).await;
    assert_eq!((seen.status, seen.header("vary")), (416, "Accept-Encoding"));
}

#[tokio::test]
async fn every_shield_makes_the_same_bytes_and_tag() {
    let release = uncoded();
    for accepted in ["br", "zstd"] {
        let (one, other) = (Street::with(&release).await, Street::with(&release).await);
        let one = visit(&release, accepted).of(&one.shield).await;
        // Which names of the object were asked for first is not to be seen either.
        get(SITE, "/app.css").of(&other.shield).await;
        let name = format!("/_a{}", release.name("app.css"));
        let other = get(SHOP, &name).header("accept-encoding", accepted).of(&other.shield).await;
        assert_eq!((one.status, other.status), (200, 200));
        assert_eq!((one.header("content-encoding"), &one.body), (accepted, &other.body));
        assert_eq!(one.header("etag"), other.header("etag"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_clients_are_one_read_and_one_coding() {
    let release = uncoded();
    let street = Street::with(&release).await;
    let mut visits = JoinSet::new();
    for _ in 0..100 {
        let (shield, visit) = (Arc::clone(&street.shield), visit(&release, "br"));
        visits.spawn(async move { visit.of(&shield).await });
    }
    for seen in visits.join_all().await {
        assert_eq!((seen.header("content-encoding"), decoded(&seen)), ("br", css()));
    }
    assert_eq!(street.origin.gets(&release.key("app.css")), 1);
    assert_eq!(made(&street, "br"), 1.0);
}

#[tokio::test]
async fn what_was_coded_before_a_purge_is_not_used_after_it() {
    let release = uncoded();
    let street = Street::with(&release).await;
    for purges in 1..=3 {
        let seen = visit(&release, "br").of(&street.shield).await;
        assert!(seen.header("cache-status").contains("fwd=uri-miss"), "{seen:?}");
        assert_eq!((seen.header("content-encoding"), decoded(&seen)), ("br", css()));
        assert_eq!(street.origin.gets(&release.key("app.css")), purges);
        street.shield.epochs().advance();
    }
}

#[tokio::test]
async fn what_is_not_worth_it_or_was_decided_against_stays_as_it_is() {
    let noise: Vec<u8> = (0..400_u32).flat_map(|n| scattered(n).to_le_bytes()).collect();
    let text = css();
    let release = Release::default()
        .with("small.css", text[..1023].to_owned())
        .with("foto.jpg", text.clone())
        .with("noise.txt", noise)
        .with("app.css", text);
    let table = [
        ("small.css", false, ""),
        ("foto.jpg", false, ""),
        ("noise.txt", false, "Accept-Encoding"),
        ("app.css", true, ""),
    ];
    for (path, publisher_codes, vary) in table {
        let release =
            if publisher_codes { uncoded().by_a_publisher_that_codes() } else { release.clone() };
        let street = Street::with(&release).await;
        for _ in 0..3 {
            let visit = get(CDN, &release.name(path)).header("accept-encoding", "br, zstd");
            let seen = visit.of(&street.shield).await;
            assert_eq!((seen.status, seen.header("content-encoding")), (200, ""), "{path}");
            assert_eq!(seen.header("vary"), vary, "{path}");
        }
        assert_eq!(street.origin.gets(&release.key(path)), 1, "{path}");
        let useless = street.metric("awning_coded_total{coding=\"br\",outcome=\"useless\"}");
        assert_eq!(useless, f64::from(path == "noise.txt"), "it is tried once");
        assert_eq!(made(&street, "br"), 0.0);
    }
}

/// Numbers without a pattern that a coding would find.
fn scattered(number: u32) -> u64 {
    let digest = awning::asset::Digest::of(&number.to_le_bytes());
    u64::from_le_bytes(digest.as_bytes()[..8].try_into().unwrap())
}

#[tokio::test]
async fn what_is_missing_is_asked_for_once_whatever_is_accepted() {
    let street = Street::with(&Release::default().with("a.css", "a{}")).await;
    let reads = street.origin.gets("");
    let visit = get(CDN, "/css/app.aaaaaaaaaaaaaaaa.css").header("accept-encoding", "br");
    let first = visit.clone().of(&street.shield).await;
    let told = "awning; fwd=uri-miss; fwd-status=404; detail=absent";
    assert_eq!((first.status, first.header("cache-status")), (404, told));
    let second = visit.of(&street.shield).await;
    assert_eq!(second.header("cache-status"), "awning; hit; detail=absent");
    assert_eq!(street.origin.gets("") - reads, 1);
}
