//! One request through the gate to the shield, and the judgement of its answer.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use awning::clock::Clock;
use awning::shield::GatedRequest;
use awning::shield::body::{ResponseBody, empty};
use awning::shield::gate;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Version};
use http_body_util::BodyExt as _;

use super::Stage;
use super::play::{Host, Visit, Wish};
use super::truth::{Asking, Hit};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What the shield says of an answer.
#[derive(Debug)]
struct Said {
    hit: bool,
    forwarded: bool,
    code: bool,
    collapsed: bool,
    ttl: Option<i64>,
    detail: Option<String>,
}

/// What was read of a body.
struct Read {
    bytes: Bytes,
    /// Whether it came to its end.
    whole: bool,
}

impl Stage {
    /// Performs a visit and judges what comes of it.
    pub(crate) async fn visit(&self, visit: &Visit) {
        let number = self.next_visit();
        let of_upstream =
            matches!(visit.host, Host::Shop | Host::Loud | Host::Other) && visit.path < 192;
        let of_shop = !matches!(visit.host, Host::Assets | Host::Release);
        let target = match of_upstream {
            true => visit.target().to_owned(),
            false => self.published.name(visit.path, of_shop),
        };
        let Some(gated) = self.admitted(&request(visit, number, &target)) else { return };
        let purges = self.truth.facts().purges;
        // An upstream hears names of hosts in lower case.
        let host = gated.authority.to_ascii_lowercase();
        let now = Clock::Manual(self.clock.clone()).now();
        let asking = Asking {
            visit: number,
            floor: self.truth.floor(&host, &gated.target()),
            host,
            target: gated.target(),
            kind: first(&gated.headers, "x-kind"),
            htmx: gated.headers.contains_key("hx-request"),
            purges,
        };
        let (head, body) = self.shield().respond_to(gated, empty()).await.into_parts();
        let said = Said::of(&head.headers);
        let reads_body =
            visit.method() != "HEAD" && !matches!(head.status.as_u16(), 204 | 304 | 416);
        // Who got another method through has changed what was there.
        if of_upstream {
            self.assert_forwarded(visit, &asking, &said);
            self.assert_age(visit, &asking, &said, &head.headers, now);
            self.note_change(visit, &asking, head.status, &head.headers);
        }
        let read = read(body, visit.leaves).await;
        if !reads_body {
            // hyper keeps the words of an error from who asked for a head alone.
            let silent = matches!(head.status.as_u16(), 204 | 304);
            assert!(!silent || read.bytes.is_empty(), "{}: {:?}", head.status, read.bytes);
            return;
        }
        assert_length(&head.headers, &read);
        match of_upstream {
            true => self.assert_page(&asking, head.status, &head.headers, &read),
            false => self.assert_asset(&target, head.status, &head.headers, &read),
        }
    }

    fn admitted(&self, request: &Request<()>) -> Option<GatedRequest> {
        let admitted = gate::admit(request, PEER, &self.config).and_then(|gated| {
            let mut sites = self.config.sites.iter();
            let site = sites.find(|site| site.hosts.contains(&gated.host));
            site.map_or(Ok(()), |site| gate::admit_to_site(site, &gated, false)).map(|()| gated)
        });
        match admitted {
            Ok(gated) => Some(gated),
            Err(refusal) => {
                Said::of(refusal.response(Version::HTTP_11).headers());
                None
            }
        }
    }

    fn assert_forwarded(&self, visit: &Visit, asking: &Asking, said: &Said) {
        let asked = self.truth.asked_for(asking.visit);
        let behind = said.detail.as_deref() == Some("stale-while-revalidate");
        assert!(!said.hit || behind || asked == 0, "{said:?}, and {asked} requests for {asking:?}");
        let told = said.forwarded && said.code && !said.collapsed;
        assert!(!told || asked > 0, "{said:?}, and no request for {asking:?}");
        assert!(!said.hit || said.detail.is_some() || said.ttl >= Some(0), "{said:?}");
        let wishes: Vec<&Wish> = visit.wishes().collect();
        let only_cached = wishes.iter().any(|wish| matches!(wish, Wish::OnlyIfCached));
        let cookie = wishes.iter().any(|wish| matches!(wish, Wish::Cookie)) && !self.rfc;
        let reads = ["GET", "HEAD"].contains(&visit.method());
        assert!(!(only_cached && reads && !cookie) || asked == 0, "{said:?} for {visit:?}");
    }

    fn assert_age(
        &self,
        visit: &Visit,
        asking: &Asking,
        said: &Said,
        fields: &HeaderMap,
        now: SystemTime,
    ) {
        let Some(serial) = serial(fields).filter(|_| said.hit) else { return };
        let stales = visit.wishes().filter_map(|wish| match wish {
            Wish::MaxStale(limit) => Some(*limit),
            _ => None,
        });
        let stales: Vec<Option<u8>> = stales.collect();
        let longest = stales.iter().flatten().max().copied().unwrap_or_default();
        let any = stales.contains(&None);
        let hit = Hit {
            now,
            age: first(fields, "age").and_then(|age| age.parse().ok()),
            detail: said.detail.as_deref(),
            max_stale: (!any).then_some(Duration::from_secs(u64::from(longest))),
        };
        self.truth.assert_age(serial, asking, &hit);
    }

    fn note_change(&self, visit: &Visit, asking: &Asking, code: StatusCode, fields: &HeaderMap) {
        if ["POST", "DELETE"].contains(&visit.method())
            && code.is_success()
            && let Some(serial) = serial(fields)
        {
            self.truth.changed(&asking.host, &asking.target, serial);
        }
        if let Some(serial) = serial(fields) {
            self.truth.assert_fields(serial, asking);
        }
    }

    fn assert_page(&self, asking: &Asking, code: StatusCode, fields: &HeaderMap, read: &Read) {
        if serial(fields).is_none() {
            let marked = read.bytes.windows(2).any(|pair| pair == b"|s");
            return assert!(!marked, "an answer of awning's own: {:?}", read.bytes);
        }
        let range = first(fields, "content-range").filter(|_| code == StatusCode::PARTIAL_CONTENT);
        let (start, size) = match range {
            None => {
                assert_ne!(code, StatusCode::PARTIAL_CONTENT, "which part? {fields:?}");
                (0, None)
            }
            Some(range) => {
                let (start, end, size) = content_range(&range);
                assert!(!read.whole || read.bytes.len() == end - start, "{range}");
                (start, Some(size))
            }
        };
        self.truth.assert_body(&read.bytes, start, size, read.whole, asking);
    }

    /// The bytes of an asset are those that were published, in any coding.
    fn assert_asset(&self, target: &str, code: StatusCode, fields: &HeaderMap, read: &Read) {
        let Some(content) = self.published.names.get(target) else {
            return assert!(!code.is_success(), "{code} for what nobody published: {target}");
        };
        let coding = first(fields, "content-encoding");
        match (code.as_u16(), coding.as_deref()) {
            (200, None) => {
                assert!(content.starts_with(&read.bytes), "{target}");
                assert!(!read.whole || read.bytes == *content, "{target} is cut off");
            }
            (200, Some(coding)) if read.whole => {
                assert_eq!(decoded(coding, &read.bytes), *content, "{target} in {coding}");
            }
            (206, None) => {
                let Some(range) = first(fields, "content-range") else { return };
                let (start, end, size) = content_range(&range);
                assert_eq!(size, content.len(), "{target}");
                assert!(content[start..end].starts_with(&read.bytes), "{target}: {range}");
                assert!(!read.whole || read.bytes.len() == end - start, "{target}: {range}");
            }
            _ => {}
        }
    }
}

impl Said {
    /// Reads what the shield says, which it says of every answer.
    fn of(fields: &HeaderMap) -> Self {
        let lines: Vec<&str> =
            fields.get_all("cache-status").iter().filter_map(|line| line.to_str().ok()).collect();
        assert_eq!(lines.len(), 1, "no cache but this one said anything: {fields:?}");
        let mut words = lines[0].split("; ");
        assert_eq!(words.next(), Some("awning"));
        let words: Vec<&str> = words.collect();
        let value =
            |name: &str| words.iter().find_map(|word| word.strip_prefix(name)).map(str::to_owned);
        let said = Self {
            hit: words.contains(&"hit"),
            forwarded: value("fwd=").is_some(),
            code: value("fwd-status=").is_some(),
            collapsed: words.contains(&"collapsed"),
            ttl: value("ttl=").and_then(|ttl| ttl.parse().ok()),
            detail: value("detail="),
        };
        assert!(!(said.hit && said.forwarded), "{lines:?}");
        said
    }
}

fn request(visit: &Visit, number: u32, target: &str) -> Request<()> {
    let mut request = Request::builder()
        .method(visit.method())
        .uri(target)
        .header("host", visit.host.name())
        .header("x-visit", number.to_string());
    for (name, value) in visit.wishes().map(|wish| wish.field(number)) {
        request = request.header(name, value);
    }
    request.body(()).expect("it is well formed")
}

async fn read(mut body: ResponseBody, leaves: Option<u8>) -> Read {
    let mut bytes = Vec::new();
    let mut frames = leaves.map(|frames| usize::from(frames) % 4);
    loop {
        if frames == Some(0) {
            return Read { bytes: bytes.into(), whole: false };
        }
        frames = frames.map(|frames| frames - 1);
        match body.frame().await {
            Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            Some(Err(_)) => return Read { bytes: bytes.into(), whole: false },
            None => return Read { bytes: bytes.into(), whole: true },
        }
    }
}

fn assert_length(fields: &HeaderMap, read: &Read) {
    let Some(length) = first(fields, "content-length") else { return };
    let length: usize = length.parse().expect("a length is a number");
    let fits = if read.whole { read.bytes.len() == length } else { read.bytes.len() <= length };
    assert!(fits, "{} of {length} bytes, whole: {}", read.bytes.len(), read.whole);
}

/// The first position, the one behind the last, and the size of the whole.
fn content_range(text: &str) -> (usize, usize, usize) {
    let parts = text.strip_prefix("bytes ").and_then(|rest| rest.split_once('/'));
    let (range, size) = parts.expect("a range and a size");
    let (start, last) = range.split_once('-').expect("two positions");
    let number = |text: &str| text.parse::<usize>().expect("a number");
    (number(start), number(last) + 1, number(size))
}

fn decoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    match coding {
        "br" => {
            brotli::Decompressor::new(bytes, 4096).read_to_end(&mut decoded).expect("Brotli");
        }
        "zstd" => decoded = zstd::stream::decode_all(bytes).expect("Zstandard"),
        coding => panic!("nobody makes {coding} here"),
    }
    decoded
}

fn serial(fields: &HeaderMap) -> Option<u32> {
    first(fields, "x-serial").and_then(|serial| serial.parse().ok())
}

fn first(fields: &HeaderMap, name: &str) -> Option<String> {
    fields.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
