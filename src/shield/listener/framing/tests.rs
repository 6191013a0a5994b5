//! The framing by itself, on bytes however they are cut.

use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes_max: 1024, fields_max: 8 };

/// What became of a connection's bytes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Read {
    /// The request lines that went on.
    pub(crate) heads: Vec<String>,
    /// All bytes that went on.
    passed: Vec<u8>,
    pub(crate) refused: Option<Refusal>,
    pub(crate) broken: bool,
}

/// Frames `bytes`, which come in pieces that end at `cuts`.
pub(crate) fn read(bytes: &[u8], cuts: &[usize], limits: HeadLimits) -> Read {
    let mut framing = Framing::new(limits);
    let mut result = Read::default();
    let mut from = 0;
    for end in cuts.iter().copied().chain([bytes.len()]) {
        while from < end {
            let before_head = matches!(framing.at, At::Opening | At::Head(_));
            match framing.step(&bytes[from..end]) {
                Step::Pass(count) => {
                    let passed = &bytes[from..from + count];
                    if before_head && passed != b"\r\n" {
                        let line = passed.split(|byte| *byte == b'\r').next().unwrap();
                        result.heads.push(String::from_utf8(line.to_vec()).unwrap());
                    }
                    result.passed.extend(passed);
                    from += count;
                }
                Step::More => break,
                Step::Ask => framing.answered(false),
                Step::Refuse(refusal) => {
                    result.refused = Some(refusal);
                    return result;
                }
                Step::Break | Step::Flood => {
                    result.broken = true;
                    return result;
                }
            }
        }
    }
    result
}

#[test]
fn heads_that_read_in_two_ways_are_refused_wherever_their_bytes_are_cut() {
    let large = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1024));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: 1\r\n".repeat(9));
    for (head, refusal) in [
        ("GET / HTTP/1.1\nHost: a\n\n", Refusal::HeadMalformed),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", Refusal::HeadMalformed),
        ("GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", Refusal::HeadMalformed),
        ("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", Refusal::HeadMalformed),
        ("GET / HTTP/1.1\r\nX: a\x07b\r\n\r\n", Refusal::HeadMalformed),
        ("GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", Refusal::HeadMalformed),
        ("GET / HTTP/1.1\r\n X: a\r\n\r\n", Refusal::HeadMalformed),
        ("GET / HTTP/1.1\r\nX : a\r\n\r\n", Refusal::HeadMalformed),
        ("GET / HTTP/1.1\r\n: a\r\n\r\n", Refusal::HeadMalformed),
        ("GET / HTTP/1.1\r\nX\r\n\r\n", Refusal::HeadMalformed),
        ("GET / HTTP/1.1\r\nTransfer-Encoding\x0b: chunked\r\n\r\n", Refusal::HeadMalformed),
        ("GET  / HTTP/1.1\r\n\r\n", Refusal::HeadMalformed),
        ("GET /a b HTTP/1.1\r\n\r\n", Refusal::HeadMalformed),
        ("GET /\r\n\r\n", Refusal::HeadMalformed),
        ("G@T / HTTP/1.1\r\n\r\n", Refusal::HeadMalformed),
        ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", Refusal::HeadMalformed),
        ("\rGET / HTTP/1.1\r\n\r\n", Refusal::HeadMalformed),
        ("\nGET / HTTP/1.1\r\n\r\n", Refusal::HeadMalformed),
        ("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", Refusal::Version),
        ("GET / HTTP/1.2\r\n\r\n", Refusal::Version),
        ("GET / HTTP/0.9\r\n\r\n", Refusal::Version),
        ("GET /a#b HTTP/1.1\r\n\r\n", Refusal::TargetMalformed),
        ("GET http://a/#b HTTP/1.1\r\n\r\n", Refusal::TargetMalformed),
        ("GET http://a b/ HTTP/1.1\r\n\r\n", Refusal::HeadMalformed),
        ("GET /<a> HTTP/1.1\r\n\r\n", Refusal::TargetMalformed),
        ("GET /caf\u{e9} HTTP/1.1\r\n\r\n", Refusal::TargetMalformed),
        ("GET * HTTP/1.1\r\n\r\n", Refusal::TargetForm),
        ("GET a:80 HTTP/1.1\r\n\r\n", Refusal::TargetForm),
        ("CONNECT a:80 HTTP/1.1\r\n\r\n", Refusal::MethodForbidden),
        ("P / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n", Refusal::BodyLength),
        ("P / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", Refusal::BodyLength),
        ("P / HTTP/1.1\r\nContent-Length:\r\n\r\n", Refusal::BodyLength),
        ("P / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n", Refusal::BodyLength),
        (
            "P / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            Refusal::BodyLength,
        ),
        (
            "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            Refusal::BodyLength,
        ),
        ("P / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Refusal::TransferEncoding),
        ("P / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n", Refusal::TransferEncoding),
        ("P / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::TransferEncoding),
        (
            "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            Refusal::TransferEncoding,
        ),
        (&*large, Refusal::HeadTooLarge),
        (&*many, Refusal::HeadTooLarge),
    ] {
        let shown = &head[..head.len().min(60)];
        for cut in 0..=head.len() {
            let found = read(head.as_bytes(), &[cut], LIMITS);
            assert_eq!(found.refused, Some(refusal), "{shown:?} cut at {cut}");
            assert_eq!(found.heads, [""; 0], "{shown:?} cut at {cut}");
        }
    }
}

#[test]
fn messages_end_where_their_heads_say() {
    let stream = "\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
                  POST /2 HTTP/1.1\r\nContent-Length: 16\r\n\r\nGET /no HTTP/1.1\
                  POST /3 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                  5;x=y\r\nGET /\r\n0\r\nX: y\r\n\r\n\
                  GET /4 HTTP/1.1\r\nUpgrade: h2c\r\n\r\n\
                  GET /5 HTTP/1.0\r\nContent-Length: 0\r\n\r\n\r\n\
                  GET http://a/6 HTTP/1.1\r\n\r\n";
    let whole = read(stream.as_bytes(), &[], LIMITS);
    let lines: Vec<_> = whole.heads.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(lines, ["/1", "/2", "/3", "/4", "/5", "http://a/6"]);
    assert_eq!(whole.passed, stream.as_bytes());
    for cut in 0..=stream.len() {
        assert_eq!(read(stream.as_bytes(), &[cut], LIMITS), whole, "cut at {cut}");
    }
}

#[test]
fn http2_and_what_follows_an_upgrade_pass_untouched() {
    let mut stream = PREFACE.to_vec();
    stream.extend(b"\0\n\0anything");
    for cut in 0..=stream.len() {
        assert_eq!(read(&stream, &[cut], LIMITS).passed, stream, "cut at {cut}");
    }
    let mut framing = Framing::new(LIMITS);
    let head = b"GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n";
    assert_eq!(framing.step(head), Step::Pass(head.len()));
    assert_eq!(framing.step(b"\n\n"), Step::Ask);
    framing.answered(true);
    assert_eq!(framing.step(b"\n\n"), Step::Pass(2));
}

/// Pieces of requests, good and bad, of which streams are made.
pub(crate) const FRAGMENTS: &[&str] = &[
    "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /b?c=\"<\" HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD /d HTTP/1.1\r\nhost:a\r\nX-Y:\t z \r\n\r\n",
    "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    "POST /f HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "5\r\nGET /\r\n",
    "1;x=\"y\"\r\na\r\n",
    "0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "hello",
    "\r\n",
    "\n",
    "\r",
    " ",
    ":",
    "GET /g HTTP/1.1\nHost: a\n\n",
    "POST /h HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    "POST /i HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET /j#k HTTP/1.1\r\nHost: a\r\n\r\n",
    "Host: a\r\n",
    "GET /l HTTP/1.1\r\n",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "PRI * HTTP/2.0\r\n\r\n",
    "\0",
    "\u{e9}",
];

proptest! {
    #[test]
    fn where_bytes_are_cut_changes_nothing(
        fragments in prop::collection::vec(prop::sample::select(FRAGMENTS), 1..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let stream = fragments.concat().into_bytes();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        let (whole, cut) = (read(&stream, &[], LIMITS), read(&stream, &cuts, LIMITS));
        prop_assert_eq!(whole, cut);
    }
}
