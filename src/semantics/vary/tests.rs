use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::semantics::field::fields;

fn vary(text: &str) -> Result<Vary, VaryFault> {
    Vary::of(&fields(&[("vary", text)]))
}

type Fields<'a> = &'a [(&'static str, &'a str)];

fn same(selecting: &str, one: Fields<'_>, other: Fields<'_>) -> bool {
    let vary = vary(selecting).unwrap();
    vary.select(&fields(one)) == vary.select(&fields(other))
}

#[test]
fn a_star_anywhere_fits_no_other_request() {
    for text in ["*", "*, *", ", *", "*, foo", "foo, *", "foo,*,", " * "] {
        assert_eq!(vary(text), Err(VaryFault::Any), "{text}");
    }
    for lines in [["", "*"], ["*", ""], ["foo", "*"], ["*", "*"]] {
        let headers = fields(&lines.map(|line| ("vary", line)));
        assert_eq!(Vary::of(&headers), Err(VaryFault::Any), "{lines:?}");
    }
    // Even behind more names than a key may hold.
    let many = (0..99).map(|n| format!("x{n},")).collect::<String>();
    assert_eq!(vary(&format!("{many}*")), Err(VaryFault::Any));
}

#[test]
fn names_count_once_in_any_case_order_and_number_of_lines() {
    assert_eq!(vary("Foo, bar").unwrap(), vary("bar,foo, FOO").unwrap());
    let lines = fields(&[("vary", "foo"), ("vary", "bar")]);
    assert_eq!(Vary::of(&lines).unwrap(), vary("bar, foo").unwrap());
    assert!(vary("").unwrap().is_empty());
    assert!(Vary::of(&HeaderMap::new()).unwrap().is_empty());
    assert_eq!(vary("foo bar"), Err(VaryFault::TooLong));
}

#[test]
fn a_key_holds_sixteen_fields_at_most() {
    let names = |count: usize| (0..count).map(|n| format!("x{n},")).collect::<String>();
    assert_eq!(vary(&names(FIELDS_MAX)).unwrap().names().len(), FIELDS_MAX);
    assert_eq!(vary(&names(FIELDS_MAX + 1)), Err(VaryFault::TooLong));
    let repeated = names(FIELDS_MAX) + &names(FIELDS_MAX);
    assert!(vary(&repeated).is_ok());
}

#[test]
fn requests_that_mean_the_same_select_the_same() {
    let table: [(&str, Fields<'_>, Fields<'_>, bool); 22] = [
        ("foo", &[("foo", "1")], &[("foo", "1")], true),
        ("foo", &[("foo", "1")], &[("foo", "2")], false),
        ("foo", &[("foo", "1")], &[], false),
        ("foo", &[("foo", "")], &[], false),
        ("foo", &[("foo", "1"), ("bar", "2")], &[("foo", "1"), ("bar", "3")], true),
        ("foo", &[("foo", "1, 2")], &[("foo", "1"), ("foo", "2")], true),
        ("foo", &[("foo", "1,2")], &[("foo", " 1,\t2 ")], true),
        ("foo", &[("foo", "1,2")], &[("foo", "2,1")], false),
        ("foo", &[("foo", "a b")], &[("foo", "a  b")], false),
        ("foo", &[("foo", "A")], &[("foo", "a")], false),
        ("foo", &[("foo", "\"1, 2\"")], &[("foo", "\"1,2\"")], false),
        ("foo, bar", &[("foo", "1"), ("bar", "2")], &[("bar", "2"), ("foo", "1")], true),
        ("foo, bar", &[("foo", "1")], &[("bar", "1")], false),
        (
            "accept-language",
            &[("accept-language", "en, de")],
            &[("accept-language", "De ,EN")],
            true,
        ),
        (
            "accept-language",
            &[("accept-language", "en;q=0.5, de")],
            &[("accept-language", "de;q=1.0,en;q=0.500")],
            true,
        ),
        (
            "accept-language",
            &[("accept-language", "en, de;q=0.5")],
            &[("accept-language", "de, en;q=0.5")],
            false,
        ),
        (
            "accept-language",
            &[("accept-language", "en;q=0.5")],
            &[("accept-language", "en;q=500")],
            false,
        ),
        (
            "accept-encoding",
            &[("accept-encoding", "gzip, deflate, br, zstd")],
            &[("accept-encoding", "br,gzip")],
            true,
        ),
        ("accept-encoding", &[("accept-encoding", "gzip;q=0")], &[], true),
        ("accept-encoding", &[("accept-encoding", "gzip")], &[], false),
        ("cookie", &[("cookie", "a=1; b=2")], &[("cookie", "a=1"), ("cookie", "b=2")], true),
        ("cookie", &[("cookie", "a=1,2")], &[("cookie", "a=1, 2")], false),
    ];
    for (selecting, one, other, expected) in table {
        assert_eq!(same(selecting, one, other), expected, "{selecting}: {one:?} {other:?}");
    }
}

#[test]
fn bytes_that_are_no_text_stay_apart() {
    let vary = vary("foo").unwrap();
    let select = |bytes: &[u8]| {
        let mut headers = HeaderMap::new();
        headers.append("foo", HeaderValue::from_bytes(bytes).unwrap());
        vary.select(&headers)
    };
    assert_ne!(select(b"\xe9"), select(b"\xe8"));
    assert_ne!(select(b"\xe9"), select(b"\\xe9"));
    assert_ne!(select(b"\xe9"), select("\u{fffd}".as_bytes()));
}

#[test]
fn all_accept_encodings_there_are_make_three_keys() {
    let vary = vary("accept-encoding").unwrap();
    let table = [
        ("", "identity"),
        ("identity", "identity"),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("*", "br, gzip"),
        ("br", "identity"),
        ("zstd", "identity"),
        ("br, gzip", "br, gzip"),
        ("gzip, deflate, br, zstd", "br, gzip"),
        ("br;q=0.5, gzip", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("gzip;q=0, br", "identity"),
        ("identity, br;q=0.1, gzip;q=0.1", "identity"),
        ("*;q=0", "identity"),
    ];
    for (text, expected) in table {
        let request = fields(&[("accept-encoding", text)]);
        assert_eq!(AcceptedCoding::of(&request).to_header(), expected, "{text}");
        assert_eq!(vary.select(&request).as_str(), format!("accept-encoding:{expected}\n"));
        // What is forwarded selects what was selected before.
        let forwarded = fields(&[("accept-encoding", expected)]);
        assert_eq!(vary.select(&forwarded), vary.select(&request), "{text}");
    }
}

#[test]
fn a_selection_is_text_that_is_read_again() {
    let vary = vary("b, a").unwrap();
    let selection = vary.select(&fields(&[("b", "1,  2")]));
    assert_eq!(selection.as_str(), "a\nb:1,2\n");
    let text = serde_json::to_string(&selection).unwrap();
    assert_eq!(serde_json::from_str::<Selection>(&text).unwrap(), selection);
}

#[test]
fn a_selection_keeps_secrets_and_tells_them_apart() {
    let vary = vary("cookie, authorization").unwrap();
    let select = |cookie| {
        let request = fields(&[("cookie", cookie), ("authorization", "Bearer opensesame")]);
        vary.select(&request)
    };
    let selection = select("session=opensesame");
    assert!(!selection.as_str().contains("opensesame"), "{selection:?}");
    assert_ne!(selection, select("session=other"));
}

proptest! {
    #[test]
    fn a_selection_is_short_whatever_clients_send(
        list in proptest::collection::vec("[ -~]{0,3000}", 0..4),
    ) {
        let names = ["accept", "accept-language", "foo"];
        let vary = vary(&names.join(",")).unwrap();
        let mut request = HeaderMap::new();
        for (name, value) in names.iter().cycle().zip(&list) {
            request.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let selection = vary.select(&request);
        prop_assert!(selection.as_str().len() <= 3 * (VALUE_MAX + 20));
        prop_assert_eq!(selection.as_str().lines().count(), 3);
        prop_assert_eq!(vary.select(&request), selection);
    }

    #[test]
    fn different_values_of_unknown_fields_select_differently(
        one in "[a-z]{1,200}",
        other in "[a-z]{1,200}",
    ) {
        let found = same("foo", &[("foo", &one)], &[("foo", &other)]);
        prop_assert_eq!(found, one == other);
    }
}
