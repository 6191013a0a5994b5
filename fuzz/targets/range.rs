//! `Range` and `Content-Range`: which bytes are selected, and the body that
//! holds several parts of a representation.
//!
//! The input is the size of the representation on a line, then the field.
#![no_main]

use awning::semantics::partial::{ContentRange, Parts};
use awning::semantics::range::{RANGES_MAX, Selection, Span, select};
use awning::shield::fuzzing::multipart;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

/// Largest representation that is made, to see its parts.
const MADE_MAX: u64 = 4096;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let (size, field) = text.split_once('\n').unwrap_or(("1000", &text));
    let size = size.trim().parse().unwrap_or(size.len() as u64);
    let spans = match select(field, size) {
        Selection::Whole | Selection::Unsatisfiable => Vec::new(),
        Selection::Part(first, last) => vec![(first, last)],
        Selection::Parts(spans) => {
            assert!((2..=RANGES_MAX).contains(&spans.len()), "{spans:?}");
            spans
        }
    };
    assert_apart_and_within(&spans, size);
    assert_same_in_any_space(field, size);
    if size <= MADE_MAX {
        assert_asked_for(field, size, &spans);
        if spans.len() > 1 {
            assert_reassembles(&spans, size);
        }
    }
    content_range(field);
});

fn assert_apart_and_within(spans: &[Span], size: u64) {
    let mut sum = 0_u128;
    for (at, (first, last)) in spans.iter().enumerate() {
        assert!(first <= last && *last < size, "{spans:?} of {size}");
        sum += u128::from(last - first) + 1;
        for (other_first, other_last) in &spans[..at] {
            let apart = *last < *other_first && last + 1 < *other_first
                || *other_last < *first && other_last + 1 < *first;
            assert!(apart, "{spans:?}");
        }
    }
    assert!(sum <= u128::from(size), "{spans:?} of {size}");
}

/// Space around a member and empty members say nothing (RFC 9110 §5.6.1).
fn assert_same_in_any_space(field: &str, size: u64) {
    let spaced = field.replace(',', " ,\t, ");
    assert_eq!(select(&spaced, size), select(field, size), "{field:?}");
}

/// Each byte that is sent was asked for by one of the ranges, read here in the
/// plainest way: digits, a hyphen, digits.
fn assert_asked_for(field: &str, size: u64, spans: &[Span]) {
    let members: Vec<&str> =
        field.split(['=', ',']).skip(1).map(|text| text.trim_matches([' ', '\t'])).collect();
    let asked = |at: u64| members.iter().any(|member| holds(member, size, at));
    for (first, last) in spans {
        for at in *first..=*last {
            assert!(asked(at), "{at} of {size} is not in {field:?}");
        }
    }
}

fn holds(member: &str, size: u64, at: u64) -> bool {
    let Some((first, last)) = member.split_once('-') else { return false };
    let number = |text: &str| text.parse::<u128>().unwrap_or(u128::MAX);
    let at = u128::from(at);
    match (first, last) {
        ("", count) => at >= u128::from(size).saturating_sub(number(count)),
        (first, "") => at >= number(first),
        (first, last) => (number(first)..=number(last)).contains(&at),
    }
}

fn assert_reassembles(spans: &[Span], size: u64) {
    let content: Vec<u8> =
        (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 7) as u8).collect();
    let content = Bytes::from(content);
    let (kind, length, body) = multipart("\"a\"", &content, spans).expect("it is all at hand");
    assert_eq!(length, body.len() as u64, "the announced length");
    let kind = kind.to_str().expect("a type is text");
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").expect("the type");
    let mut rest = &body[..];
    for span in spans {
        let (first, last) = (span.0 as usize, span.1 as usize);
        rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
        let head = format!("--{boundary}\r\nContent-Range: bytes {first}-{last}/{size}\r\n\r\n");
        rest = rest.strip_prefix(head.as_bytes()).expect("the head of a part");
        rest = rest.strip_prefix(&content[first..=last]).expect("the bytes of a part");
    }
    assert_eq!(rest, format!("\r\n--{boundary}--\r\n").as_bytes());
}

/// What is read is valid, and reads the same once it is written.
fn content_range(field: &str) {
    let mut parts = Parts::default();
    for text in field.split(';') {
        let Some(range) = ContentRange::parse(text) else { continue };
        assert!(range.first <= range.last, "{range:?}");
        assert!(range.complete.is_none_or(|complete| range.last < complete), "{range:?}");
        let written = range.to_header();
        let again = written.to_str().ok().and_then(ContentRange::parse);
        assert_eq!(again, Some(range), "{written:?}");
        if parts.add(range) {
            assert!(parts.contain(range.first, range.last), "{parts:?} and {range:?}");
        }
        let ranges = parts.ranges();
        let apart = ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0);
        assert!(apart && ranges.iter().all(|(first, last)| first <= last), "{parts:?}");
    }
}
