//! Parts of a representation: stored, combined, and completed.

use awning::shield::body::full;
use http::{Request, Response};

use super::{Answer, Shop};
use crate::harness::visit::{Seen, get};

const WHOLE: &str = "0123456789";

/// An answer with the range of [`WHOLE`] that is asked for, or all of it.
fn ranged(tag: &str, request: &Request<Vec<u8>>) -> Answer {
    let field = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap());
    let response = Response::builder().header("cache-control", "max-age=60").header("etag", tag);
    let holds = field("if-range").is_none_or(|known| known == tag);
    let Some(range) = field("range").filter(|_| holds) else {
        return Some(response.body(full(WHOLE)));
    };
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let first: usize = first.parse().unwrap();
    let last = if last.is_empty() { WHOLE.len() - 1 } else { last.parse().unwrap() };
    let told = format!("bytes {first}-{last}/{}", WHOLE.len());
    let response = response.status(206).header("content-range", told);
    Some(response.body(full(&WHOLE[first..=last])))
}

async fn shop() -> Shop {
    Shop::scripted(|_, request| ranged("\"v\"", request)).await
}

async fn part(shop: &Shop, range: &str) -> Seen {
    shop.visit(get("shop.nl", "/").header("range", range)).await
}

/// What the upstream was asked for at last.
fn asked(shop: &Shop) -> (Option<String>, Option<String>) {
    let head = shop.upstream.last();
    let text = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    (text("range"), text("if-range"))
}

fn some(range: &str) -> (Option<String>, Option<String>) {
    (Some(range.to_owned()), Some("\"v\"".to_owned()))
}

#[tokio::test]
async fn a_stored_part_answers_for_what_it_has() {
    let shop = shop().await;
    let first = part(&shop, "bytes=2-7").await;
    assert_eq!((first.status, first.text()), (206, "234567"));
    for (range, text, told) in [
        ("bytes=2-7", "234567", "bytes 2-7/10"),
        ("bytes=3-4", "34", "bytes 3-4/10"),
        ("bytes=7-7", "7", "bytes 7-7/10"),
    ] {
        let seen = part(&shop, range).await;
        assert_eq!((seen.status, seen.text()), (206, text));
        assert_eq!((seen.header("content-range"), seen.header("etag")), (told, "\"v\""));
        assert_eq!(seen.header("cache-status"), "awning; hit; ttl=60");
    }
    assert_eq!(shop.fetches(), 1);
    shop.wait(61);
    assert_eq!(part(&shop, "bytes=3-4").await.text(), "34");
    assert_eq!(shop.fetches(), 2, "a part is fresh as long as a whole is");
}

#[tokio::test]
async fn what_is_missing_is_asked_for_alone_and_parts_become_a_whole() {
    let shop = shop().await;
    part(&shop, "bytes=2-5").await;
    let wider = part(&shop, "bytes=4-7").await;
    assert_eq!((wider.status, wider.text()), (206, "4567"));
    assert!(wider.header("cache-status").contains("fwd=partial; fwd-status=206"), "{wider:?}");
    assert_eq!(asked(&shop), some("bytes=6-7"));
    assert_eq!(part(&shop, "bytes=2-7").await.text(), "234567");
    assert_eq!(shop.fetches(), 2);

    let start = part(&shop, "bytes=0-3").await;
    assert_eq!((start.status, start.text()), (206, "0123"));
    assert_eq!(asked(&shop), some("bytes=0-1"));

    let whole = shop.see("/").await;
    assert_eq!((whole.status, whole.text()), (200, WHOLE));
    assert_eq!(whole.header("content-length"), "10");
    assert_eq!(asked(&shop), some("bytes=8-"));
    let whole = shop.see("/").await;
    assert_eq!((whole.text(), whole.header("cache-status")), (WHOLE, "awning; hit; ttl=60"));
    assert_eq!(whole.header("content-range"), "");
    assert_eq!(part(&shop, "bytes=-3").await.text(), "789");
    assert_eq!(shop.fetches(), 4);
}

#[tokio::test]
async fn parts_that_leave_more_than_one_gap_are_not_completed() {
    let shop = shop().await;
    part(&shop, "bytes=2-5").await;
    assert_eq!(shop.see("/").await.text(), WHOLE);
    assert_eq!(asked(&shop), (None, None));
    assert_eq!(part(&shop, "bytes=0-9").await.text(), WHOLE);
    assert_eq!(shop.fetches(), 2);
}

#[tokio::test]
async fn parts_of_different_representations_are_never_joined() {
    for tags in [["\"v\"", "\"w\""], ["W/\"v\"", "W/\"v\""]] {
        let shop = Shop::scripted(move |number, request| {
            let tag = tags[usize::from(number > 1)];
            ranged(tag, request)
        })
        .await;
        part(&shop, "bytes=0-5").await;
        let seen = shop.see("/").await;
        assert_eq!((seen.status, seen.text(), seen.header("etag")), (200, WHOLE, tags[1]));
        let again = shop.see("/").await;
        assert_eq!((again.text(), again.header("cache-status")), (WHOLE, "awning; hit; ttl=60"));
    }
}

#[tokio::test]
async fn a_part_from_before_a_purge_is_not_completed() {
    let shop = shop().await;
    part(&shop, "bytes=0-5").await;
    shop.shield.epochs().advance();
    assert_eq!(shop.see("/").await.text(), WHOLE);
    assert_eq!(asked(&shop), (None, None));
}

#[tokio::test]
async fn a_part_that_is_not_as_long_as_it_says_is_not_stored() {
    let shop = Shop::scripted(|_, _| {
        let response = Response::builder().status(206).header("content-range", "bytes 0-9/20");
        let response = response.header("cache-control", "max-age=60").header("etag", "\"v\"");
        Some(response.body(full("short")))
    })
    .await;
    for _ in 0..2 {
        assert_eq!(part(&shop, "bytes=0-9").await.text(), "short");
    }
    assert_eq!(shop.fetches(), 2);
}
