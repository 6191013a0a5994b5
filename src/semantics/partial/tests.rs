use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::semantics::field::fields;

type Fields<'a> = &'a [(&'static str, &'a str)];
type Ranges<'a> = &'a [(u64, u64)];

const THEN: &str = "Sat, 01 Jan 2000 00:00:01 GMT";
const LATER: &str = "Sat, 01 Jan 2000 00:00:02 GMT";

fn at() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000_000)
}

fn part(first: u64, last: u64, complete: Option<u64>) -> ContentRange {
    ContentRange { first, last, complete }
}

fn parts(list: &[(u64, u64)], complete: Option<u64>) -> Parts {
    let mut parts = Parts::default();
    for (first, last) in list {
        assert!(parts.add(part(*first, *last, complete)));
    }
    parts
}

#[test]
fn a_content_range_says_which_bytes_there_are() {
    let table = [
        ("bytes 0-4/10", Some(part(0, 4, Some(10)))),
        ("Bytes 5-9/10", Some(part(5, 9, Some(10)))),
        ("bytes 5-9/*", Some(part(5, 9, None))),
        ("bytes 0-18446744073709551614/*", Some(part(0, u64::MAX - 1, None))),
        ("bytes 0-18446744073709551615/*", None),
        ("bytes 0-99999999999999999999/*", None),
        ("bytes */10", None),
        ("bytes 5-4/10", None),
        ("bytes 5-10/10", None),
        ("bytes 0-0/0", None),
        ("bytes 0-4", None),
        ("bytes=0-4/10", None),
        ("bytes 0 - 4/10", None),
        ("bytes -4/10", None),
        ("items 0-4/10", None),
        ("", None),
    ];
    for (text, expected) in table {
        assert_eq!(ContentRange::parse(text), expected, "{text}");
        if let Some(range) = expected {
            assert_eq!(ContentRange::parse(range.to_header().to_str().unwrap()), expected);
        }
    }
}

#[test]
fn a_range_that_contradicts_its_message_is_none() {
    let range = ("content-range", "bytes 0-4/10");
    let table: [(Fields<'_>, bool); 6] = [
        (&[range], true),
        (&[range, ("content-length", "5")], true),
        (&[range, ("content-length", "6")], false),
        (&[range, ("content-length", "five")], false),
        (&[range, range], false),
        (&[], false),
    ];
    for (list, expected) in table {
        assert_eq!(ContentRange::of(&fields(list)).is_some(), expected, "{list:?}");
    }
}

#[test]
fn parts_that_touch_become_one() {
    let table: [(Ranges<'_>, Ranges<'_>); 7] = [
        (&[(0, 4)], &[(0, 4)]),
        (&[(0, 4), (5, 9)], &[(0, 9)]),
        (&[(5, 9), (0, 4)], &[(0, 9)]),
        (&[(0, 4), (6, 9)], &[(0, 4), (6, 9)]),
        (&[(0, 4), (8, 9), (3, 8)], &[(0, 9)]),
        (&[(2, 3), (0, 9)], &[(0, 9)]),
        (&[(0, 9), (2, 3)], &[(0, 9)]),
    ];
    for (added, expected) in table {
        assert_eq!(parts(added, Some(20)).ranges(), expected, "{added:?}");
    }
}

#[test]
fn a_part_of_something_else_is_not_added() {
    let mut kept = parts(&[(0, 4)], Some(10));
    assert!(!kept.add(part(5, 9, Some(11))));
    assert!(!kept.add(part(5, 10, None)));
    assert!(kept.add(part(5, 8, None)));
    assert_eq!((kept.ranges(), kept.is_whole()), (&[(0, 8)][..], false));
    // A length that comes later must fit what is there already.
    let mut unknown = parts(&[(0, 20)], None);
    assert!(!unknown.add(part(0, 4, Some(10))));
    assert_eq!(unknown.complete_length(), None);
}

#[test]
fn more_parts_than_can_be_accounted_for_are_not_added() {
    let apart: Vec<_> = (0..PARTS_MAX as u64).map(|n| (3 * n, 3 * n)).collect();
    let mut kept = parts(&apart, None);
    assert!(!kept.add(part(999, 999, None)));
    assert_eq!(kept.ranges(), apart);
    assert!(kept.add(part(0, 999, None)));
    assert_eq!(kept.ranges(), [(0, 999)]);
}

#[test]
fn what_is_missing_is_what_lies_between() {
    let kept = parts(&[(2, 4), (7, 8)], Some(12));
    let table: [((u64, u64), Ranges<'_>); 9] = [
        ((0, 11), &[(0, 1), (5, 6), (9, 11)]),
        ((2, 4), &[]),
        ((3, 3), &[]),
        ((0, 1), &[(0, 1)]),
        ((3, 7), &[(5, 6)]),
        ((4, 9), &[(5, 6), (9, 9)]),
        ((9, 11), &[(9, 11)]),
        ((5, 6), &[(5, 6)]),
        ((0, 2), &[(0, 1)]),
    ];
    for ((first, last), expected) in table {
        assert_eq!(kept.missing(first, last), expected, "{first}-{last}");
        assert_eq!(kept.contain(first, last), expected.is_empty(), "{first}-{last}");
    }
    assert_eq!(Parts::default().missing(0, 9), [(0, 9)]);
    assert!(parts(&[(0, 4), (5, 11)], Some(12)).is_whole());
    assert!(!parts(&[(0, 11)], None).is_whole());
}

#[test]
fn only_parts_with_the_same_strong_validator_belong_together() {
    let (tag, weak): (Fields<'_>, Fields<'_>) = (&[("etag", "\"a\"")], &[("etag", "W/\"a\"")]);
    let dated: Fields<'_> = &[("last-modified", THEN), ("date", LATER)];
    let table: [(Fields<'_>, Fields<'_>, bool); 9] = [
        (tag, tag, true),
        (tag, &[("etag", "\"b\"")], false),
        (weak, weak, false),
        (tag, weak, false),
        (tag, &[], false),
        (&[], &[], false),
        (dated, dated, true),
        (dated, &[("last-modified", THEN), ("date", THEN)], false),
        (dated, tag, false),
    ];
    for (one, other, expected) in table {
        assert_eq!(belong_together(&fields(one), &fields(other)), expected, "{one:?} {other:?}");
        assert_eq!(belong_together(&fields(other), &fields(one)), expected, "{other:?} {one:?}");
    }
    assert_eq!(if_range(&fields(tag)).unwrap(), "\"a\"");
    assert_eq!(if_range(&fields(dated)).unwrap(), THEN);
    assert_eq!(if_range(&fields(weak)), None);
    assert_eq!(if_range(&fields(&[("last-modified", THEN)])), None);
}

#[test]
fn combined_parts_say_what_they_are_together() {
    let stored = fields(&[
        ("etag", "\"a\""),
        ("content-range", "bytes 0-4/10"),
        ("content-length", "5"),
        ("x", "old"),
    ]);
    let newer = fields(&[
        ("etag", "\"a\""),
        ("content-range", "bytes 5-7/10"),
        ("content-length", "3"),
        ("x", "new"),
    ]);
    let text = |fields: &HeaderMap, name: &str| {
        fields.get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let table = [
        (parts(&[(0, 7)], Some(10)), Some("bytes 0-7/10"), Some("8")),
        (parts(&[(0, 9)], Some(10)), None, Some("10")),
        (parts(&[(0, 1), (5, 7)], Some(10)), None, None),
    ];
    for (kept, range, length) in table {
        let combined = combined_fields(&stored, &newer, &kept, at());
        assert_eq!(text(&combined, "content-range").as_deref(), range);
        assert_eq!(text(&combined, "content-length").as_deref(), length);
        assert_eq!(combined["x"], "new");
    }
}

proptest! {
    /// Parts against a plain set of positions.
    #[test]
    fn parts_hold_exactly_what_was_added(
        added in proptest::collection::vec((0..40_u64, 0..12_u64), 0..12),
        asked in (0..50_u64, 0..20_u64),
    ) {
        let mut kept = Parts::default();
        let mut positions = std::collections::BTreeSet::new();
        for (first, length) in added {
            prop_assert!(kept.add(part(first, first + length, None)));
            positions.extend(first..=first + length);
        }
        let (first, last) = (asked.0, asked.0 + asked.1);
        let missing: Vec<u64> =
            kept.missing(first, last).into_iter().flat_map(|(from, to)| from..=to).collect();
        let expected: Vec<u64> = (first..=last).filter(|at| !positions.contains(at)).collect();
        prop_assert_eq!(&missing, &expected);
        prop_assert_eq!(kept.contain(first, last), expected.is_empty());
        let ranges = kept.ranges();
        prop_assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
    }

    #[test]
    fn any_content_range_is_read_without_a_panic(text in "(bytes )?[0-9*/ -]{0,30}") {
        if let Some(range) = ContentRange::parse(&text) {
            prop_assert!(range.first <= range.last && range.length() > 0);
        }
    }
}
