use std::time::UNIX_EPOCH;

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)
}

fn fields(cache_control: &str) -> HeaderMap {
    let value = HeaderValue::from_str(cache_control).unwrap();
    [(http::header::CACHE_CONTROL, value)].into_iter().collect()
}

fn terms(cache_control: &str) -> Terms {
    let exchange = Exchange { requested: at(0), received: at(0) };
    Terms::of(StatusCode::OK, &fields(cache_control), None, exchange)
}

/// A verdict in short: `fresh`, `must stale`, `request error`, `stale swr …`.
fn told(reuse: Reuse) -> String {
    let Reuse::Stale { reason, excuses } = reuse else {
        return match reuse {
            Reuse::MustRevalidate { reason } => format!("must {reason}"),
            _ => "fresh".to_owned(),
        };
    };
    let mut text = reason.to_string();
    let excuses = [
        (excuses.while_revalidate, " swr"),
        (excuses.if_error, " error"),
        (excuses.max_stale, " max-stale"),
    ];
    text.extend(excuses.into_iter().filter(|(holds, _)| *holds).map(|(_, name)| name));
    text
}

fn verdict(response: &str, request: &str, age: u64) -> String {
    told(terms(response).reuse(&RequestDirectives::of(&fields(request)), at(age)))
}

#[test]
fn a_response_answers_while_it_is_fresh() {
    let table = [
        ("max-age=10", 0, "fresh"),
        ("max-age=10", 9, "fresh"),
        ("max-age=10", 10, "stale"),
        ("s-maxage=10", 9, "fresh"),
        ("max-age=10, must-revalidate", 9, "fresh"),
        ("max-age=10, proxy-revalidate", 9, "fresh"),
        ("max-age=10, no-cache=\"set-cookie\"", 9, "fresh"),
        ("max-age=10, no-cache", 0, "must stale"),
        ("max-age=0", 0, "stale"),
    ];
    for (response, age, expected) in table {
        assert_eq!(verdict(response, "", age), expected, "{response} after {age} s");
    }
}

#[test]
fn stale_windows_begin_side_by_side_when_freshness_ends() {
    let both = "max-age=10, stale-while-revalidate=5, stale-if-error=8";
    let table = [
        (both, 9, "fresh"),
        (both, 10, "stale swr error"),
        (both, 15, "stale swr error"),
        (both, 16, "stale error"),
        (both, 18, "stale error"),
        (both, 19, "stale"),
        ("max-age=10, stale-while-revalidate=x", 11, "stale"),
    ];
    for (response, age, expected) in table {
        assert_eq!(verdict(response, "", age), expected, "{response} after {age} s");
    }
    assert_eq!(terms(both).grace().as_secs(), 8);
}

#[test]
fn some_directives_forbid_any_stale_answer() {
    let windows = "stale-while-revalidate=99, stale-if-error=99";
    for forbidding in ["must-revalidate", "proxy-revalidate", "s-maxage=10", "no-cache"] {
        let response = format!("max-age=10, {forbidding}, {windows}");
        for request in ["", "max-stale", "stale-if-error=99", "only-if-cached"] {
            assert_eq!(verdict(&response, request, 11), "must stale", "{response}; {request}");
        }
        assert_eq!(terms(&response).grace(), Duration::ZERO);
    }
}

#[test]
fn a_request_may_ask_for_more_or_content_itself_with_less() {
    let swr = "max-age=10, stale-while-revalidate=99";
    let table = [
        ("max-age=10", "no-cache", 5, "request error"),
        ("max-age=10", "max-age=0", 5, "request error"),
        ("max-age=10", "max-age=4", 5, "request error"),
        ("max-age=10", "max-age=5", 5, "fresh"),
        ("max-age=10", "min-fresh=5", 5, "fresh"),
        ("max-age=10", "min-fresh=6", 5, "request error"),
        ("max-age=10", "only-if-cached", 5, "fresh"),
        ("max-age=10", "no-store", 5, "fresh"),
        ("max-age=10", "max-stale", 11, "stale max-stale"),
        ("max-age=10", "max-stale=1", 11, "stale max-stale"),
        ("max-age=10", "max-stale=0", 11, "stale"),
        ("max-age=10", "max-stale, max-age=11", 11, "stale max-stale"),
        ("max-age=10", "max-stale, max-age=10", 11, "stale"),
        ("max-age=10", "max-stale, no-cache", 11, "stale"),
        ("max-age=10", "max-stale, min-fresh=1", 11, "stale"),
        ("max-age=10", "stale-if-error=1", 11, "stale error"),
        ("max-age=10", "stale-if-error=1", 12, "stale"),
        ("max-age=10, must-revalidate", "max-age=0", 5, "request error"),
        (swr, "", 11, "stale swr"),
        (swr, "no-cache", 11, "stale"),
        (swr, "max-age=0", 11, "stale"),
        // A reload does not touch what does not change, no-cache does (RFC 8246 §2).
        ("max-age=10, immutable", "max-age=0", 5, "fresh"),
        ("max-age=10, immutable", "no-cache", 5, "request error"),
        ("max-age=10, immutable", "max-age=0", 10, "stale"),
    ];
    for (response, request, age, expected) in table {
        assert_eq!(verdict(response, request, age), expected, "{response}; {request}");
    }
}

#[test]
fn a_verdict_says_when_the_response_may_answer() {
    let fails = StatusCode::BAD_GATEWAY;
    // The verdict; now, when the origin is away, and in place of its 502.
    let table = [
        ("max-age=10", 5, true, true, false),
        ("max-age=10", 11, false, true, false),
        ("max-age=10, stale-if-error=5", 11, false, true, true),
        ("max-age=10, stale-while-revalidate=5", 11, true, true, false),
        ("max-age=10, must-revalidate", 11, false, false, false),
    ];
    for (response, age, now, away, failing) in table {
        let reuse = terms(response).reuse(&RequestDirectives::default(), at(age));
        assert_eq!(reuse.answers_now(), now, "{response}");
        assert_eq!(reuse.answers_disconnected(), away, "{response}");
        assert_eq!(reuse.answers_instead_of(fails), failing, "{response}");
        assert!(!reuse.answers_instead_of(StatusCode::NOT_FOUND));
    }
    let reuse = terms("max-age=10").reuse(&RequestDirectives::default(), at(5));
    assert_eq!(reuse.reason(), None);
}

#[test]
fn terms_remember_what_a_rule_said() {
    let rule = ResponseDirectives::parse("max-age=10");
    let exchange = Exchange { requested: at(0), received: at(0) };
    let terms = Terms::of(StatusCode::OK, &HeaderMap::new(), Some(&rule), exchange);
    assert_eq!(terms.reuse(&RequestDirectives::default(), at(9)), Reuse::Fresh);
    assert!(terms.freshness.is_explicit());
}

proptest! {
    /// Whatever a request says, what may not be stale never answers stale; and
    /// what answers now is fresh or has an excuse.
    #[test]
    fn no_request_loosens_what_a_response_forbids(
        request in "(no-cache|max-stale|max-stale=[0-9]{1,3}|max-age=[0-9]{1,3}|min-fresh=[0-9]{1,2}|stale-if-error=[0-9]{1,3}|,){0,5}",
        forbidding in "must-revalidate|proxy-revalidate|no-cache|s-maxage=7",
        age in 10..500_u64,
    ) {
        let reuse = terms(&format!("max-age=10, stale-while-revalidate=99, {forbidding}"))
            .reuse(&RequestDirectives::of(&fields(&request)), at(age));
        prop_assert_eq!(reuse, Reuse::MustRevalidate { reason: Forward::Stale });
    }
}
