//! Parts of a representation: what a stored 206 holds, whether two belong
//! together, and what is still missing (RFC 9111 §3.3 and §3.4, RFC 9110
//! §14.4 and §15.3.7).
//!
//! Which bytes a request wants is [`super::range`]'s to say.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG};
use http::{HeaderMap, HeaderValue};

use super::conditional::{Tag, strong_date};
use super::freshen;

/// Parts that are remembered of one representation. One more than these is not
/// kept: it is cheaper to fetch than to account for.
pub const PARTS_MAX: usize = 32;

/// What a `Content-Range` in bytes says: the first and last position of the
/// part, and the length of the whole where it is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ContentRange {
    /// The position of the first byte.
    pub first: u64,
    /// The position of the last byte.
    pub last: u64,
    /// The length of the whole representation.
    pub complete: Option<u64>,
}

/// The parts of one representation that are at hand, in order and apart: no
/// two of them touch.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Parts {
    ranges: Vec<(u64, u64)>,
    complete: Option<u64>,
}

impl ContentRange {
    /// The range of a response that is one part. `None` when it does not say
    /// which, says it twice, or contradicts itself or its length (RFC 9110
    /// §14.4: such a response is not to be combined).
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(CONTENT_RANGE).into_iter();
        let only = lines.next().filter(|_| lines.next().is_none())?;
        let range = Self::parse(only.to_str().ok()?)?;
        match headers.get(CONTENT_LENGTH) {
            None => Some(range),
            Some(length) => {
                let length: u64 = length.to_str().ok()?.parse().ok()?;
                (length == range.length()).then_some(range)
            }
        }
    }

    /// Reads `bytes 0-4/10` or `bytes 0-4/*`.
    pub fn parse(text: &str) -> Option<Self> {
        let (unit, rest) = text.trim_matches([' ', '\t']).split_once(' ')?;
        let (range, complete) = rest.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let complete = if complete == "*" { None } else { Some(number(complete)?) };
        let (first, last) = (number(first)?, number(last)?);
        let valid = unit.eq_ignore_ascii_case("bytes")
            && first <= last
            && last < u64::MAX
            && complete.is_none_or(|complete| last < complete);
        valid.then_some(Self { first, last, complete })
    }

    /// The number of bytes in the part.
    pub fn length(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// The field's value.
    pub fn to_header(&self) -> HeaderValue {
        let (first, last) = (self.first, self.last);
        let text = match self.complete {
            Some(complete) => format!("bytes {first}-{last}/{complete}"),
            None => format!("bytes {first}-{last}/*"),
        };
        // Digits and punctuation of ASCII are always a value.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("bytes */*"))
    }
}

impl Parts {
    /// Adds a part. `false` when it does not fit: it disagrees about the length
    /// of the whole, or there are too many parts already.
    pub fn add(&mut self, part: ContentRange) -> bool {
        let known = self.complete.zip(part.complete);
        if known.is_some_and(|(known, said)| known != said) {
            return false;
        }
        let complete = self.complete.or(part.complete);
        let beyond = |last: u64| complete.is_some_and(|complete| last >= complete);
        if beyond(part.last) || self.ranges.last().is_some_and(|(_, last)| beyond(*last)) {
            return false;
        }
        let merged = merged(&self.ranges, part.first, part.last);
        if merged.len() > PARTS_MAX {
            return false;
        }
        (self.ranges, self.complete) = (merged, complete);
        true
    }

    /// The ranges at hand, in order.
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges
    }

    /// The length of the whole, where a part said it.
    pub fn complete_length(&self) -> Option<u64> {
        self.complete
    }

    /// Whether every byte from the first to the last is at hand.
    pub fn contain(&self, first: u64, last: u64) -> bool {
        self.ranges.iter().any(|(from, to)| *from <= first && last <= *to)
    }

    /// Whether the whole is at hand, so that it is as good as a 200 (§3.4).
    pub fn is_whole(&self) -> bool {
        self.complete.is_some_and(|length| length > 0 && self.contain(0, length - 1))
    }

    /// The ranges that are missing between two positions, in order.
    pub fn missing(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let mut missing = Vec::new();
        let mut next = Some(first);
        for (from, to) in &self.ranges {
            let Some(start) = next.filter(|start| *start <= last) else { break };
            if *from > start {
                missing.push((start, last.min(*from - 1)));
            }
            next = to.checked_add(1).map(|after| after.max(start));
        }
        missing.extend(next.filter(|start| *start <= last).map(|start| (start, last)));
        missing
    }
}

/// Whether two responses are parts of the same representation: they share a
/// strong validator (RFC 9111 §3.4, RFC 9110 §15.3.7.3).
pub fn belong_together(one: &HeaderMap, other: &HeaderMap) -> bool {
    match (Tag::of(one), Tag::of(other)) {
        (Some(one), Some(other)) => one.is_strongly(&other),
        (None, None) => strong_date(one).is_some() && strong_date(one) == strong_date(other),
        _ => false,
    }
}

/// The validator by which more parts of a stored response are asked for: the
/// value of `If-Range`. `None` when it has no strong one, and nothing can be
/// added to it.
pub fn if_range(stored: &HeaderMap) -> Option<HeaderValue> {
    match Tag::of(stored) {
        Some(tag) if tag.is_strong() => stored.get(ETAG).cloned(),
        Some(_) => None,
        None => strong_date(stored).map(super::date::to_header),
    }
}

/// The fields of a stored partial response to which a newer part was added (RFC
/// 9111 §3.4).
///
/// Those of the newer one in place of the stored, and what they say about the
/// content replaced by what is at hand now.
pub fn combined_fields(
    stored: &HeaderMap,
    newer: &HeaderMap,
    parts: &Parts,
    received: std::time::SystemTime,
) -> HeaderMap {
    let mut fields = freshen::freshened(stored, newer, received);
    fields.remove(CONTENT_RANGE);
    fields.remove(CONTENT_LENGTH);
    let whole = parts.complete_length().filter(|_| parts.is_whole());
    if let Some(length) = whole {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    } else if let [(first, last)] = *parts.ranges() {
        let range = ContentRange { first, last, complete: parts.complete_length() };
        fields.insert(CONTENT_RANGE, range.to_header());
        fields.insert(CONTENT_LENGTH, HeaderValue::from(range.length()));
    }
    fields
}

/// The ranges with one more: those it touches become one with it.
fn merged(ranges: &[(u64, u64)], first: u64, last: u64) -> Vec<(u64, u64)> {
    let apart =
        |(from, to): &(u64, u64)| to.saturating_add(1) < first || last.saturating_add(1) < *from;
    let touched = || ranges.iter().filter(|range| !apart(range));
    let first = touched().map(|(from, _)| *from).min().unwrap_or(first).min(first);
    let last = touched().map(|(_, to)| *to).max().unwrap_or(last).max(last);
    let mut merged: Vec<_> = ranges.iter().filter(|range| apart(range)).copied().collect();
    merged.push((first, last));
    merged.sort_unstable();
    merged
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
