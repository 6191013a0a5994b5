//! The gate's table, on heads as hyper hands them over. What needs the bytes
//! of a connection is in `tests/lib/gate.rs`.

use http::header::HeaderName;
use url::Url;

use super::*;
use crate::rewrite::PublicBase;

fn config() -> Config {
    Config {
        sites: Vec::new(),
        memory_bytes_max: 0,
        disk: None,
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        limits: Limits::standard(),
    }
}

fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(target).body(()).unwrap();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request
            .headers_mut()
            .append(name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    request
}

fn verdict(request: &Request<()>) -> Result<GatedRequest, Refusal> {
    admit(request, "192.0.2.1".parse().unwrap(), &config())
}

#[test]
fn a_head_that_reads_in_two_ways_is_refused() {
    let host = ("host", "a.nl");
    for (method, target, fields, refusal) in [
        ("GET", "/", &[][..], Refusal::HostMissing),
        ("GET", "/", &[host, host], Refusal::HostRepeated),
        ("GET", "/", &[("host", "")], Refusal::HostMalformed),
        ("GET", "/", &[("host", "a@b/c?d")], Refusal::HostMalformed),
        ("GET", "http://b.nl/", &[host], Refusal::HostDiffers),
        ("GET", "http://a.nl:81/", &[host], Refusal::HostDiffers),
        ("GET", "http://a.nl/", &[], Refusal::HostMissing),
        ("GET", "http://me@a.nl/", &[host], Refusal::HostMalformed),
        ("GET", "ftp://a.nl/", &[host], Refusal::TargetForm),
        ("GET", "a.nl:80", &[host], Refusal::TargetForm),
        ("GET", "*", &[host], Refusal::TargetForm),
        ("OPTIONS", "*", &[host], Refusal::TargetForm),
        ("CONNECT", "a.nl:80", &[host], Refusal::MethodForbidden),
        ("TRACE", "/", &[host], Refusal::MethodForbidden),
        ("PURGE", "/", &[host], Refusal::MethodForbidden),
        ("get", "/", &[host], Refusal::MethodUnknown),
        ("Get", "/", &[host], Refusal::MethodUnknown),
        ("A_B", "/", &[host], Refusal::MethodUnknown),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZ-ABCDEF", "/", &[host], Refusal::MethodUnknown),
        ("GET", "//evil.example/", &[host], Refusal::PathOfHost),
        ("GET", "/a\\b", &[host], Refusal::TargetMalformed),
        ("GET", "/caf\u{e9}", &[host], Refusal::TargetMalformed),
        ("GET", "/?caf\u{e9}", &[host], Refusal::TargetMalformed),
        ("GET", "/", &[host, ("connection", "close, Host")], Refusal::ConnectionOption),
        ("GET", "/", &[host, ("connection", "X-Forwarded-For")], Refusal::ConnectionOption),
        ("POST", "/", &[host, ("transfer-encoding", "gzip, chunked")], Refusal::TransferEncoding),
        ("POST", "/", &[host, ("transfer-encoding", "Chunked")], Refusal::TransferEncoding),
        (
            "POST",
            "/",
            &[host, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            Refusal::TransferEncoding,
        ),
        (
            "POST",
            "/",
            &[host, ("transfer-encoding", "chunked"), ("content-length", "1")],
            Refusal::BodyLength,
        ),
        (
            "POST",
            "/",
            &[host, ("content-length", "1"), ("content-length", "1")],
            Refusal::BodyLength,
        ),
        ("POST", "/", &[host, ("content-length", "1, 1")], Refusal::BodyLength),
        ("POST", "/", &[host, ("content-length", "+1")], Refusal::BodyLength),
        ("POST", "/", &[host, ("expect", "y 100-continue")], Refusal::Expectation),
    ] {
        let request = head(method, target, fields);
        assert_eq!(verdict(&request).err(), Some(refusal), "{method} {target} {fields:?}");
    }
}

#[test]
fn a_plain_head_is_admitted_as_it_was_sent() {
    let request = head("GET", "/a%2Fb//c;d?x=1&y=\\", &[("host", "WWW.a.nl.:8080")]);
    let admitted = verdict(&request).unwrap();
    assert_eq!(admitted.path, "/a%2Fb//c;d");
    assert_eq!(admitted.query.as_deref(), Some("x=1&y=\\"));
    assert_eq!(admitted.host, "www.a.nl");
    assert_eq!(admitted.authority, "WWW.a.nl.:8080");
    assert_eq!(admitted.scheme, "http");
    let same = head("GET", "http://A.nl:80/", &[("host", "a.nl")]);
    assert!(verdict(&same).is_ok(), "the absolute form may name the same host");
}

#[test]
fn a_head_is_bounded_in_fields_and_bytes() {
    let fields = |count: usize| {
        let mut request = head("GET", "/", &[("host", "a.nl")]);
        for _ in 1..count {
            request.headers_mut().append("x", http::HeaderValue::from_static("1"));
        }
        request
    };
    assert!(verdict(&fields(64)).is_ok());
    assert_eq!(verdict(&fields(65)).err(), Some(Refusal::HeadTooLarge));
    let long = head("GET", "/", &[("host", "a.nl"), ("x", &"x".repeat(32 * 1024))]);
    assert_eq!(verdict(&long).err(), Some(Refusal::HeadTooLarge));
}

#[test]
fn only_a_trusted_proxy_is_believed() {
    let fields = [
        ("host", "inner"),
        ("x-forwarded-host", "Shop.example.nl"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "203.0.113.9"),
    ];
    let request = head("GET", "/", &fields);
    let trusted = admit(&request, "10.0.0.1".parse().unwrap(), &config()).unwrap();
    assert_eq!((trusted.scheme, &*trusted.host), ("https", "shop.example.nl"));
    assert_eq!(trusted.authority, "Shop.example.nl");
    assert_eq!(trusted.client.to_string(), "203.0.113.9");
    assert!(trusted.from_trusted_proxy);
    let stranger = verdict(&request).unwrap();
    assert_eq!((stranger.scheme, &*stranger.host), ("http", "inner"));
    assert_eq!(stranger.client.to_string(), "192.0.2.1");
    let bad = head("GET", "/", &[("host", "inner"), ("x-forwarded-host", "a/b")]);
    let refused = admit(&bad, "10.0.0.1".parse().unwrap(), &config()).err();
    assert_eq!(refused, Some(Refusal::HostMalformed));
}

#[test]
fn http2_may_name_the_host_in_the_target_alone() {
    let mut request = head("GET", "http://a.nl/", &[]);
    *request.version_mut() = Version::HTTP_2;
    assert_eq!(verdict(&request).unwrap().host, "a.nl");
}

#[test]
fn paths_to_assets_mean_the_same_after_decoding() {
    let site = |serve| SiteConfig {
        hosts: vec!["*".to_owned()],
        serve,
        assets: Vec::new(),
        public: PublicBase::parse("/").unwrap(),
        rewrite: false,
        pages: Default::default(),
    };
    let storefront = Serve::Storefront { upstream: Url::parse("http://127.0.0.1:1").unwrap() };
    for (serve, path, has_body, verdict) in [
        (Serve::Assets, "/a%2fb", false, Err(Refusal::PathEncoded)),
        (Serve::Assets, "/a%5Cb", false, Err(Refusal::PathEncoded)),
        (Serve::Assets, "/a%00", false, Err(Refusal::PathEncoded)),
        (Serve::Assets, "/a%20b", false, Ok(())),
        (Serve::Release, "/", true, Err(Refusal::BodyUnwelcome)),
        (storefront.clone(), "/_a/x%2Fy", false, Err(Refusal::PathEncoded)),
        (storefront.clone(), "/x%2Fy", true, Ok(())),
    ] {
        let request = head("GET", path, &[("host", "a.nl")]);
        let request = admit(&request, "192.0.2.1".parse().unwrap(), &config()).unwrap();
        assert_eq!(admit_to_site(&site(serve), &request, has_body), verdict, "{path}");
    }
}
