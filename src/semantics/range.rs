//! Which bytes a `Range` field selects (RFC 9110 §14).
//!
//! One range is honoured; a field that is not understood, and one that asks
//! for several ranges, selects the whole (§14.2 lets a server ignore it).

/// The bytes to send of a representation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Selection {
    /// All of them.
    Whole,
    /// From the first offset to the last, both included.
    Part(u64, u64),
    /// None of the bytes asked for exists: 416.
    Unsatisfiable,
}

/// The bytes that `field` selects of a representation of `size` bytes.
pub fn select(field: &str, size: u64) -> Selection {
    let Some((first, last)) = single_range(field) else { return Selection::Whole };
    let end = match size.checked_sub(1) {
        Some(end) => end,
        None => return Selection::Unsatisfiable,
    };
    match (first, last) {
        (Some(first), Some(last)) if last < first => Selection::Whole,
        (Some(first), _) if first > end => Selection::Unsatisfiable,
        (Some(first), last) => Selection::Part(first, last.unwrap_or(end).min(end)),
        (None, Some(0)) => Selection::Unsatisfiable,
        (None, Some(count)) => Selection::Part(size.saturating_sub(count), end),
        (None, None) => Selection::Whole,
    }
}

/// The two positions of a field that holds one range in bytes.
fn single_range(field: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, set) = field.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return None;
    }
    let (first, last) = set.trim_matches([' ', '\t']).split_once('-')?;
    Some((position(first)?, position(last)?))
}

/// Digits, or nothing. A number past 2^64 is past the end of anything.
fn position(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_selects_its_bytes_and_anything_else_the_whole() {
        let table = [
            ("bytes=0-4", Selection::Part(0, 4)),
            ("bytes=9-", Selection::Part(9, 9)),
            ("bytes=0-", Selection::Part(0, 9)),
            ("BYTES=2-99", Selection::Part(2, 9)),
            ("bytes=-3", Selection::Part(7, 9)),
            ("bytes=-99", Selection::Part(0, 9)),
            ("bytes=0-99999999999999999999999", Selection::Part(0, 9)),
            ("bytes=10-", Selection::Unsatisfiable),
            ("bytes=99999999999999999999999-", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=5-4", Selection::Whole),
            ("bytes=0-1,3-4", Selection::Whole),
            ("bytes=-", Selection::Whole),
            ("bytes=a-b", Selection::Whole),
            ("bytes=+1-2", Selection::Whole),
            ("bytes", Selection::Whole),
            ("items=0-1", Selection::Whole),
            ("", Selection::Whole),
        ];
        for (field, expected) in table {
            assert_eq!(select(field, 10), expected, "{field:?}");
        }
    }

    #[test]
    fn nothing_has_no_part() {
        assert_eq!(select("bytes=0-", 0), Selection::Unsatisfiable);
        assert_eq!(select("bytes=-1", 0), Selection::Unsatisfiable);
        assert_eq!(select("lines=1-2", 0), Selection::Whole);
    }
}
