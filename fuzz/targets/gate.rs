//! A connection's bytes through framing, hyper, gate and cache key.
//!
//! The input is what a client sends. Framing, httparse and hyper must agree
//! where each head begins and ends, however the bytes are cut; and what is
//! forwarded under equal cache keys must be the same.
#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use awning::rewrite::PublicBase;
use awning::shield::config::{Config, Limits, Serve, SiteConfig};
use awning::shield::fuzzing::{Admitted, Framed, Served, framed, served};
use http::header::HOST;
use http::{HeaderMap, Uri};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Builder;
use url::Url;

/// Fields that no visitor may put before an upstream.
const NEVER: &str = "client-ip forwarded front-end-https http2-settings keep-alive proxy \
     proxy-authorization proxy-connection transfer-encoding true-client-ip upgrade x-host \
     x-original-host x-original-url x-py4web-appname x-rewrite-url x-script-name x-url-scheme";
/// Fields that are the shield's own, so each is there once.
const ONCE: [&str; 5] =
    ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

fuzz_target!(|bytes: &[u8]| {
    let mark = mark_of(bytes);
    let config = Arc::new(config(mark & 1 == 1));
    let cuts = cuts(bytes.len(), mark);
    let whole = framed(bytes, &[], &config.limits);
    assert_eq!(whole, framed(bytes, &cuts, &config.limits), "it depends on the cuts {cuts:?}");
    whole.heads.iter().for_each(|head| assert_one_head(head));
    // Its clock stands still while anything happens, so no input waits.
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let served = runtime.expect("a runtime").block_on(served(bytes, &cuts, &config));
    if !whole.through {
        assert_same_requests(bytes, &whole, &served);
        assert_answers(&whole, &served, may_end(bytes));
    }
    let admitted: Vec<&Admitted> =
        served.seen.iter().filter_map(|seen| seen.admitted.as_ref().ok()).collect();
    admitted.iter().for_each(|admitted| assert_clean(admitted));
    assert_equal_under_equal_keys(&admitted);
});

/// The same for all that reads a head as RFC 9112 has it.
fn assert_one_head(head: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let parsed = httparse::Request::new(&mut fields).parse(head);
    assert_eq!(parsed, Ok(httparse::Status::Complete(head.len())), "{:?}", text(head));
}

fn assert_same_requests(bytes: &[u8], framed: &Framed, served: &Served) {
    let lines: Vec<String> = framed.heads.iter().map(|head| line_of(head)).collect();
    let seen: Vec<String> =
        served.seen.iter().map(|seen| format!("{} {}", seen.method, seen.uri)).collect();
    assert!(lines.starts_with(&seen), "{:?}: {lines:?} is not {seen:?}", text(bytes));
    assert!(
        may_end(bytes) || lines.len() == seen.len(),
        "{:?}: {lines:?} is more than {seen:?}",
        text(bytes)
    );
}

/// Every answer is awning's own, never a bare status of hyper's; and a head
/// that is refused has the answer that says so.
fn assert_answers(framed: &Framed, served: &Served, may_end: bool) {
    let answers = text(&served.answers);
    for answer in answers.split("HTTP/1.").skip(1) {
        let known = ["1 200", "0 200", "1 100"].iter().any(|known| answer.starts_with(known));
        assert!(known || answer.contains("cache-status: awning"), "{answers}");
    }
    if let (Some(refusal), false, false) = (framed.refused, framed.broken, may_end) {
        let status = format!(" {} ", refusal.status().as_u16());
        assert!(answers.contains(&status), "{refusal:?}: {answers}");
    }
}

/// Whether a client may have asked for the end of its connection.
fn may_end(bytes: &[u8]) -> bool {
    let text = text(bytes).to_ascii_lowercase();
    // hyper takes fewer trailers than the framing does, and ends over more.
    let trailers = text.contains("chunked") && text.matches('\n').count() > 30;
    text.contains("close") || text.contains("http/1.0") || trailers
}

fn assert_clean(Admitted { request, forwarded, .. }: &Admitted) {
    let target = request.target();
    let graphic = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    assert!(target.starts_with('/') && !target.starts_with("//") && graphic, "{target:?}");
    assert_eq!(request.host, request.host.to_ascii_lowercase());
    for name in ONCE {
        assert_eq!(forwarded.get_all(name).iter().count(), 1, "{name} in {forwarded:?}");
    }
    for name in forwarded.keys() {
        let spelled = name.as_str().replace('_', "-");
        assert!(!NEVER.split_whitespace().any(|never| never == spelled), "{name}");
        let own = ONCE.contains(&name.as_str());
        let by_proxy = ["x-forwarded-port", "x-forwarded-prefix", "x-forwarded-server"];
        let believed = request.from_trusted_proxy && by_proxy.contains(&name.as_str());
        assert!(own || believed || !spelled.starts_with("x-forwarded"), "{name}");
        assert!(own || spelled != "host", "{name}");
    }
    assert!(forwarded.get("connection").is_none_or(|value| value == "te"));
}

/// What an upstream answers by, besides the fields that `Vary` names.
fn assert_equal_under_equal_keys(admitted: &[&Admitted]) {
    let mut known = BTreeMap::new();
    for Admitted { request, key, forwarded } in admitted {
        let told = (request.target(), own(forwarded));
        let first = known.entry(key).or_insert_with(|| told.clone());
        assert_eq!(*first, told, "under the key {key}");
    }
}

fn own(forwarded: &HeaderMap) -> Vec<String> {
    let names = [HOST.as_str(), "x-forwarded-host", "x-forwarded-proto"];
    names.iter().map(|name| format!("{name}: {:?}", forwarded.get(*name))).collect()
}

/// The method and the target of a head, as hyper shows them.
fn line_of(head: &[u8]) -> String {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let target = Uri::try_from(target).map_or_else(|_| text(target), |uri| uri.to_string());
    format!("{} {target}", text(method))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A number that depends on every byte.
fn mark_of(bytes: &[u8]) -> u64 {
    let step = |mark: u64, byte: &u8| (mark ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step) >> 7
}

/// Up to three places at which the bytes are cut.
fn cuts(length: usize, mark: u64) -> Vec<usize> {
    let place = |shift: u32| (mark >> shift) as usize % (length + 1);
    let mut cuts: Vec<usize> = [4, 20, 36].into_iter().take(mark as usize & 3).map(place).collect();
    cuts.sort_unstable();
    cuts
}

/// One storefront for every host, with limits that an input can reach.
fn config(trusts: bool) -> Config {
    let site = SiteConfig {
        hosts: vec!["*".to_owned()],
        serve: Serve::Storefront { upstream: Url::parse("http://127.0.0.1:9").unwrap() },
        assets: Vec::new(),
        public: PublicBase::parse("https://cdn.nl").unwrap(),
        rewrite: false,
        pages: Default::default(),
    };
    let limits = Limits {
        header_fields_max: 16,
        head_bytes_max: 1024,
        head_timeout: Duration::from_secs(5),
        ..Limits::standard()
    };
    let trusted_proxies = if trusts { vec!["127.0.0.0/8".parse().unwrap()] } else { Vec::new() };
    Config { sites: vec![site], memory_bytes_max: 1 << 20, disk: None, trusted_proxies, limits }
}
