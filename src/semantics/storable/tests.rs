use std::time::{SystemTime, UNIX_EPOCH};

use super::*;
use crate::semantics::field::fields;
use crate::semantics::freshness::Exchange;
use crate::semantics::reuse::Terms;

type Fields<'a> = &'a [(&'static str, &'a str)];

const MODIFIED: (&str, &str) = ("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT");
const FRESH: (&str, &str) = ("cache-control", "max-age=60");

fn at() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000_000)
}

fn verdict(
    method: &str,
    request: Fields<'_>,
    status: u16,
    response: Fields<'_>,
) -> Result<(), Unstorable> {
    let status = StatusCode::from_u16(status).unwrap();
    let (request, response) = (fields(request), fields(response));
    let exchange = Exchange { requested: at(), received: at() };
    let terms = Terms::of(status, &response, None, exchange);
    may_store(&Candidate {
        method: &Method::from_bytes(method.as_bytes()).unwrap(),
        target: &Url::parse("https://shop.nl/a").unwrap(),
        request: &request,
        status,
        response: &response,
        directives: &terms.directives,
        freshness: &terms.freshness,
    })
}

#[test]
fn a_response_is_stored_unless_something_speaks_against_it() {
    let cc = |text: &'static str| [("cache-control", text)];
    let tag = ("etag", "\"a\"");
    let table: [(Fields<'_>, Result<(), Unstorable>); 24] = [
        (&[FRESH], Ok(())),
        (&cc("s-maxage=60"), Ok(())),
        (&[tag], Ok(())),
        (&[MODIFIED], Ok(())),
        (&[FRESH, ("set-cookie", "a=b")], Ok(())),
        (&[FRESH, ("content-range", "bytes 0-1/2")], Ok(())),
        (&[FRESH, ("pragma", "no-cache")], Ok(())),
        (&[], Err(Unstorable::NoFreshness)),
        (&cc("public"), Err(Unstorable::NoFreshness)),
        (&cc("max-age=0"), Err(Unstorable::NoFreshness)),
        (&cc("max-age=0, stale-if-error=60"), Ok(())),
        (&cc("max-age=0, stale-if-error=60, must-revalidate"), Err(Unstorable::NoFreshness)),
        (&cc("max-age=60, no-cache"), Err(Unstorable::NoFreshness)),
        (&[("cache-control", "no-cache"), tag], Ok(())),
        (&[FRESH, ("age", "60")], Err(Unstorable::NoFreshness)),
        (&cc("max-age=60, no-store"), Err(Unstorable::NoStore)),
        (&cc("max-age=60, no-store, must-understand"), Ok(())),
        (&cc("max-age=60, private"), Err(Unstorable::Private)),
        (&cc("max-age=60, private=\"a\""), Ok(())),
        (&cc("max-age=60, no-cache=\"a\""), Ok(())),
        (&[FRESH, ("vary", "*")], Err(Unstorable::VaryAny)),
        (&[FRESH, ("vary", "a, *")], Err(Unstorable::VaryAny)),
        (&[FRESH, ("vary", "a")], Ok(())),
        (&[FRESH, ("vary", "a b")], Err(Unstorable::VaryTooLong)),
    ];
    for (response, expected) in table {
        assert_eq!(verdict("GET", &[], 200, response), expected, "{response:?}");
    }
}

#[test]
fn any_final_status_is_stored_with_explicit_freshness() {
    let refused = [304, 412, 416, 428, 429, 431, 511];
    for status in 100..600 {
        let expected = match status {
            100..200 => Err(Unstorable::Status),
            // It does not say which part it is.
            206 => Err(Unstorable::Partial),
            _ if refused.contains(&status) => Err(Unstorable::Status),
            _ => Ok(()),
        };
        assert_eq!(verdict("GET", &[], status, &[FRESH]), expected, "{status}");
    }
}

#[test]
fn a_guess_stores_only_statuses_of_the_list() {
    let table = [(200, true), (404, true), (501, true), (201, false), (302, false), (599, false)];
    for (status, stored) in table {
        let found = verdict("GET", &[], status, &[MODIFIED]);
        assert_eq!(found, stored.then_some(()).ok_or(Unstorable::NoFreshness), "{status}");
        let public = [MODIFIED, ("cache-control", "public")];
        assert_eq!(verdict("GET", &[], status, &public), Ok(()), "{status}");
    }
}

#[test]
fn must_understand_lets_in_only_known_statuses() {
    let response = [("cache-control", "max-age=60, must-understand")];
    let table = [(200, true), (404, true), (451, false), (299, false), (599, false)];
    for (status, stored) in table {
        let found = verdict("GET", &[], status, &response);
        assert_eq!(found, stored.then_some(()).ok_or(Unstorable::MustUnderstand), "{status}");
    }
}

#[test]
fn authorized_responses_are_shared_only_when_that_is_allowed() {
    let table = [
        ("max-age=60", Err(Unstorable::Authorization)),
        ("max-age=60, public", Ok(())),
        ("max-age=60, must-revalidate", Ok(())),
        ("s-maxage=60", Ok(())),
        ("max-age=60, proxy-revalidate", Err(Unstorable::Authorization)),
        ("max-age=60, immutable", Err(Unstorable::Authorization)),
    ];
    for (text, expected) in table {
        let request = [("authorization", "Basic x")];
        let response = [("cache-control", text)];
        assert_eq!(verdict("GET", &request, 200, &response), expected, "{text}");
    }
    let request = [("cache-control", "no-store")];
    assert_eq!(verdict("GET", &request, 200, &[FRESH]), Err(Unstorable::NoStore));
    assert_eq!(verdict("GET", &[("cookie", "a=b")], 200, &[FRESH]), Ok(()));
}

#[test]
fn a_post_is_stored_only_as_what_a_get_would_get() {
    let own = ("content-location", "/a");
    let table: [(&str, Fields<'_>, Result<(), Unstorable>); 8] = [
        ("POST", &[FRESH, own], Ok(())),
        ("POST", &[FRESH, ("content-location", "https://shop.nl/a")], Ok(())),
        ("POST", &[FRESH, ("content-location", "/b")], Err(Unstorable::Method)),
        ("POST", &[FRESH], Err(Unstorable::Method)),
        ("POST", &[MODIFIED, own], Err(Unstorable::Method)),
        ("HEAD", &[FRESH], Err(Unstorable::Method)),
        ("PUT", &[FRESH, own], Err(Unstorable::Method)),
        ("QUERY", &[FRESH, own], Err(Unstorable::Method)),
    ];
    for (method, response, expected) in table {
        assert_eq!(verdict(method, &[], 200, response), expected, "{method} {response:?}");
    }
}

#[test]
fn a_part_is_stored_when_it_says_which_one_it_is() {
    let table = [
        ("bytes 0-4/10", Ok(())),
        ("bytes 0-4/*", Ok(())),
        ("bytes */10", Err(Unstorable::Partial)),
        ("bytes 5-4/10", Err(Unstorable::Partial)),
        ("bytes 0-10/10", Err(Unstorable::Partial)),
        ("lines 0-4/10", Err(Unstorable::Partial)),
    ];
    for (range, expected) in table {
        let response = [FRESH, ("content-range", range)];
        assert_eq!(verdict("GET", &[], 206, &response), expected, "{range}");
    }
    let contradicting = [FRESH, ("content-range", "bytes 0-4/10"), ("content-length", "6")];
    assert_eq!(verdict("GET", &[], 206, &contradicting), Err(Unstorable::Partial));
}

#[test]
fn each_reason_has_a_word_that_is_a_token() {
    let all = [
        Unstorable::Method,
        Unstorable::Status,
        Unstorable::NoStore,
        Unstorable::Private,
        Unstorable::Authorization,
        Unstorable::MustUnderstand,
        Unstorable::Partial,
        Unstorable::VaryAny,
        Unstorable::VaryTooLong,
        Unstorable::NoFreshness,
    ];
    for reason in all {
        assert!(reason.word().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{reason:?}");
    }
}

#[test]
fn what_belongs_to_the_connection_or_to_one_user_is_left_out() {
    let response = fields(&[
        ("connection", "close, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "Basic"),
        ("proxy-authentication-info", "x"),
        ("transfer-encoding", "chunked"),
        ("trailer", "x"),
        ("upgrade", "h2c"),
        ("cache-control", "max-age=60, no-cache=\"set-cookie\", private=\"X-Name\""),
        ("set-cookie", "a=b"),
        ("x-name", "Ann"),
        ("x-kept", "1"),
        ("x-kept", "2"),
        ("content-range", "odd"),
        ("cache-status", "inner; hit"),
    ]);
    let directives = ResponseDirectives::of(&response);
    let stored = stored_fields(&response, &directives, at());
    let names: Vec<&str> = stored.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["cache-control", "x-kept", "content-range", "cache-status", "date"]);
    assert_eq!(stored.get_all("x-kept").iter().count(), 2);
    assert_eq!(stored[DATE], "Sun, 09 Sep 2001 01:46:40 GMT");
    // A date of its own stays; and storing twice changes nothing.
    let again = stored_fields(&stored, &directives, at() + Duration::from_secs(9));
    assert_eq!(again, stored);
}
