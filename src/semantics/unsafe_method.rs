//! What a request that may change things makes unusable (RFC 9111 §4.4).

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, Method, StatusCode};
use url::Url;

/// Methods that are registered as safe (RFC 9110 §9.2.1 and the registry of
/// HTTP methods). All others may change things, unknown ones included.
const SAFE: [&str; 9] =
    ["GET", "HEAD", "OPTIONS", "PRI", "PROPFIND", "QUERY", "REPORT", "SEARCH", "TRACE"];

/// Whether requests of this method change nothing, by its definition.
pub fn is_safe(method: &Method) -> bool {
    SAFE.contains(&method.as_str())
}

/// The URIs whose stored responses a response makes unusable.
///
/// None unless the method is unsafe and the response no error; else the target,
/// and what `Location` and `Content-Location` name at the target's own origin.
/// At most three, without fragments.
pub fn makes_unusable(
    method: &Method,
    target: &Url,
    status: StatusCode,
    response: &HeaderMap,
) -> Vec<Url> {
    if is_safe(method) || !(status.is_success() || status.is_redirection()) {
        return Vec::new();
    }
    let mut uris = vec![without_fragment(target.clone())];
    for name in [LOCATION, CONTENT_LOCATION] {
        let named = response.get(name).and_then(|value| value.to_str().ok());
        let uri = named.and_then(|text| target.join(text).ok()).map(without_fragment);
        // Another origin's responses are not this one's to touch.
        let uri = uri.filter(|uri| uri.origin() == target.origin() && !uris.contains(uri));
        uris.extend(uri);
    }
    uris
}

fn without_fragment(mut uri: Url) -> Url {
    uri.set_fragment(None);
    uri
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn unusable(method: &str, status: u16, fields: &[(&'static str, &'static str)]) -> Vec<String> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let target = Url::parse("https://shop.nl/a/b?c=1#d").unwrap();
        let mut response = HeaderMap::new();
        for (name, value) in fields {
            response.append(*name, HeaderValue::from_static(value));
        }
        let status = StatusCode::from_u16(status).unwrap();
        let uris = makes_unusable(&method, &target, status, &response);
        uris.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_successful_unsafe_request_makes_its_target_unusable() {
        let table = [
            ("POST", 200, true),
            ("PUT", 204, true),
            ("DELETE", 202, true),
            ("PATCH", 303, true),
            ("M-SEARCH", 200, true),
            ("post", 200, true),
            ("POST", 400, false),
            ("POST", 503, false),
            ("POST", 100, false),
            ("GET", 200, false),
            ("HEAD", 200, false),
            ("OPTIONS", 200, false),
            ("TRACE", 200, false),
            ("PROPFIND", 207, false),
            ("QUERY", 200, false),
        ];
        for (method, status, expected) in table {
            let found = unusable(method, status, &[]);
            let uris: &[&str] = if expected { &["https://shop.nl/a/b?c=1"] } else { &[] };
            assert_eq!(found, uris, "{method} {status}");
        }
    }

    #[test]
    fn locations_count_at_the_same_origin_only() {
        let table = [
            ("/x", Some("https://shop.nl/x")),
            ("x#y", Some("https://shop.nl/a/x")),
            ("https://shop.nl:443/x", Some("https://shop.nl/x")),
            ("https://SHOP.nl/x", Some("https://shop.nl/x")),
            ("http://shop.nl/x", None),
            ("https://shop.nl:8443/x", None),
            ("//other.nl/x", None),
            ("https://[broken", None),
            ("?c=1", None),
        ];
        for (location, expected) in table {
            for name in ["location", "content-location"] {
                let found = unusable("POST", 201, &[(name, location)]);
                assert_eq!(found.get(1).map(String::as_str), expected, "{name}: {location}");
                assert!(unusable("GET", 201, &[(name, location)]).is_empty());
            }
        }
        let both = [("location", "/x"), ("content-location", "/y")];
        assert_eq!(unusable("PUT", 200, &both).len(), 3);
    }
}
