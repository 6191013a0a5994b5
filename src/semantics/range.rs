//! Which bytes a `Range` field selects (RFC 9110 §14).
//!
//! A field that is not understood selects the whole, and so does one that asks
//! for more ranges, or for more bytes in sum, than a client has use for: §14.2
//! lets a server ignore those, and an answer is never much larger than the
//! whole would be.

/// Most ranges that one field may ask for.
pub const RANGES_MAX: usize = 16;

/// The first and the last offset of some bytes, both included.
pub type Span = (u64, u64);

/// The bytes to send of a representation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Selection {
    /// All of them.
    Whole,
    /// From the first offset to the last, both included.
    Part(u64, u64),
    /// Two to [`RANGES_MAX`] parts, in the order in which they were asked for.
    /// No two of them overlap or touch.
    Parts(Vec<Span>),
    /// None of the bytes asked for exists: 416.
    Unsatisfiable,
}

/// The bytes that `field` selects of a representation of `size` bytes.
pub fn select(field: &str, size: u64) -> Selection {
    let Some(asked) = ranges(field) else { return Selection::Whole };
    // What has no last byte can still be sent whole to who asks for its end
    // (§14.1.2): 206 has no words for that.
    if size == 0 && asked.iter().any(|range| matches!(range, Range::Last(1..))) {
        return Selection::Whole;
    }
    let spans: Vec<Span> = asked.iter().filter_map(|range| range.of(size)).collect();
    let bytes = spans.iter().map(|(first, last)| u128::from(last - first) + 1);
    if bytes.sum::<u128>() > u128::from(size) {
        return Selection::Whole;
    }
    let coalesced = coalesce(spans);
    match coalesced[..] {
        [] => Selection::Unsatisfiable,
        [(first, last)] => Selection::Part(first, last),
        _ => Selection::Parts(coalesced),
    }
}

/// One range as it was asked for.
#[derive(Clone, Copy, Debug)]
enum Range {
    /// `first-last` and `first-`.
    From(u64, Option<u64>),
    /// `-count`.
    Last(u64),
}

/// The ranges of a well-formed field in bytes, at most [`RANGES_MAX`] of them.
fn ranges(field: &str) -> Option<Vec<Range>> {
    let (unit, set) = field.split_once('=')?;
    if !unit.trim_matches(WHITESPACE).eq_ignore_ascii_case("bytes") {
        return None;
    }
    let members = set.split(',').map(|member| member.trim_matches(WHITESPACE));
    // A recipient ignores empty members of a list (§5.6.1.2).
    let mut members = members.filter(|member| !member.is_empty());
    let ranges: Vec<Range> =
        members.by_ref().take(RANGES_MAX).map(Range::parse).collect::<Option<_>>()?;
    let fits = !ranges.is_empty() && members.next().is_none();
    fits.then_some(ranges)
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        match (position(first)?, position(last)?) {
            (None, count) => count.map(Range::Last),
            (Some(first), Some(last)) if last < first => None,
            (Some(first), last) => Some(Range::From(first, last)),
        }
    }

    /// Its bytes of `size`, if there are any.
    fn of(self, size: u64) -> Option<Span> {
        let end = size.checked_sub(1)?;
        match self {
            Range::From(first, _) if first > end => None,
            Range::From(first, last) => Some((first, last.unwrap_or(end).min(end))),
            Range::Last(0) => None,
            Range::Last(count) => Some((size.saturating_sub(count), end)),
        }
    }
}

/// Makes one of those that overlap or touch, in the place of the first of them.
fn coalesce(spans: Vec<Span>) -> Vec<Span> {
    let mut apart: Vec<Span> = Vec::with_capacity(spans.len());
    for mut span in spans {
        let mut place = apart.len();
        // It may close the gap between others.
        while let Some(at) = apart.iter().position(|other| touches(*other, span)) {
            let other = apart.remove(at);
            span = (span.0.min(other.0), span.1.max(other.1));
            place = place.min(at);
        }
        apart.insert(place.min(apart.len()), span);
    }
    apart
}

fn touches(one: Span, other: Span) -> bool {
    one.0 <= other.1.saturating_add(1) && other.0 <= one.1.saturating_add(1)
}

/// Digits, or nothing. A number past 2^64 is past the end of anything.
fn position(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

const WHITESPACE: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_range_selects_its_bytes_and_what_is_malformed_the_whole() {
        let table = [
            ("bytes=0-4", Selection::Part(0, 4)),
            ("bytes=9-", Selection::Part(9, 9)),
            ("bytes=0-", Selection::Part(0, 9)),
            ("BYTES=2-99", Selection::Part(2, 9)),
            ("bytes = 2-3 ", Selection::Part(2, 3)),
            ("bytes=-3", Selection::Part(7, 9)),
            ("bytes=-99", Selection::Part(0, 9)),
            ("bytes=0-99999999999999999999999", Selection::Part(0, 9)),
            ("bytes=10-", Selection::Unsatisfiable),
            ("bytes=99999999999999999999999-", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=5-4", Selection::Whole),
            ("bytes=-", Selection::Whole),
            ("bytes=--1", Selection::Whole),
            ("bytes=0--1", Selection::Whole),
            ("bytes=a-b", Selection::Whole),
            ("bytes=+1-2", Selection::Whole),
            ("bytes=1 - 2", Selection::Whole),
            ("bytes=", Selection::Whole),
            ("bytes=,", Selection::Whole),
            ("bytes", Selection::Whole),
            ("items=0-1", Selection::Whole),
            ("", Selection::Whole),
        ];
        for (field, expected) in table {
            assert_eq!(select(field, 10), expected, "{field:?}");
        }
    }

    #[test]
    fn several_ranges_keep_their_order_and_coalesce_where_they_touch() {
        let parts = |spans: &[Span]| Selection::Parts(spans.to_vec());
        let table = [
            ("bytes=0-0,9-9", parts(&[(0, 0), (9, 9)])),
            ("bytes=-1,0-0", parts(&[(9, 9), (0, 0)])),
            ("bytes=0-0, ,\t-1,", parts(&[(0, 0), (9, 9)])),
            ("bytes=0-1,2-3", Selection::Part(0, 3)),
            ("bytes=0-3,2-5", Selection::Part(0, 5)),
            ("bytes=2-3,0-1", Selection::Part(0, 3)),
            ("bytes=0-0,9-9,1-1", parts(&[(0, 1), (9, 9)])),
            ("bytes=6-7,0-1,4-5", parts(&[(4, 7), (0, 1)])),
            // The last one closes the gap between the two before.
            ("bytes=4-5,9-9,0-1,2-3", parts(&[(0, 5), (9, 9)])),
            ("bytes=0-0,50-60", Selection::Part(0, 0)),
            ("bytes=-0,3-3", Selection::Part(3, 3)),
            ("bytes=10-,-0,99-100", Selection::Unsatisfiable),
            ("bytes=0-0,x", Selection::Whole),
            ("bytes=0-0,5-4", Selection::Whole),
        ];
        for (field, expected) in table {
            assert_eq!(select(field, 10), expected, "{field:?}");
        }
    }

    #[test]
    fn whoever_asks_for_more_than_there_is_gets_the_whole() {
        let each = |count: u64, range: &dyn Fn(u64) -> String| {
            let ranges: Vec<String> = (0..count).map(range).collect();
            format!("bytes={}", ranges.join(","))
        };
        let one_byte = |n: u64| format!("{}-{}", 2 * n, 2 * n);
        let Selection::Parts(parts) = select(&each(16, &one_byte), 1000) else {
            panic!("16 ranges are honoured")
        };
        assert_eq!(parts.len(), RANGES_MAX);
        let table = [
            each(17, &one_byte),
            each(10_000, &one_byte),
            each(1300, &|n| format!("{n}-")),
            each(2, &|_| "0-".into()),
            each(16, &|_| "0-".into()),
            "bytes=0-600,400-999".into(),
            "bytes=0-99999999999999999999999,0-99999999999999999999999".into(),
        ];
        for field in table {
            assert_eq!(select(&field, 1000), Selection::Whole, "{field}");
        }
        assert_eq!(select("bytes=0-,0-", u64::MAX), Selection::Whole);
    }

    /// §14.1.2: a range at the end of nothing is satisfiable, and all of it.
    #[test]
    fn nothing_has_no_part() {
        let table = [
            ("bytes=0-", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=0-0,4-", Selection::Unsatisfiable),
            ("bytes=-1", Selection::Whole),
            ("bytes=0-,-1", Selection::Whole),
            ("lines=1-2", Selection::Whole),
        ];
        for (field, expected) in table {
            assert_eq!(select(field, 0), expected, "{field:?}");
        }
    }

    fn field() -> impl Strategy<Value = (String, u64)> {
        let range = prop_oneof![
            (0_u64..40, 0_u64..40).prop_map(|(first, count)| format!("{first}-{}", first + count)),
            (0_u64..40).prop_map(|first| format!("{first}-")),
            (0_u64..40).prop_map(|count| format!("-{count}")),
        ];
        (vec(range, 1..20), 0_u64..200)
            .prop_map(|(ranges, size)| (format!("bytes={}", ranges.join(", ")), size))
    }

    proptest! {
        #[test]
        fn parts_are_apart_inside_and_exactly_what_was_asked_for((field, size) in field()) {
            let asked = ranges(&field).unwrap_or_default();
            let is_asked = |at: u64| {
                let mut spans = asked.iter().filter_map(|range| range.of(size));
                spans.any(|(first, last)| (first..=last).contains(&at))
            };
            let spans = match select(&field, size) {
                Selection::Whole => return Ok(()),
                Selection::Unsatisfiable => Vec::new(),
                Selection::Part(first, last) => vec![(first, last)],
                Selection::Parts(spans) => spans,
            };
            for (index, span) in spans.iter().enumerate() {
                prop_assert!(spans[..index].iter().all(|other| !touches(*other, *span)));
            }
            for at in 0..size.max(100) {
                let is_sent = spans.iter().any(|(first, last)| (first..=last).contains(&&at));
                prop_assert_eq!(is_sent, is_asked(at), "{} of {:?}", at, &spans);
            }
        }

        #[test]
        fn no_field_makes_it_panic(field in ".*", size: u64) {
            select(&field, size);
            select(&format!("bytes={field}"), size);
        }
    }
}
