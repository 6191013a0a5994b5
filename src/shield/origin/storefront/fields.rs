//! Header fields on their way to an upstream and back.
//!
//! What belongs to one connection stays there (RFC 9110 §7.6.1); what would
//! make an upstream believe a visitor about where it is, is dropped; the rest
//! passes in its order, with its duplicates.

use std::net::IpAddr;

use http::Method;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, MAX_FORWARDS, TE, TRAILER, UPGRADE, VIA,
};

use crate::semantics::cache_status::{CACHE_STATUS, CacheStatus};
use crate::semantics::field;
use crate::shield::GatedRequest;
use crate::shield::gate::forwarded;
use crate::shield::page::PageOf;

/// This shield's name in `Via`, `CDN-Loop` and `Cache-Status`.
const SELF: &str = "awning";

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Fields by which a visitor could tell an upstream where it is, who asks, or
/// what is asked for (`X-Script-Name` moves every URL of a py4web page).
/// Everything that begins with `x-forwarded` is of that kind as well.
const MISLEADING: &str = "client-ip forwarded front-end-https proxy true-client-ip \
     x-cluster-client-ip x-host x-http-host-override x-original-host x-original-url \
     x-py4web-appname x-real-ip x-rewrite-url x-script-name x-url-scheme";

/// Overrides of the method that would turn a `GET` into something else.
const METHOD_OVERRIDES: &str = "x-http-method x-http-method-override x-method-override";

/// Fields that a trusted proxy says of itself, and only it may.
const OF_TRUSTED_PROXY: &str = "x-forwarded-port x-forwarded-prefix x-forwarded-server";

/// Tags of the upstream, which are for caches and not for visitors.
const FOR_CACHES: &str =
    "cache-groups cache-tag edge-cache-tag surrogate-key x-cache-invalidate xkey";

/// Whether the request went through a shield before: by `CDN-Loop` (RFC 8586),
/// or by `Via` (RFC 9110 §7.6.3) if something on the way dropped that.
pub(crate) fn is_loop(headers: &HeaderMap) -> bool {
    let is_self = |name: &str| name.trim().eq_ignore_ascii_case(SELF);
    let by_loop = |element: &str| element.split(';').next().is_some_and(is_self);
    let by_via = |element: &str| element.split_whitespace().nth(1).is_some_and(is_self);
    elements(headers, &CDN_LOOP).any(by_loop) || elements(headers, &VIA).any(by_via)
}

fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(','))
}

/// The fields that the upstream gets.
pub(crate) fn to_upstream(request: &GatedRequest, page: Option<&PageOf>) -> HeaderMap {
    let tagged = request.headers.contains_key(IF_NONE_MATCH);
    let mut fields = HeaderMap::with_capacity(request.headers.len() + 8);
    // In lower case, as in the key of what is stored: an upstream may repeat it
    // in a page that other visitors get.
    let authority = request.authority.to_ascii_lowercase();
    append(&mut fields, HOST, &authority);
    for (name, value) in &request.headers {
        let own = [HOST, EXPECT].contains(name);
        if own || stays(&request.headers, name) || misleads(name, request) {
            continue;
        }
        if page.is_some() && [ACCEPT_ENCODING, IF_NONE_MATCH].contains(name) {
            continue;
        }
        // The date does not count beside a tag (RFC 9110 §13.1.3), and must not
        // count in place of one that is of another release and left out.
        if page.is_some() && *name == IF_MODIFIED_SINCE && tagged {
            continue;
        }
        if *name == MAX_FORWARDS && request.method == Method::OPTIONS {
            append(&mut fields, MAX_FORWARDS, &one_less(value));
            continue;
        }
        fields.append(name.clone(), value.clone());
    }
    if let Some(page) = page {
        append(&mut fields, ACCEPT_ENCODING, "identity");
        if let Some(tags) = page.translated().if_none_match() {
            fields.append(IF_NONE_MATCH, tags.clone());
        }
    }
    if page.is_none() && wants_trailers(&request.headers) {
        append(&mut fields, TE, "trailers");
        append(&mut fields, CONNECTION, "te");
    }
    append(&mut fields, forwarded::FOR, &chain(request.client, request.peer));
    append(&mut fields, forwarded::HOST, &authority);
    append(&mut fields, forwarded::PROTO, request.scheme);
    append(&mut fields, REAL_IP, &request.client.to_string());
    append(&mut fields, VIA, &format!("1.1 {SELF}"));
    append(&mut fields, CDN_LOOP, SELF);
    fields
}

/// The fields that the visitor gets.
pub(crate) fn to_visitor(upstream: &HeaderMap, cache_status: &CacheStatus) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(upstream.len() + 2);
    for (name, value) in upstream {
        let for_caches = FOR_CACHES.split(' ').any(|other| other == name.as_str());
        if !for_caches && !stays(upstream, name) {
            fields.append(name.clone(), value.clone());
        }
    }
    append(&mut fields, VIA, &format!("1.1 {SELF}"));
    fields.append(CACHE_STATUS, cache_status.to_header());
    fields
}

/// Whether the visitor takes trailers (RFC 9110 §6.5.1); only then may they be
/// asked for. One who changes the protocol has no use for them.
fn wants_trailers(headers: &HeaderMap) -> bool {
    let is_trailers = |element: &str| {
        element.split(';').next().is_some_and(|te| te.trim().eq_ignore_ascii_case("trailers"))
    };
    !headers.contains_key(UPGRADE) && elements(headers, &TE).any(is_trailers)
}

/// How often a request may be forwarded after this time (RFC 9110 §7.6.2).
/// One that may not be is answered before it comes here.
fn one_less(forwards: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(forwards.as_bytes());
    match text.parse::<u64>() {
        Ok(forwards) => forwards.saturating_sub(1).to_string(),
        Err(_) => text.into_owned(),
    }
}

fn append(fields: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        fields.append(name, value);
    }
}

/// The visitor, and the proxy it came by. What the visitor claimed to come by
/// itself is not repeated: many applications believe the leftmost address.
fn chain(client: IpAddr, peer: IpAddr) -> String {
    let peer = peer.to_canonical();
    if client == peer { client.to_string() } else { format!("{client}, {peer}") }
}

/// Whether a field stays with its connection. Trailers are passed on, and so is
/// what announces them.
fn stays(headers: &HeaderMap, name: &HeaderName) -> bool {
    *name != TRAILER && field::is_of_connection(headers, name)
}

/// Applications under WSGI and CGI cannot tell `_` from `-`.
fn misleads(name: &HeaderName, request: &GatedRequest) -> bool {
    let name = name.as_str();
    let spelled = name.replace('_', "-");
    let among = |names: &str| names.split(' ').any(|other| other == spelled);
    if request.from_trusted_proxy && spelled == name && among(OF_TRUSTED_PROXY) {
        return false;
    }
    let smuggled = spelled != name && ["host", "via", "cdn-loop"].contains(&spelled.as_str());
    let overrides = request.method != Method::POST && among(METHOD_OVERRIDES);
    smuggled || overrides || spelled.starts_with("x-forwarded") || among(MISLEADING)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::semantics::cache_status::Forward;

    fn request(fields: &[(&'static str, &'static str)], trusted: bool) -> GatedRequest {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        GatedRequest {
            method: Method::GET,
            scheme: "https",
            host: "shop.nl".to_owned(),
            authority: "Shop.nl:8443".to_owned(),
            path: "/".to_owned(),
            query: None,
            headers: fields.iter().map(field).collect(),
            client: [203, 0, 113, 9].into(),
            peer: if trusted { [10, 0, 0, 1].into() } else { [203, 0, 113, 9].into() },
            from_trusted_proxy: trusted,
            tunnel: None,
        }
    }

    fn listed(fields: &HeaderMap) -> Vec<String> {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        fields.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect()
    }

    #[test]
    fn an_upstream_learns_who_asks_from_the_shield_alone() {
        let request = request(
            &[
                ("host", "shop.nl"),
                ("forwarded", "for=1.2.3.4"),
                ("x-forwarded-for", "1.2.3.4"),
                ("x-forwarded-prefix", "/evil"),
                ("x_forwarded_host", "evil"),
                ("x-script-name", "//evil"),
                ("x_script_name", "//evil"),
                ("x-py4web-appname", "evil"),
                ("x-original-url", "/evil"),
                ("x-http-method-override", "DELETE"),
                ("connection", "keep-alive, x-private"),
                ("x-private", "1"),
                ("keep-alive", "timeout=5"),
                ("te", "trailers"),
                ("proxy-authorization", "Basic x"),
                ("accept-encoding", "gzip"),
                ("cookie", "a=1"),
                ("cookie", "b=2"),
                ("hx-request", "true"),
                ("cdn-loop", "cloudflare"),
                ("via", "2 edge"),
            ],
            false,
        );
        let expected = [
            "host: shop.nl:8443",
            "accept-encoding: gzip",
            "cookie: a=1",
            "cookie: b=2",
            "hx-request: true",
            "cdn-loop: cloudflare",
            "cdn-loop: awning",
            "via: 2 edge",
            "via: 1.1 awning",
            "te: trailers",
            "connection: te",
            "x-forwarded-for: 203.0.113.9",
            "x-forwarded-host: shop.nl:8443",
            "x-forwarded-proto: https",
            "x-real-ip: 203.0.113.9",
        ];
        assert_eq!(listed(&to_upstream(&request, None)), expected);
    }

    #[test]
    fn a_trusted_proxy_is_named_behind_the_visitor() {
        let fields = [("x-forwarded-for", "6.6.6.6, 203.0.113.9"), ("x-forwarded-prefix", "/shop")];
        let fields = to_upstream(&request(&fields, true), None);
        assert_eq!(fields[forwarded::FOR], "203.0.113.9, 10.0.0.1");
        assert_eq!(fields["x-forwarded-prefix"], "/shop");
    }

    #[test]
    fn a_visitor_gets_what_the_upstream_said_but_its_connection() {
        let upstream = [
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("cache-status", "inner; hit"),
            ("connection", "close, x-private, set-cookie"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("surrogate-key", "a b"),
            ("etag", "f1235"),
        ];
        let field =
            |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let status = CacheStatus::forwarded(Forward::Bypass, Some(StatusCode::OK));
        let fields = to_visitor(&upstream.into_iter().map(field).collect(), &status);
        let expected = [
            "set-cookie: a=1",
            "set-cookie: b=2",
            "cache-status: inner; hit",
            "cache-status: awning; fwd=bypass; fwd-status=200",
            "etag: f1235",
            "via: 1.1 awning",
        ];
        assert_eq!(listed(&fields), expected);
    }

    #[test]
    fn only_our_own_name_is_a_loop() {
        for (name, line, looped) in [
            (CDN_LOOP, "awning", true),
            (CDN_LOOP, "cloudflare, Awning; v=1", true),
            (CDN_LOOP, "cloudflare", false),
            (CDN_LOOP, "awning.example.nl", false),
            (VIA, "1.1 awning", true),
            (VIA, "2 edge, HTTP/1.1 Awning (comment)", true),
            (VIA, "1.1 awning.example.nl", false),
            (VIA, "2 edge (awning)", false),
            (VIA, "awning", false),
        ] {
            let fields = [(name, HeaderValue::from_static(line))].into_iter().collect();
            assert_eq!(is_loop(&fields), looped, "{line}");
        }
    }

    #[test]
    fn a_forward_counts_for_options_alone() {
        for (method, line, forwarded) in [
            (Method::OPTIONS, "5", "4"),
            (Method::OPTIONS, "1", "0"),
            (Method::OPTIONS, "18446744073709551615", "18446744073709551614"),
            (Method::OPTIONS, "99999999999999999999", "99999999999999999999"),
            (Method::OPTIONS, "soon", "soon"),
            (Method::GET, "5", "5"),
        ] {
            let request = GatedRequest { method, ..request(&[("max-forwards", line)], false) };
            assert_eq!(to_upstream(&request, None)[MAX_FORWARDS], forwarded, "{line}");
        }
    }
}
