use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;
use crate::semantics::field::fields;

type Fields<'a> = &'a [(&'static str, &'a str)];

const EARLIER: &str = "Sat, 01 Jan 2000 00:00:00 GMT";
const THEN: &str = "Sat, 01 Jan 2000 00:00:01 GMT";
const LATER: &str = "Sat, 01 Jan 2000 00:00:02 GMT";

/// The outcome for a stored 200 that was received long after all dates.
fn outcome(request: Fields<'_>, stored: Fields<'_>) -> Outcome {
    let received = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    evaluate(&fields(request), StatusCode::OK, &fields(stored), received)
}

#[test]
fn if_none_match_compares_tags_weakly_at_any_place_of_the_list() {
    use Outcome::{NotModified, Proceed};
    let table = [
        ("\"a\"", "\"a\"", NotModified),
        ("W/\"a\"", "\"a\"", NotModified),
        ("\"a\"", "W/\"a\"", NotModified),
        ("\"a\", \"b\", \"c\"", "\"a\"", NotModified),
        ("\"a\", \"b\", \"c\"", "\"b\"", NotModified),
        ("\"a\",\"b\"  ,,W/\"c\"", "\"c\"", NotModified),
        ("\"x,\", \"a,b\"", "\"a,b\"", NotModified),
        ("*", "\"a\"", NotModified),
        ("\"\u{e9}\"", "\"\u{e9}\"", NotModified),
        ("a", "a", NotModified),
        ("x, a", "a", NotModified),
        ("\"A\"", "\"a\"", Proceed),
        ("a", "\"a\"", Proceed),
        ("\"a\"", "a", Proceed),
        ("w/\"a\"", "\"a\"", Proceed),
        ("\"a,b\"", "\"b\"", Proceed),
        ("\"*\"", "\"a\"", Proceed),
        ("\"a", "\"a\"", Proceed),
        ("", "\"a\"", Proceed),
        (" , ", "\"a\"", Proceed),
    ];
    for (given, own, expected) in table {
        let found = outcome(&[("if-none-match", given)], &[("etag", own)]);
        assert_eq!(found, expected, "{given} for {own}");
    }
    let lines = [("if-none-match", "\"x\""), ("if-none-match", "\"a\"")];
    assert_eq!(outcome(&lines, &[("etag", "\"a\"")]), NotModified);
    assert_eq!(outcome(&[("if-none-match", "\"a\"")], &[]), Proceed);
    assert_eq!(outcome(&[("if-none-match", "*")], &[]), NotModified);
}

#[test]
fn if_modified_since_counts_only_without_if_none_match() {
    use Outcome::{NotModified, Proceed};
    let modified = ("last-modified", THEN);
    let table: [(Fields<'_>, Fields<'_>, Outcome); 12] = [
        (&[("if-modified-since", THEN)], &[modified], NotModified),
        (&[("if-modified-since", LATER)], &[modified], NotModified),
        (&[("if-modified-since", EARLIER)], &[modified], Proceed),
        (&[("if-modified-since", "Saturday, 01-Jan-00 00:00:01 GMT")], &[modified], NotModified),
        (&[("if-modified-since", "never")], &[modified], Proceed),
        (&[("if-modified-since", THEN), ("if-modified-since", THEN)], &[modified], Proceed),
        // Without Last-Modified the date, or the time of receipt, stands for it.
        (&[("if-modified-since", THEN)], &[("date", THEN)], NotModified),
        (&[("if-modified-since", EARLIER)], &[("date", THEN)], Proceed),
        (&[("if-modified-since", LATER)], &[], Proceed),
        (&[("if-modified-since", "Sun, 09 Sep 2001 01:46:40 GMT")], &[], NotModified),
        (
            &[("if-none-match", "\"x\""), ("if-modified-since", LATER)],
            &[("etag", "\"a\""), modified],
            Proceed,
        ),
        (
            &[("if-none-match", "\"a\""), ("if-modified-since", EARLIER)],
            &[("etag", "\"a\""), modified],
            NotModified,
        ),
    ];
    for (request, stored, expected) in table {
        assert_eq!(outcome(request, stored), expected, "{request:?} for {stored:?}");
    }
}

#[test]
fn what_is_a_condition_for_the_origin_is_answered_only_when_it_holds() {
    use Outcome::{AskOrigin, NotModified, Proceed};
    let (tag, modified) = (("etag", "\"a\""), ("last-modified", THEN));
    let table: [(Fields<'_>, Fields<'_>, Outcome); 12] = [
        (&[("if-match", "\"x\", \"a\"")], &[tag], Proceed),
        (&[("if-match", "*")], &[tag], Proceed),
        (&[("if-match", "\"b\"")], &[tag], AskOrigin),
        (&[("if-match", "W/\"a\"")], &[tag], AskOrigin),
        (&[("if-match", "\"a\"")], &[("etag", "W/\"a\"")], AskOrigin),
        (&[("if-match", "\"a\"")], &[], AskOrigin),
        (&[("if-unmodified-since", THEN)], &[modified], Proceed),
        (&[("if-unmodified-since", EARLIER)], &[modified], AskOrigin),
        (&[("if-unmodified-since", THEN)], &[], AskOrigin),
        (&[("if-unmodified-since", "never")], &[modified], Proceed),
        (&[("if-match", "\"a\""), ("if-unmodified-since", EARLIER)], &[tag, modified], Proceed),
        (&[("if-match", "\"a\""), ("if-none-match", "\"a\"")], &[tag], NotModified),
    ];
    for (request, stored, expected) in table {
        assert_eq!(outcome(request, stored), expected, "{request:?} for {stored:?}");
    }
}

#[test]
fn conditions_count_for_successes_only() {
    let (request, stored) = (fields(&[("if-none-match", "*")]), fields(&[("etag", "\"a\"")]));
    for (status, expected) in
        [(200, Outcome::NotModified), (206, Outcome::NotModified), (404, Outcome::Proceed)]
    {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(evaluate(&request, status, &stored, UNIX_EPOCH), expected, "{status}");
    }
}

#[test]
fn if_range_wants_the_same_strong_validator() {
    let tag = ("etag", "\"a\"");
    let (modified, made) = (("last-modified", THEN), ("date", LATER));
    let table: [(&str, Fields<'_>, bool); 12] = [
        ("\"a\"", &[tag], true),
        (" \"a\" ", &[tag], true),
        ("\"b\"", &[tag], false),
        ("W/\"a\"", &[tag], false),
        ("\"a\"", &[("etag", "W/\"a\"")], false),
        ("W/\"a\"", &[("etag", "W/\"a\"")], false),
        ("\"a\"", &[], false),
        (THEN, &[modified, made], true),
        (LATER, &[modified, made], false),
        (THEN, &[modified], false),
        (THEN, &[modified, ("date", THEN)], false),
        ("a", &[("etag", "a")], false),
    ];
    for (given, stored, expected) in table {
        let request = fields(&[("if-range", given)]);
        assert_eq!(if_range_holds(&request, &fields(stored)), expected, "{given} {stored:?}");
    }
    assert!(if_range_holds(&HeaderMap::new(), &HeaderMap::new()));
}

#[test]
fn a_304_holds_what_guides_caches_and_not_what_describes_the_content() {
    let stored = fields(&[
        ("cache-control", "max-age=5"),
        ("content-location", "/a"),
        ("content-type", "text/html"),
        ("content-length", "5"),
        ("content-language", "nl"),
        ("content-security-policy", "default-src 'self'"),
        ("date", THEN),
        ("etag", "\"a\""),
        ("expires", LATER),
        ("last-modified", THEN),
        ("vary", "accept"),
        ("access-control-allow-origin", "*"),
    ]);
    let left: Vec<HeaderName> = not_modified_fields(&stored).keys().cloned().collect();
    let expected = [
        "cache-control",
        "content-location",
        "content-security-policy",
        "date",
        "etag",
        "expires",
        "vary",
        "access-control-allow-origin",
    ];
    assert_eq!(left, expected);
    let untagged = fields(&[("last-modified", THEN)]);
    assert_eq!(not_modified_fields(&untagged), untagged);
}

proptest! {
    #[test]
    fn any_list_of_tags_is_read_without_a_panic(list in "[ -~\u{e9}]{0,40}") {
        let request = fields(&[("if-none-match", &list), ("if-range", &list)]);
        let stored = fields(&[("etag", "\"a\"")]);
        let found = evaluate(&request, StatusCode::OK, &stored, UNIX_EPOCH);
        prop_assert_ne!(found, Outcome::AskOrigin);
        prop_assert_eq!(if_range_holds(&request, &stored), list.trim() == "\"a\"");
    }

    #[test]
    fn a_client_that_has_the_tag_is_not_sent_the_content(
        tag in "(W/)?\"[!#-~]{0,8}\"",
        before in "(\"[!#-~]{0,4}\", ?){0,3}",
        after in "(, ?\"[!#-~]{0,4}\"){0,3}",
    ) {
        let list = format!("{before}{tag}{after}");
        let found = outcome(&[("if-none-match", &list)], &[("etag", &tag)]);
        prop_assert_eq!(found, Outcome::NotModified);
    }
}
