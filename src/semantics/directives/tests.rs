use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::semantics::field::fields;

fn seconds(number: u64) -> Option<Duration> {
    Some(Duration::from_secs(number))
}

fn response() -> ResponseDirectives {
    ResponseDirectives { decided_by: DecidedBy::CacheControl, ..ResponseDirectives::default() }
}

fn names(list: &[&'static str]) -> Scope {
    Scope::Fields(list.iter().map(|name| HeaderName::from_static(name)).collect())
}

#[test]
fn cache_control_is_read_in_any_case_and_with_any_spacing() {
    let table = [
        ("", response()),
        ("no-store", ResponseDirectives { no_store: true, ..response() }),
        ("No-StOrE", ResponseDirectives { no_store: true, ..response() }),
        ("no-store=1", ResponseDirectives { no_store: true, ..response() }),
        ("no-store =1", ResponseDirectives { no_store: true, ..response() }),
        ("no-storex", response()),
        (
            "public,immutable ,\tmust-revalidate,, ",
            ResponseDirectives {
                public: true,
                immutable: true,
                must_revalidate: true,
                ..response()
            },
        ),
        (
            "proxy-revalidate, must-understand, no-transform",
            ResponseDirectives {
                proxy_revalidate: true,
                must_understand: true,
                no_transform: true,
                ..response()
            },
        ),
        (
            "stale-while-revalidate=5, stale-if-error=6",
            ResponseDirectives {
                stale_while_revalidate: seconds(5),
                stale_if_error: seconds(6),
                ..response()
            },
        ),
        ("x=\"no-store, max-age=5\"", response()),
        ("x=\"no-store, max-age=5", ResponseDirectives { max_age: seconds(5), ..response() }),
        ("x=\"\\\"no-store, \"", response()),
    ];
    for (text, expected) in table {
        assert_eq!(ResponseDirectives::of(&fields(&[("cache-control", text)])), expected, "{text}");
        assert_eq!(ResponseDirectives::parse(text), expected, "{text}");
    }
}

#[test]
fn freshness_that_cannot_be_read_is_none() {
    let table = [
        ("max-age=5", 5),
        ("MAX-AGE=5", 5),
        ("max-age=\"5\"", 5),
        ("max-age=003600", 3600),
        ("max-age=99999999999", 1 << 31),
        ("max-age=99999999999999999999999", 1 << 31),
        ("max-age='5'", 0),
        ("max-age=5.0", 0),
        ("max-age=-5", 0),
        ("max-age=a5", 0),
        ("max-age=5a", 0),
        ("max-age =5", 0),
        ("max-age= 5", 0),
        ("max-age=", 0),
        ("max-age", 0),
        ("max-age=5, max-age=5", 5),
        ("max-age=5, max-age=6", 0),
        ("max-age=0, max-age=6", 0),
        ("max-age=5, x=\"max-age=6\"", 5),
    ];
    for (text, expected) in table {
        let read = ResponseDirectives::parse(text);
        assert_eq!(read.max_age, seconds(expected), "{text}");
    }
}

#[test]
fn lines_are_one_list() {
    let headers = fields(&[("cache-control", "max-age=5"), ("cache-control", "s-maxage=6")]);
    let read = ResponseDirectives::of(&headers);
    assert_eq!((read.max_age, read.s_maxage), (seconds(5), seconds(6)));
    // A quote that one line leaves open does not reach the next.
    let headers = fields(&[("cache-control", "x=\"y"), ("cache-control", "no-store, z=\"")]);
    assert!(ResponseDirectives::of(&headers).no_store);
    // What is no text hides nothing beside it.
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_bytes(b"x=\xff, no-store").unwrap();
    headers.append("cache-control", value);
    assert!(ResponseDirectives::of(&headers).no_store);
}

#[test]
fn a_qualified_directive_is_about_the_fields_it_lists() {
    let table = [
        ("no-cache", Scope::All),
        ("no-cache=\"set-cookie\"", names(&["set-cookie"])),
        ("no-cache=\"A, b\"", names(&["a", "b"])),
        ("no-cache=a", names(&["a"])),
        ("no-cache=\"a\", no-cache=\"b\"", names(&["a", "b"])),
        ("no-cache=\"a\", no-cache", Scope::All),
        ("no-cache, no-cache=\"a\"", Scope::All),
        ("no-cache=\"\"", Scope::All),
        ("no-cache=", Scope::All),
        ("no-cache=\"a b\"", Scope::All),
        ("No-CaChE", Scope::All),
        ("public", Scope::Nothing),
    ];
    for (text, expected) in table {
        assert_eq!(ResponseDirectives::parse(text).no_cache, expected, "{text}");
        let private = text.replace("no-cache", "private").replace("No-CaChE", "pRiVaTe");
        assert_eq!(ResponseDirectives::parse(&private).private, expected, "{private}");
    }
}

#[test]
fn a_targeted_field_replaces_the_others_unless_it_is_invalid() {
    use DecidedBy::{AwningCacheControl, CacheControl, CdnCacheControl};
    let table = [
        // CDN-Cache-Control, who decides, and the lifetime there is then.
        ("max-age=5", CdnCacheControl, seconds(5)),
        ("max-age=5, foobar", CdnCacheControl, seconds(5)),
        ("max-age=5;x=y", CdnCacheControl, seconds(5)),
        ("max-age=99999999999", CdnCacheControl, seconds(1 << 31)),
        ("max-age=1, max-age=5", CdnCacheControl, seconds(5)),
        ("no-store=?0, max-age=5", CdnCacheControl, seconds(5)),
        ("foobar", CdnCacheControl, None),
        ("max-age=\"5\"", CdnCacheControl, seconds(0)),
        ("max-age=5.0", CdnCacheControl, seconds(0)),
        ("max-age=-5", CdnCacheControl, seconds(0)),
        ("max-age", CdnCacheControl, seconds(0)),
        ("max-age=(5)", CdnCacheControl, None),
        ("max-age=5, &&&&&", CacheControl, seconds(60)),
        ("max-age =5", CacheControl, seconds(60)),
        ("max-age= 5", CacheControl, seconds(60)),
        ("MaX-aGe=5", CacheControl, seconds(60)),
        ("max-age=5,", CacheControl, seconds(60)),
        ("", CacheControl, seconds(60)),
    ];
    for (text, decided_by, max_age) in table {
        let own = ("cache-control", "max-age=60");
        let read = ResponseDirectives::of(&fields(&[("cdn-cache-control", text), own]));
        assert_eq!((read.decided_by, read.max_age), (decided_by, max_age), "{text}");
        let ours = fields(&[("awning-cache-control", text), ("cdn-cache-control", "max-age=60")]);
        let (read, ours) = (ResponseDirectives::of(&ours), decided_by == CdnCacheControl);
        let decided_by = if ours { AwningCacheControl } else { CdnCacheControl };
        assert_eq!((read.decided_by, read.max_age), (decided_by, max_age), "{text}");
    }
}

#[test]
fn a_targeted_field_is_one_dictionary_over_its_lines() {
    let headers = fields(&[
        ("cdn-cache-control", "max-age=5"),
        ("cdn-cache-control", "no-cache=\"a, b\", private=c"),
        ("cache-control", "no-store"),
    ]);
    let read = ResponseDirectives::of(&headers);
    assert_eq!(read.max_age, seconds(5));
    assert_eq!(read.no_cache, names(&["a", "b"]));
    assert_eq!(read.private, names(&["c"]));
    assert!(!read.no_store);
    assert!(!read.leaves_expires());
}

#[test]
fn a_rule_speaks_for_responses_that_say_nothing() {
    let rule = ResponseDirectives::parse("public, max-age=3600");
    let table: [(&[(&'static str, &str)], DecidedBy); 6] = [
        (&[], DecidedBy::Rule),
        (&[("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT")], DecidedBy::Rule),
        (&[("cdn-cache-control", "???")], DecidedBy::Rule),
        (&[("expires", "0")], DecidedBy::Nothing),
        (&[("cache-control", "")], DecidedBy::CacheControl),
        (&[("cdn-cache-control", "max-age=1")], DecidedBy::CdnCacheControl),
    ];
    for (list, decided_by) in table {
        let read = ResponseDirectives::with_default(&fields(list), Some(&rule));
        assert_eq!(read.decided_by, decided_by, "{list:?}");
        let ruled = decided_by == DecidedBy::Rule;
        assert_eq!(read.max_age == rule.max_age, ruled, "{list:?}");
        assert!(!ResponseDirectives::with_default(&fields(list), None).public);
    }
}

#[test]
fn a_request_says_what_it_accepts() {
    let none = RequestDirectives::default();
    let within = |number| Some(MaxStale::Within(Duration::from_secs(number)));
    let table = [
        ("", none),
        ("No-Cache", RequestDirectives { no_cache: true, ..none }),
        (
            "no-store, no-transform",
            RequestDirectives { no_store: true, no_transform: true, ..none },
        ),
        ("only-if-cached", RequestDirectives { only_if_cached: true, ..none }),
        ("max-age=0", RequestDirectives { max_age: seconds(0), ..none }),
        ("max-age=\"5\"", RequestDirectives { max_age: seconds(5), ..none }),
        ("max-age=9, max-age=5", RequestDirectives { max_age: seconds(5), ..none }),
        ("max-age=-1", none),
        ("max-age", none),
        ("min-fresh=5, min-fresh=9", RequestDirectives { min_fresh: seconds(9), ..none }),
        ("max-stale", RequestDirectives { max_stale: Some(MaxStale::Any), ..none }),
        ("max-stale=5", RequestDirectives { max_stale: within(5), ..none }),
        ("max-stale, max-stale=5", RequestDirectives { max_stale: within(5), ..none }),
        ("max-stale=5, max-stale", RequestDirectives { max_stale: within(5), ..none }),
        ("max-stale=5, max-stale=4", RequestDirectives { max_stale: within(4), ..none }),
        ("max-stale=x", none),
        ("stale-if-error=5", RequestDirectives { stale_if_error: seconds(5), ..none }),
    ];
    for (text, expected) in table {
        let headers = fields(&[("cache-control", text)]);
        assert_eq!(RequestDirectives::of(&headers), expected, "{text}");
    }
}

#[test]
fn pragma_counts_where_there_is_no_cache_control() {
    let table: [(&[(&'static str, &str)], bool); 6] = [
        (&[("pragma", "no-cache")], true),
        (&[("pragma", "x, No-Cache")], true),
        (&[("pragma", "x=\"no-cache\"")], false),
        (&[("pragma", "foobar")], false),
        (&[("pragma", "no-cache"), ("cache-control", "max-age=5")], false),
        (&[("pragma", "no-cache"), ("cache-control", "")], false),
    ];
    for (list, expected) in table {
        assert_eq!(RequestDirectives::of(&fields(list)).no_cache, expected, "{list:?}");
    }
}

proptest! {
    #[test]
    fn any_field_is_read_without_a_panic(text in "[ -~\u{e9}]{0,60}") {
        let list = ["cache-control", "cdn-cache-control", "pragma"].map(|name| (name, &*text));
        let headers = fields(&list);
        let read = ResponseDirectives::of(&headers);
        prop_assert!(read.max_age.is_none_or(|time| time <= DELTA_MAX));
        let _read = RequestDirectives::of(&headers);
    }

    #[test]
    fn forbidding_is_never_hidden_by_what_stands_beside_it(
        before in "[a-z=0-9, ]{0,20}",
        after in "[a-z=0-9, \"]{0,20}",
    ) {
        let text = format!("{before},no-store,{after}");
        prop_assert!(ResponseDirectives::parse(&text).no_store);
    }
}
