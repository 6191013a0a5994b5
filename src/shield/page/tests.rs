//! Which responses are pages, and what becomes of them however their bytes
//! are cut.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::header::{IF_NONE_MATCH, VARY};
use http_body::Frame;
use http_body_util::StreamBody;

use super::*;
use crate::rewrite::Reference;
use crate::shield::body::{BoxError, empty, full};

const PAGE: &str = "<!doctype html><meta charset=utf-8><title>caf\u{e9}</title>\
    <link rel=stylesheet href=\"/static/a.css\"><style>p{background:url(/static/b.png)}</style>\
    <img src=/static/c.png srcset='/static/c.png 1x, /static/d.png 2x'><a href=/page>x</a>";
const REWRITTEN: &str = "<!doctype html><meta charset=utf-8><title>caf\u{e9}</title>\
    <link rel=stylesheet href=\"https://cdn/a.css\"><style>p{background:url(https://cdn/b.png)}</style>\
    <img src=https://cdn/c.png srcset='https://cdn/c.png 1x, https://cdn/d.png 2x'><a href=/page>x</a>";

fn rewriting() -> Rewriting {
    let resolver = |reference: &Reference<'_>| {
        let path = reference.url.path().strip_prefix("/static/")?;
        Some(format!("https://cdn/{path}"))
    };
    Rewriting { resolver: Arc::new(resolver), release: "0123456789ab".to_owned() }
}

fn request(method: Method, fields: &[(&'static str, &'static str)]) -> GatedRequest {
    let field = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    GatedRequest {
        method,
        scheme: "https",
        host: "shop.nl".to_owned(),
        authority: "shop.nl".to_owned(),
        path: "/a/page".to_owned(),
        query: None,
        headers: fields.iter().map(field).collect(),
        client: [127, 0, 0, 1].into(),
        peer: [127, 0, 0, 1].into(),
        from_trusted_proxy: false,
        tunnel: None,
    }
}

fn html(body: ResponseBody) -> Response<ResponseBody> {
    Response::builder().header(CONTENT_TYPE, "text/html; charset=utf-8").body(body).unwrap()
}

fn apply(
    request: &GatedRequest,
    response: Response<ResponseBody>,
    metrics: &Arc<Metrics>,
) -> Response<ResponseBody> {
    PageOf::expected(request, rewriting(), metrics).unwrap().apply(response)
}

async fn text(response: Response<ResponseBody>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_page_is_the_same_however_its_bytes_are_cut() {
    let get = request(Method::GET, &[]);
    let metrics = Arc::new(Metrics::default());
    for at in 0..=PAGE.len() {
        let (first, second) = PAGE.as_bytes().split_at(at);
        let pieces =
            [first, second].map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from(piece))));
        let body = StreamBody::new(stream::iter(pieces)).map_err(|never| match never {});
        let page = apply(&get, html(body.boxed_unsync()), &metrics);
        assert_eq!(text(page).await, REWRITTEN, "cut at {at}");
    }
    let rewritten = format!("awning_references_rewritten_total {}", 5 * (PAGE.len() + 1));
    assert!(metrics.render().contains(&rewritten));
}

#[tokio::test]
async fn the_fields_of_a_page_are_those_of_its_new_bytes() {
    let metrics = Arc::default();
    for method in [Method::GET, Method::HEAD] {
        let mut response = html(if method == Method::GET { full(PAGE) } else { empty() });
        for (name, value) in [
            ("content-length", "500"),
            ("etag", "\"v1\""),
            ("last-modified", "x"),
            ("accept-ranges", "bytes"),
            ("repr-digest", "x"),
            ("content-digest", "x"),
            ("cache-control", "no-cache"),
        ] {
            let name = HeaderName::from_static(name);
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        let page = apply(&request(method.clone(), &[]), response, &metrics);
        let names: Vec<_> = page.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names.len(), 3, "{method}: {names:?}");
        assert_eq!(page.headers()[CACHE_CONTROL], "no-cache");
        assert_eq!(page.headers()[ETAG], "W/\"v1-0123456789ab\"");
    }
}

#[tokio::test]
async fn whatever_is_not_plainly_a_page_passes_as_it_is() {
    const HTML: (HeaderName, &str) = (CONTENT_TYPE, "text/html");
    for (status, fields, reason) in [
        (200, &[][..], None),
        (200, &[(CONTENT_TYPE, "text/plain")], None),
        (200, &[(CONTENT_TYPE, "application/xhtml+xml")], None),
        (206, &[HTML], Some("status")),
        (200, &[HTML, (CONTENT_ENCODING, "gzip")], Some("coding")),
        (200, &[HTML, (CACHE_CONTROL, "public, No-Transform")], Some("no-transform")),
        (200, &[HTML, (CONTENT_DISPOSITION, "attachment; filename=x")], Some("attachment")),
        (200, &[(CONTENT_TYPE, "text/html; charset=utf-16")], Some("charset")),
    ] {
        let metrics = Arc::new(Metrics::default());
        let mut response = Response::new(full(PAGE));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in fields {
            response.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        let passed = apply(&request(Method::GET, &[]), response, &metrics);
        assert_eq!(text(passed).await, PAGE, "{fields:?}");
        let counted = metrics.render();
        match reason {
            Some(reason) => {
                let line = format!("awning_rewrite_skipped_total{{reason=\"{reason}\"}} 1");
                assert!(counted.contains(&line), "{counted}");
            }
            None => assert!(!counted.contains("skipped"), "{counted}"),
        }
    }
}

#[tokio::test]
async fn a_page_that_names_no_coding_as_its_coding_is_rewritten() {
    let mut response = html(full(PAGE));
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("Identity"));
    let page = apply(&request(Method::GET, &[]), response, &Arc::default());
    assert_eq!(text(page).await, REWRITTEN);
}

#[tokio::test]
async fn pages_of_any_status_are_rewritten() {
    let metrics = Arc::default();
    for status in [200, 401, 404, 500] {
        let mut response = html(full(PAGE));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        let page = apply(&request(Method::GET, &[]), response, &metrics);
        assert_eq!(text(page).await, REWRITTEN, "{status}");
    }
}

#[tokio::test]
async fn a_page_that_breaks_off_stays_broken() {
    let broken: BoxError = "gone".into();
    let pieces = [Ok(Frame::data(Bytes::from("<p>"))), Err(broken)];
    let body = StreamBody::new(stream::iter(pieces)).boxed_unsync();
    let page = apply(&request(Method::GET, &[]), html(body), &Arc::default());
    assert_eq!(page.into_body().collect().await.unwrap_err().to_string(), "gone");
}

#[tokio::test]
async fn relative_references_of_a_fragment_are_those_of_the_page_it_goes_into() {
    let relative = "<img src=../static/a.png><img src=/static/b.png>";
    let both = "<img src=https://cdn/a.png><img src=https://cdn/b.png>";
    let rooted = "<img src=../static/a.png><img src=https://cdn/b.png>";
    let hx = ("hx-request", "true");
    let table: [(&[(&str, &str)], _, _); 6] = [
        (&[], both, false),
        (&[hx], rooted, false),
        (&[hx, ("hx-current-url", "https://shop.nl/a/other?x")], both, true),
        (&[hx, ("hx-current-url", "https://shop.nl/a/b/c/")], rooted, true),
        (&[hx, ("hx-current-url", "https://evil.nl/a/other")], rooted, false),
        (&[hx, ("hx-boosted", "true")], both, false),
    ];
    for (fields, expected, varies) in table {
        let page = apply(&request(Method::GET, fields), html(full(relative)), &Arc::default());
        assert_eq!(page.headers().contains_key(VARY), varies, "{fields:?}");
        let head = apply(&request(Method::HEAD, fields), html(empty()), &Arc::default());
        assert_eq!(head.headers(), page.headers(), "{fields:?}");
        assert_eq!(text(page).await, expected, "{fields:?}");
    }
}

#[test]
fn only_what_may_be_shown_as_a_page_is_prepared_for() {
    for (method, fields, expected) in [
        (Method::GET, &[][..], true),
        (Method::HEAD, &[], true),
        (Method::POST, &[], false),
        (Method::GET, &[("sec-fetch-dest", "document")], true),
        (Method::GET, &[("sec-fetch-dest", "empty")], true),
        (Method::GET, &[("sec-fetch-dest", "image")], false),
    ] {
        let request = request(method, fields);
        let page = PageOf::expected(&request, rewriting(), &Arc::default());
        assert_eq!(page.is_some(), expected, "{fields:?}");
    }
}

#[test]
fn a_conditional_request_asks_the_upstream_in_its_own_terms() {
    let fields = [(IF_NONE_MATCH.as_str(), "W/\"v1-0123456789ab\"")];
    let fields = fields.map(|(name, value)| (HeaderName::from_static(name), value));
    let mut request = request(Method::GET, &[]);
    for (name, value) in fields {
        request.headers.insert(name, HeaderValue::from_static(value));
    }
    let page = PageOf::expected(&request, rewriting(), &Arc::default()).unwrap();
    assert_eq!(page.translated().if_none_match().unwrap(), "\"v1\", W/\"v1\"");
}
