use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::semantics::field::fields;

type Fields<'a> = &'a [(&'static str, &'a str)];

const DAY_1: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
const DAY_2: &str = "Fri, 02 Jan 1970 00:00:00 GMT";

fn at() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000_000)
}

#[test]
fn a_request_becomes_conditional_on_all_that_is_stored() {
    let table: [(&[Fields<'_>], Option<&str>, Option<&str>); 9] = [
        (&[], None, None),
        (&[&[]], None, None),
        (&[&[("etag", "\"a\"")]], Some("\"a\""), None),
        (&[&[("etag", "W/\"a\"")]], Some("W/\"a\""), None),
        (&[&[("etag", "a")]], Some("a"), None),
        (&[&[("etag", "\"\u{e9}\""), ("last-modified", DAY_1)]], Some("\"\u{e9}\""), Some(DAY_1)),
        (
            &[&[("etag", "\"a\"")], &[("etag", "\"b\"")], &[("etag", "\"a\"")]],
            Some("\"a\", \"b\""),
            None,
        ),
        (&[&[("last-modified", DAY_2)], &[("last-modified", DAY_1)]], None, Some(DAY_2)),
        (&[&[("last-modified", "yesterday")]], None, None),
    ];
    for (stored, tags, modified) in table {
        let stored: Vec<HeaderMap> = stored.iter().map(|list| fields(list)).collect();
        let mut request =
            fields(&[("if-none-match", "\"client\""), ("if-modified-since", DAY_2), ("x", "y")]);
        let conditional = make_conditional(&mut request, &stored);
        assert_eq!(conditional, tags.is_some() || modified.is_some(), "{stored:?}");
        let text = |name| request.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        assert_eq!(text(IF_NONE_MATCH).as_deref(), tags, "{stored:?}");
        assert_eq!(text(IF_MODIFIED_SINCE).as_deref(), modified, "{stored:?}");
        assert_eq!(request["x"], "y");
    }
}

#[test]
fn a_conditional_request_names_sixteen_tags_at_most() {
    let stored: Vec<HeaderMap> =
        (0..99).map(|n| fields(&[("etag", &format!("\"{n}\""))])).collect();
    let mut request = HeaderMap::new();
    assert!(make_conditional(&mut request, &stored));
    let list = request[IF_NONE_MATCH].to_str().unwrap();
    assert_eq!(list.split(", ").count(), TAGS_MAX);
    assert!(list.starts_with("\"0\", "));
}

#[test]
fn a_304_freshens_what_it_names_and_nothing_else() {
    let (strong, other): (Fields<'_>, Fields<'_>) = (&[("etag", "\"a\"")], &[("etag", "\"b\"")]);
    let weak: Fields<'_> = &[("etag", "W/\"a\"")];
    let dated: Fields<'_> = &[("last-modified", DAY_1)];
    let table: [(Fields<'_>, &[Fields<'_>], &[usize]); 16] = [
        (strong, &[other, strong, strong], &[1, 2]),
        (strong, &[other], &[]),
        (strong, &[weak], &[]),
        (strong, &[dated], &[]),
        (strong, &[&[]], &[]),
        (weak, &[other, weak, weak], &[1]),
        (weak, &[strong], &[0]),
        (weak, &[other], &[]),
        (&[("etag", "a")], &[&[("etag", "a")]], &[0]),
        (dated, &[&[("last-modified", DAY_2)], dated, dated], &[1]),
        (dated, &[&[("last-modified", DAY_2)]], &[]),
        (&[("last-modified", "?")], &[&[("last-modified", "?")]], &[]),
        (&[], &[&[]], &[0]),
        (&[], &[&[], &[]], &[]),
        (&[], &[strong], &[]),
        (&[], &[], &[]),
    ];
    for (not_modified, stored, expected) in table {
        let headers: Vec<HeaderMap> = stored.iter().map(|list| fields(list)).collect();
        let headers: Vec<&HeaderMap> = headers.iter().collect();
        let found = freshens(&fields(not_modified), &headers);
        assert_eq!(found, expected, "{not_modified:?} for {stored:?}");
    }
}

#[test]
fn freshening_replaces_fields_but_not_those_of_the_stored_content() {
    let stored = fields(&[
        ("cache-control", "max-age=1"),
        ("date", DAY_1),
        ("age", "99"),
        ("etag", "\"a\""),
        ("content-type", "text/plain"),
        ("content-length", "5"),
        ("content-encoding", "br"),
        ("content-md5", "x"),
        ("content-range", "bytes 0-4/10"),
        ("x-kept", "1"),
        ("x-two", "1"),
        ("x-two", "2"),
    ]);
    let newer = fields(&[
        ("cache-control", "max-age=2"),
        ("etag", "\"a\""),
        ("content-type", "text/html"),
        ("content-length", "0"),
        ("content-encoding", "gzip"),
        ("content-md5", "y"),
        ("content-range", "bytes 5-9/10"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("transfer-encoding", "chunked"),
        ("x-two", "3"),
        ("x-new", "1"),
        ("x-new", "2"),
    ]);
    let expected = fields(&[
        ("etag", "\"a\""),
        ("content-length", "5"),
        ("content-encoding", "br"),
        ("content-md5", "x"),
        ("content-range", "bytes 0-4/10"),
        ("x-kept", "1"),
        ("cache-control", "max-age=2"),
        ("content-type", "text/html"),
        ("x-two", "3"),
        ("x-new", "1"),
        ("x-new", "2"),
        ("date", "Sun, 09 Sep 2001 01:46:40 GMT"),
    ]);
    assert_eq!(freshened(&stored, &newer, at()), expected);
    // With a date and an age of its own it has these.
    let newer = fields(&[("date", DAY_2), ("age", "7")]);
    let merged = freshened(&stored, &newer, at());
    assert_eq!((&merged["date"], &merged["age"]), (&newer["date"], &newer["age"]));
}

#[test]
fn freshening_never_brings_in_what_may_not_be_stored() {
    let stored = fields(&[("x-name", "old"), ("date", DAY_1)]);
    let newer = fields(&[
        ("date", DAY_2),
        ("cache-control", "max-age=5, private=\"x-name\", no-cache=\"set-cookie\""),
        ("x-name", "Ann"),
        ("set-cookie", "a=b"),
    ]);
    let merged = freshened(&stored, &newer, at());
    assert_eq!(merged.get("set-cookie"), None);
    assert_eq!(merged["x-name"], "old");
}

#[test]
fn a_head_response_tells_whether_the_stored_one_is_still_current() {
    let stored = fields(&[("etag", "\"a\""), ("last-modified", DAY_1), ("content-length", "5")]);
    let table: [(Fields<'_>, Option<bool>); 8] = [
        (&[], None),
        (&[("x", "y")], None),
        (&[("etag", "\"a\"")], Some(true)),
        (&[("etag", "\"b\"")], Some(false)),
        (&[("last-modified", DAY_2)], Some(false)),
        (&[("content-length", "5"), ("etag", "\"a\"")], Some(true)),
        (&[("content-length", "6"), ("etag", "\"a\"")], Some(false)),
        (&[("content-length", "6")], Some(false)),
    ];
    for (head, expected) in table {
        assert_eq!(head_agrees(&stored, &fields(head)), expected, "{head:?}");
    }
}

proptest! {
    /// Names, some of which several rules are about, with few values, so that
    /// all cases meet.
    #[test]
    fn freshening_twice_with_the_same_response_changes_nothing_more(
        stored in proptest::collection::vec((0..NAMES.len(), 0..3_u8), 0..12),
        newer in proptest::collection::vec((0..NAMES.len(), 0..3_u8), 0..12),
    ) {
        let message = |list: &[(usize, u8)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in list {
                let nominating = NAMES[*name] == "connection";
                let number = HeaderValue::from(u16::from(*value));
                let value = if nominating { HeaderValue::from_static("a") } else { number };
                headers.append(NAMES[*name], value);
            }
            headers
        };
        let (stored, newer) = (message(&stored), message(&newer));
        let stored = storable::stored_fields(&stored, &ResponseDirectives::default(), at());
        let once = freshened(&stored, &newer, at());
        prop_assert_eq!(&freshened(&once, &newer, at()), &once);
        prop_assert_eq!(once.get(CONTENT_LENGTH), stored.get(CONTENT_LENGTH));
        prop_assert!(once.contains_key(DATE) && !once.contains_key("connection"));
    }
}

const NAMES: [&str; 9] =
    ["a", "b", "etag", "date", "age", "connection", "content-length", "set-cookie", "expires"];
