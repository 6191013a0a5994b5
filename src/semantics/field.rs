//! Header fields by what they are: lists, and those of one connection.

use std::borrow::Cow;

use http::header::{CONNECTION, TRAILER};
use http::{HeaderMap, HeaderName};

/// Fields that are neither stored nor passed on (RFC 9111 §3.1, RFC 9110
/// §7.6.1): those of one connection, and those of a proxy's own authentication.
const OF_CONNECTION: [HeaderName; 11] = [
    CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("te"),
    TRAILER,
    HeaderName::from_static("transfer-encoding"),
    HeaderName::from_static("upgrade"),
];

/// Fields that are for all recipients, so that `Connection` cannot nominate
/// them (RFC 9110 §7.6.1).
///
/// Without them a stored response would be fresh, shared or decoded in ways
/// that its origin did not allow, and a request would be another visitor's.
const FOR_ALL: &str = "age authorization awning-cache-control cache-control cdn-cache-control \
     content-encoding content-length content-range content-type cookie date etag expires host \
     last-modified range set-cookie trailer vary";

/// The members of a list field, lines joined, without quoted commas being
/// taken for separators. Empty members are left out (RFC 9110 §5.6.1.2).
pub fn members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Cow<'a, str>> {
    let lines = headers.get_all(name).into_iter();
    lines.flat_map(|line| match String::from_utf8_lossy(line.as_bytes()) {
        Cow::Borrowed(text) => split(text).map(Cow::Borrowed).collect::<Vec<_>>(),
        Cow::Owned(text) => split(&text).map(|member| Cow::Owned(member.to_owned())).collect(),
    })
}

/// The members of one line. A quote that is never closed quotes nothing, so
/// that it cannot hide the members behind it.
pub fn split(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    let parts = std::iter::from_fn(move || {
        let text = rest?;
        let end = end_of_member(text);
        rest = text.get(end + 1..);
        text.get(..end)
    });
    parts.map(|part| part.trim_matches([' ', '\t'])).filter(|part| !part.is_empty())
}

/// Whether a message's field belongs to its connection and to nobody else.
/// `headers` are all fields of the message, as received.
pub fn is_of_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    OF_CONNECTION.contains(name) || is_nominated(headers, name)
}

fn is_nominated(headers: &HeaderMap, name: &HeaderName) -> bool {
    if !headers.contains_key(CONNECTION) {
        return false;
    }
    if FOR_ALL.split(' ').any(|other| other == name.as_str()) {
        return false;
    }
    members(headers, &CONNECTION).any(|option| option.eq_ignore_ascii_case(name.as_str()))
}

/// Where the member that `text` begins with ends.
fn end_of_member(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b',' => return at,
            b'"' => at = end_of_quoted(bytes, at).unwrap_or(at) + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Where the quoted string that begins at `start` ends, its last quote.
fn end_of_quoted(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at),
            _ => at += 1,
        }
    }
}

/// Header fields out of a table, for the tests of all rules.
#[cfg(test)]
pub(super) fn fields(list: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_split_at_commas_outside_of_quotes() {
        let table: [(&str, &[&str]); 9] = [
            ("", &[]),
            (" , ,", &[]),
            ("a", &["a"]),
            (" a ,\tb,,c ", &["a", "b", "c"]),
            (r#"a="x,y", b"#, &[r#"a="x,y""#, "b"]),
            (r#"a="x\",y", b"#, &[r#"a="x\",y""#, "b"]),
            (r#"a="x, b"#, &[r#"a="x"#, "b"]),
            (r#"a="x\"#, &[r#"a="x\"#]),
            (r#"W/"a", "b""#, &[r#"W/"a""#, r#""b""#]),
        ];
        for (line, expected) in table {
            assert_eq!(split(line).collect::<Vec<_>>(), expected, "{line:?}");
        }
    }

    #[test]
    fn a_connection_keeps_its_own_fields_but_not_those_for_all() {
        let mut headers = HeaderMap::new();
        headers.append("connection", HeaderValue::from_static("close, X-One"));
        headers.append("connection", HeaderValue::from_static("x-two,Cache-Control, set-cookie"));
        let table = [
            ("x-one", true),
            ("x-two", true),
            ("x-three", false),
            ("cache-control", false),
            ("set-cookie", false),
            ("connection", true),
            ("transfer-encoding", true),
            ("proxy-authenticate", true),
            ("trailer", true),
            ("etag", false),
        ];
        for (name, expected) in table {
            let name = HeaderName::from_static(name);
            assert_eq!(is_of_connection(&headers, &name), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_split_without_a_panic(line in "[ -~\u{e9}]{0,40}") {
            for member in split(&line) {
                prop_assert!(!member.is_empty() && line.contains(member));
            }
        }
    }
}
