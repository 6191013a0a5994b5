use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;
use crate::semantics::directives::ResponseDirectives;

/// The instant of receipt in these tests.
fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)
}

/// `@5` is the date of `at(5)`.
fn fields(list: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        let value = match value.strip_prefix('@').map(str::parse::<i64>) {
            Some(Ok(offset)) if offset < 0 => {
                date::to_header(at(0) - Duration::from_secs(offset.unsigned_abs()))
            }
            Some(Ok(offset)) => date::to_header(at(offset.unsigned_abs())),
            _ => HeaderValue::from_str(value).unwrap(),
        };
        headers.append(*name, value);
    }
    headers
}

fn freshness(status: u16, list: &[(&'static str, &str)]) -> Freshness {
    let headers = fields(list);
    let exchange = Exchange { requested: at(0), received: at(0) };
    let status = StatusCode::from_u16(status).unwrap();
    Freshness::of(status, &headers, &ResponseDirectives::of(&headers), exchange)
}

type Fields<'a> = &'a [(&'static str, &'a str)];

#[test]
fn a_lifetime_is_taken_from_the_first_that_says_one() {
    use Basis::{Expires, Heuristic, MaxAge, Nothing, SharedMaxAge};
    let table: [(Fields<'_>, u64, Basis); 20] = [
        (&[("cache-control", "max-age=9, s-maxage=5"), ("expires", "@99")], 5, SharedMaxAge),
        (&[("cache-control", "max-age=0, s-maxage=5"), ("expires", "@-99")], 5, SharedMaxAge),
        (&[("cache-control", "s-maxage=x, max-age=5")], 0, SharedMaxAge),
        (&[("cache-control", "max-age=5"), ("expires", "@99")], 5, MaxAge),
        (&[("cache-control", "max-age=x"), ("expires", "@99")], 0, MaxAge),
        (&[("expires", "@99")], 99, Expires),
        (&[("cache-control", "public"), ("expires", "@99")], 99, Expires),
        // It counts from the date of the response, not from the clock here.
        (&[("expires", "@99"), ("date", "@50")], 49, Expires),
        (&[("expires", "@50"), ("date", "@99")], 0, Expires),
        (&[("expires", "@50"), ("date", "@50")], 0, Expires),
        (&[("expires", "@99"), ("date", "yesterday")], 99, Expires),
        (&[("expires", "0"), ("last-modified", "@-100")], 0, Expires),
        (&[("expires", "@99"), ("expires", "@99")], 0, Expires),
        // A targeted field leaves Expires out of account.
        (&[("cdn-cache-control", "public"), ("expires", "@99")], 0, Nothing),
        (&[("cdn-cache-control", "max-age=5"), ("cache-control", "s-maxage=9")], 5, MaxAge),
        (&[("last-modified", "@-100")], 10, Heuristic),
        (&[("last-modified", "@-100"), ("date", "@-50")], 5, Heuristic),
        (&[("last-modified", "@-99999999")], 86_400, Heuristic),
        (&[("last-modified", "@5")], 0, Nothing),
        (&[], 0, Nothing),
    ];
    for (list, seconds, basis) in table {
        let found = freshness(200, list);
        assert_eq!(found.lifetime, Duration::from_secs(seconds), "{list:?}");
        assert_eq!(found.basis, basis, "{list:?}");
    }
}

#[test]
fn only_some_statuses_are_given_a_lifetime_nobody_promised() {
    let listed = [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501];
    for status in 200..600 {
        let guessed = freshness(status, &[("last-modified", "@-100")]).lifetime.as_secs();
        assert_eq!(guessed, if listed.contains(&status) { 10 } else { 0 }, "{status}");
        let public = [("last-modified", "@-100"), ("cache-control", "public")];
        assert_eq!(freshness(status, &public).lifetime.as_secs(), 10, "{status}");
    }
}

#[test]
fn an_age_is_the_first_whole_number() {
    let table: [(Fields<'_>, u64); 16] = [
        (&[], 0),
        (&[("age", "7200")], 7200),
        (&[("age", " 7200 ")], 7200),
        (&[("age", "7200, 0")], 7200),
        (&[("age", "0, 7200")], 0),
        (&[("age", "7200"), ("age", "0")], 7200),
        (&[("age", "0"), ("age", "7200")], 0),
        (&[("age", "abc, 7200")], 0),
        (&[("age", "abc")], 0),
        (&[("age", "-7200")], 0),
        (&[("age", "7200.0")], 0),
        (&[("age", "7200;a=b")], 0),
        (&[("age", "")], 0),
        (&[("age", "2147483647")], 2_147_483_647),
        (&[("age", "2147483649")], 2_147_483_648),
        (&[("age", "99999999999999999999999")], 2_147_483_648),
    ];
    for (list, seconds) in table {
        assert_eq!(freshness(200, list).initial_age.as_secs(), seconds, "{list:?}");
    }
}

#[test]
fn a_response_is_as_old_as_its_date_or_its_age_and_the_way_here() {
    let headers = |list: Fields<'_>, delay: u64| {
        let headers = fields(list);
        let exchange = Exchange { requested: at(0), received: at(delay) };
        let directives = ResponseDirectives::of(&headers);
        Freshness::of(StatusCode::OK, &headers, &directives, exchange).initial_age.as_secs()
    };
    let table: [(Fields<'_>, u64, u64); 8] = [
        (&[], 0, 0),
        (&[], 3, 3),
        (&[("age", "10")], 3, 13),
        (&[("date", "@-20"), ("age", "10")], 3, 23),
        (&[("date", "@-20"), ("age", "30")], 3, 33),
        (&[("date", "@50"), ("age", "10")], 3, 13),
        (&[("date", "never")], 3, 3),
        (&[("date", "@-20"), ("date", "@-20")], 3, 3),
    ];
    for (list, delay, expected) in table {
        assert_eq!(headers(list, delay), expected, "{list:?}");
    }
    // A clock that went back between request and response makes nothing older.
    let exchange = Exchange { requested: at(9), received: at(0) };
    assert_eq!(initial_age(&HeaderMap::new(), at(0), exchange), Duration::ZERO);
}

#[test]
fn freshness_ends_when_the_age_reaches_the_lifetime() {
    let kept = freshness(200, &[("cache-control", "max-age=10"), ("age", "4")]);
    let table =
        [(0, 4, true, 6, 0), (5, 9, true, 1, 0), (6, 10, false, 0, 0), (9, 13, false, 0, 3)];
    for (resident, age, fresh, left, staleness) in table {
        let now = at(resident);
        assert_eq!(kept.age(now).as_secs(), age);
        assert_eq!(kept.age_field(now), age.to_string());
        assert_eq!(kept.is_fresh(now), fresh);
        assert_eq!(kept.left(now).as_secs(), left);
        assert_eq!(kept.staleness(now).as_secs(), staleness);
    }
    assert_eq!(kept.ttl(at(9)), -3);
    assert_eq!(kept.age(at(0) - Duration::from_secs(99)).as_secs(), 4);
    let ancient = freshness(200, &[("age", "99999999999")]);
    assert_eq!(ancient.age_field(at(1 << 33)), "2147483648");
}

proptest! {
    #[test]
    fn an_age_never_shrinks_and_what_is_left_never_grows(
        age in "[ -~]{0,12}",
        age_number in 0..u64::MAX,
        date_offset in -100_000_i64..100_000,
        delay in 0..1000_u64,
        earlier in 0..u64::from(u32::MAX),
        later in 0..u64::from(u32::MAX),
    ) {
        let (number, date) = (age_number.to_string(), format!("@{date_offset}"));
        for age in [&age, &number] {
            let headers = fields(&[("age", age), ("date", &date), ("cache-control", "max-age=500")]);
            let exchange = Exchange { requested: at(0), received: at(delay) };
            let directives = ResponseDirectives::of(&headers);
            let kept = Freshness::of(StatusCode::OK, &headers, &directives, exchange);
            let (earlier, later) = (at(earlier.min(later)), at(earlier.max(later)));
            prop_assert!(kept.age(earlier) <= kept.age(later));
            prop_assert!(kept.left(later) <= kept.left(earlier));
            prop_assert!(kept.age(earlier) >= kept.initial_age);
            prop_assert_eq!(kept.is_fresh(later), kept.left(later) > Duration::ZERO);
        }
    }
}
